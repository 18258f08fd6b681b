"""Names: which attribute of nodes is their id, where a format numbers them and keeps their names beside."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from linkodds.findings import Finding

NAME_ATTRIBUTES = ("name", "shared name", "shared_name", "label", "id", "title", "symbol")
"""Attributes that programs keep names in, best first, in small letters."""

_NUMBER = re.compile(r"(n|v|node|vertex|id|x|row|column)?[-_:.]?\d+(::n\d+)*", re.IGNORECASE)
_SHARE_OF_OWN = 0.5


def ids_by_names(
    ids: Sequence[str], attributes: Mapping[str, Sequence[str]], place: str, what: str = "attribute"
) -> tuple[list[str], list[Finding]]:
    """The ids of nodes: the names that a program gave them, where the format's own ids are nothing but numbers.

    Ids that are words ("TP53", "http://...") stay. Where they are numbers ("17", "n17", "n0::n3") and an attribute holds
    names, the first of `NAME_ATTRIBUTES` that is there is taken; without any of these the only text attribute that tells
    all nodes apart. A name that several nodes have stands before the number of each, "MDM2 (n17)"; a node without a name
    keeps its number. An attribute that fewer than half of the nodes have to themselves is no name.

    Args:
        ids: shape (nodes,), of the format, no id twice.
        attributes: name of an attribute -> its value at each node, "" where there is none.
        place: what messages call the source.
        what: what messages call an attribute.
    Returns:
        The ids, no id twice, and what is to be said.
    Example:
        >>> ids_by_names(["n0", "n1", "n2"], {"name": ["TP53", "MDM2", "MDM2"]}, "a.graphml")[0]
        ['TP53', 'MDM2 (n1)', 'MDM2 (n2)']
        >>> ids_by_names(["TP53", "MDM2"], {"label": ["p53", "mdm2"]}, "a.graphml")[0]
        ['TP53', 'MDM2']
    """
    if not ids or not all(map(_NUMBER.fullmatch, ids)):
        return list(ids), []
    name = _attribute_of_names(ids, attributes)
    if name is None:
        return list(ids), _about_unused(ids, attributes, place, what)
    values = [value.strip() for value in attributes[name]]
    counts = Counter(value for value in values if value)
    chosen = [
        number if not value else value if counts[value] == 1 else f"{value} ({number})"
        for number, value in zip(ids, values, strict=True)
    ]
    if len(set(chosen)) < len(chosen):  # a name is the number of another node
        chosen = [f"{value} ({number})" if value else number for number, value in zip(ids, values, strict=True)]
        if len(set(chosen)) < len(chosen):
            return list(ids), []
    doubled = [value for value, count in counts.items() if count > 1]
    nameless = [number for number, value in zip(ids, values, strict=True) if not value]
    if not doubled and not nameless:
        if chosen == list(ids):
            return chosen, []
        message = f"{place}: the ids are the {what} {name!r} of nodes ({ids[0]!r} is {chosen[0]!r})."
        return chosen, [Finding("reading", "info", message, "Nothing to do, unless another one is meant.")]
    problems = []
    if doubled:
        shown = f"{doubled[0]!r} is that of {counts[doubled[0]]} nodes"
        problems.append(f"{shown}{f' ({len(doubled)} such names)' if len(doubled) > 1 else ''}")
    if nameless:
        problems.append(f"{len(nameless)} node(s) have none, {nameless[0]!r} first")
    message = (
        f"{place}: the ids are the {what} {name!r} of nodes, but {' and '.join(problems)}: these keep their numbers, "
        f"such as {next(a for a, b in zip(chosen, values, strict=True) if a != b)!r}."
    )
    return chosen, [Finding("reading", "warning", message, "Give every node a name of its own if they are one thing.")]


def _attribute_of_names(ids: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> str | None:
    lower: dict[str, str] = {}
    for name in attributes:
        lower.setdefault(name.lower(), name)
    named = [lower[name] for name in NAME_ATTRIBUTES if name in lower and _tells_apart(attributes[lower[name]])]
    words = [name for name in named if not _are_numbers(attributes[name])]  # a label may be the number once more
    if words or named:
        return (words or named)[0]
    texts = [name for name, values in attributes.items() if _is_text(values) and len(set(values)) == len(ids)]
    return texts[0] if len(texts) == 1 else None


def _tells_apart(values: Sequence[str]) -> bool:
    counts = Counter(value.strip() for value in values)
    counts.pop("", None)
    return len(counts) >= max(1, _SHARE_OF_OWN * len(values))


def _is_text(values: Sequence[str]) -> bool:
    return all(value.strip() for value in values) and not _are_numbers(values)


def _are_numbers(values: Sequence[str]) -> bool:
    def is_number(value: str) -> bool:
        try:
            float(value)
        except ValueError:
            return value.lower() in ("true", "false")
        return True

    return all(is_number(value) for value in values if value.strip())


def _about_unused(ids: Sequence[str], attributes: Mapping[str, Sequence[str]], place: str, what: str) -> list[Finding]:
    named = [name for name, values in attributes.items() if _is_text(values)]
    if not named:
        return []
    listed = ", ".join(map(repr, named[:5]))
    message = f"{place}: the ids are the numbers of nodes ({ids[0]!r}, ...), for no {what} tells them apart ({listed})."
    return [Finding("reading", "info", message, "Nothing to do, unless these nodes have names.")]
