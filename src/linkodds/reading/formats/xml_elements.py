"""XML element by element, without entities of its own: nothing is expanded, fetched or kept."""

from collections.abc import Callable, Mapping
from xml.parsers import expat

from linkodds.errors import MalformedFile
from linkodds.reading.formats.sources import Source

OnStart = Callable[[str, Mapping[str, str], int], None]
OnEnd = Callable[[str, str, int], None]
MOST_DEPTH = 1000


def walk_xml(source: Source, on_start: OnStart, on_end: OnEnd) -> None:
    """Call back at the begin and at the end of every element.

    Args:
        source: the file.
        on_start: name without prefix, attributes by name without prefix, line.
        on_end: name without prefix, its own text, line.
    Raises:
        MalformedFile: no well-formed XML, with its line; a declared entity; elements in each other more than 1000 deep.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    texts: list[list[str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(texts) >= MOST_DEPTH:
            source.refuse(parser.CurrentLineNumber, f"elements more than {MOST_DEPTH} deep in each other.")
        texts.append([])
        on_start(_local(name), {_local(key): value for key, value in attributes.items()}, parser.CurrentLineNumber)

    def end(name: str) -> None:
        on_end(_local(name), "".join(texts.pop()), parser.CurrentLineNumber)

    def data(text: str) -> None:
        if texts:
            texts[-1].append(text)

    def entity(*_: object) -> None:
        source.refuse(
            parser.CurrentLineNumber, "the file declares an XML entity, and none is expanded here; write it out."
        )

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(source.data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        line = getattr(error, "lineno", parser.CurrentLineNumber)
        raise MalformedFile(f"{source.place}, line {line}: not readable as XML ({error}).") from error


def _local(name: str) -> str:
    return name.rsplit(":", 1)[-1]
