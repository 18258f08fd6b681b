"""Which file is which: the reader of a suffix or of the first lines, and what turns the other formats into one of these."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from linkodds.errors import OptionError
from linkodds.reading.formats.annotated import read_annotated
from linkodds.reading.formats.gdf import read_gdf
from linkodds.reading.formats.gexf import read_gexf
from linkodds.reading.formats.gml import read_gml
from linkodds.reading.formats.graphml import read_graphml
from linkodds.reading.formats.json_graphs import read_json
from linkodds.reading.formats.konect import KONECT_HEADER, read_konect, read_percent_table
from linkodds.reading.formats.matrices import read_matrix_market, read_metis
from linkodds.reading.formats.mitab import LEAST_COLUMNS, is_reference, read_mitab
from linkodds.reading.formats.pajek import read_pajek
from linkodds.reading.formats.parsed import ParsedGraph
from linkodds.reading.formats.plain_text import (
    is_ragged_sif,
    is_tgf,
    read_adjacency_list,
    read_lgl,
    read_ncol,
    read_sif,
    read_sif_as_text,
    read_tgf,
)
from linkodds.reading.formats.rdf import read_ntriples
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.tables_of_files import read_arrow, read_json_lines, read_spreadsheet
from linkodds.reading.formats.ucinet import read_ucinet
from linkodds.reading.tables import Table, first_bytes, read_bytes, require_file, unpacked_name

Reader = Callable[[Source], ParsedGraph | Table]
_HEAD = 1 << 14
_LOOSE = (".txt", ".tsv", ".tab", ".dat")


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        name: for people.
        suffixes: of its files, beside which .gz, .bz2, .xz and .zst may stand.
        read: from a file in memory to a graph or a table.
        takes_key: whether a file may hold several graphs, sheets or matrices, one of which `--key` names.
        by_lines: whether its first lines alone are such a file too.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Reader
    takes_key: bool = False
    by_lines: bool = False


FORMATS = (
    Format("SIF (Cytoscape)", (".sif",), read_sif, by_lines=True),
    Format("GraphML", (".graphml", ".graphmlz"), read_graphml, takes_key=True),
    Format("GEXF (Gephi)", (".gexf",), read_gexf),
    Format("GML", (".gml",), read_gml, takes_key=True),
    Format("Pajek", (".net", ".paj"), read_pajek),
    Format("MatrixMarket", (".mtx", ".mm"), read_matrix_market),
    Format("METIS", (".graph", ".metis"), read_metis),
    Format("JSON: node-link, graphology, Cytoscape.js, CX, JSON Graph Format", (".json", ".jgf", ".jgfz"), read_json),
    Format("Cytoscape.js", (".cyjs",), read_json),
    Format("CX, CX2 (NDEx)", (".cx", ".cx2"), read_json),
    Format("JSON Lines", (".jsonl", ".ndjson"), read_json_lines, by_lines=True),
    Format("AnnData, MuData", (".h5ad", ".h5mu"), read_annotated, takes_key=True),
    Format("Arrow, Feather", (".arrow", ".feather", ".ipc", ".arrows"), read_arrow),
    Format("Excel, OpenDocument", (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), read_spreadsheet, takes_key=True),
    Format("LGL", (".lgl",), read_lgl, by_lines=True),
    Format("NCOL", (".ncol",), read_ncol, by_lines=True),
    Format("adjacency list (NetworkX)", (".adjlist",), read_adjacency_list, by_lines=True),
    Format("UCINET DL", (".dl",), read_ucinet),
    Format("Trivial Graph Format", (".tgf",), read_tgf),
    Format("GDF (GUESS)", (".gdf",), read_gdf),
    Format("RDF N-Triples", (".nt", ".nq"), read_ntriples, by_lines=True),
    Format("PSI-MITAB", (".mitab", ".mitab25", ".mitab26", ".mitab27", ".mitab28"), read_mitab, by_lines=True),
    Format("SIF in a text file", (), read_sif_as_text, by_lines=True),
    Format("KONECT", (), read_konect, by_lines=True),
    Format("pairs below % lines (Network Repository)", (), read_percent_table),
)
"""Every graph format; delimited text, Parquet, .npz and databases are read beside them."""

_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}
_BY_READER = {each.read: each for each in FORMATS}

_NETWORKX = "in Python: networkx.write_graphml({}, 'edges.graphml')"
_DIMACS = "keep the lines of edges: grep '^[ae] ' file | cut -d' ' -f2- > edges.txt"
CURES = {
    ".dot": _NETWORKX.format("networkx.nx_pydot.read_dot(file)"),
    ".gv": _NETWORKX.format("networkx.nx_pydot.read_dot(file)"),
    ".g6": _NETWORKX.format("networkx.read_graph6(file)"),
    ".s6": _NETWORKX.format("networkx.read_sparse6(file)"),
    ".lgr": _NETWORKX.format("networkx.read_leda(file)"),
    ".gw": _NETWORKX.format("networkx.read_leda(file)"),
    ".leda": _NETWORKX.format("networkx.read_leda(file)"),
    ".multiline_adjlist": _NETWORKX.format("networkx.read_multiline_adjlist(file)"),
    ".gt": "in Python: graph_tool.load_graph(file).save('edges.graphml')",
    ".nkb": "in Python: networkit.writeGraph(networkit.readGraph(file, networkit.Format.NetworkitBinary), 'edges.graphml', "
    "networkit.Format.GraphML)",
    ".thrill": "in Python: networkit.writeGraph(networkit.readGraph(file, networkit.Format.ThrillBinary, 0), "
    "'edges.graphml', networkit.Format.GraphML)",
    ".gr": _DIMACS,
    ".col": _DIMACS,
    ".dimacs": _DIMACS,
    ".gxl": "with graphviz: gxl2gv file | gv2gml > edges.gml",
    ".html": "in Python: pandas.read_html(file)[0].to_csv('edges.csv', index=False)",
    ".zarr": "in Python: anndata.read_zarr(file).write_h5ad('edges.h5ad')",
    ".cys": "in Cytoscape: File, Export, Network to File, as .cx2 or .sif",
    ".gephi": "in Gephi: File, Export, Graph file, as .gexf",
    ".xgmml": "in Cytoscape: File, Export, Network to File, as .cx2 or .graphml",
    ".ttl": "with rdflib: rdflib.Graph().parse(file).serialize('edges.nt', format='nt')",
    ".rdf": "with rdflib: rdflib.Graph().parse(file).serialize('edges.nt', format='nt')",
    ".owl": "with rdflib: rdflib.Graph().parse(file).serialize('edges.nt', format='nt')",
    ".n3": "with rdflib: rdflib.Graph().parse(file).serialize('edges.nt', format='nt')",
    ".trig": "with rdflib: rdflib.Dataset().parse(file).serialize('edges.nq', format='nquads')",
    ".jsonld": "with rdflib: rdflib.Graph().parse(file).serialize('edges.nt', format='nt')",
    ".obo": "in Python: networkx.write_graphml(networkx.Graph(obonet.read_obo(file).edges()), 'edges.graphml')",
    ".mat": "in Python: Graph.from_edges(scipy.io.loadmat(file)['A']), with the name of the matrix",
    ".npy": "in Python: Graph.from_edges(numpy.load(file)), an array of pairs",
    ".h5": "in Python: read it with the library that wrote it and pass pairs to Graph.from_edges",
    ".hdf5": "in Python: read it with the library that wrote it and pass pairs to Graph.from_edges",
    ".loom": "in Python: anndata.read_loom(file).write_h5ad('edges.h5ad')",
    ".rds": "in R: write.csv(igraph::as_data_frame(readRDS(file)), 'edges.csv', row.names = FALSE)",
    ".rda": "in R: load it and write.csv(igraph::as_data_frame(graph), 'edges.csv', row.names = FALSE)",
    ".rdata": "in R: load it and write.csv(igraph::as_data_frame(graph), 'edges.csv', row.names = FALSE)",
    ".pkl": "a pickle runs what is in it: open it where you trust it and pass the object to Graph.from_edges",
    ".pickle": "a pickle runs what is in it: open it where you trust it and pass the object to Graph.from_edges",
    ".gpickle": "a pickle runs what is in it: open it where you trust it and pass the object to Graph.from_edges",
    ".pt": "in Python: Graph.from_edges(torch.load(file)), where you trust it",
    ".pth": "in Python: Graph.from_edges(torch.load(file)), where you trust it",
    ".zip": "unpack the archive and name the file of edges in it",
    ".tar": "unpack the archive and name the file of edges in it",
    ".tgz": "unpack the archive and name the file of edges in it",
    ".7z": "unpack the archive and name the file of edges in it",
    ".psimi": "the same database offers PSI-MITAB, as .mitab or .txt",
    ".xml": "GraphML and GEXF are the XML formats that are read; PSI-MI databases offer PSI-MITAB as text",
    ".biopax": "in Java: paxtools toSIF file edges.sif",
    ".sbml": "list the edges that you mean as source,target in a .csv",
    ".db": "name the database by its URL, sqlite:///FILE?table=NAME",
    ".sqlite": "name the database by its URL, sqlite:///FILE?table=NAME",
    ".duckdb": "name the database by its URL, duckdb:///FILE?table=NAME",
    ".bin": "save the pairs as .csv or .parquet",
    ".vna": "in UCINET or Gephi: export as .dl or .gexf",
    ".tlp": "in Tulip: File, Export, as GML or CSV",
    ".orc": "save the table as Parquet",
    ".avro": "save the table as Parquet",
    ".dta": "in Python: Graph.from_edges(pandas.read_stata(file))",
    ".sav": "in Python: Graph.from_edges(pandas.read_spss(file))",
    ".sas7bdat": "in Python: Graph.from_edges(pandas.read_sas(file))",
}
"""Suffix -> what turns such a file into one that is read."""


def format_of(path: Path) -> Format | None:
    """The graph format of a file: by its suffix, else by its first lines; None where it is delimited text or none of these.

    Raises:
        MalformedFile, OptionError: a packed file that cannot be unpacked.
    Example:
        >>> format_of(Path("ppi.SIF.gz")).name
        'SIF (Cytoscape)'
    """
    suffix = Path(unpacked_name(path)).suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix in (".npz", ".parquet") or not path.is_file():
        return None
    return format_of_content(path, first_bytes(path, _HEAD))


def format_of_content(path: Path, data: bytes) -> Format | None:
    """The graph format of a file in memory, or of its first bytes; as `format_of`."""
    suffix = Path(unpacked_name(path)).suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    reader = reader_by_head(data[:_HEAD], is_loose=suffix in _LOOSE)
    return None if reader is None else _BY_READER[reader]


def reader_by_head(head: bytes, *, is_loose: bool) -> Reader | None:
    """The reader of a file by how it begins; None where that is no mark of a graph format.

    Args:
        head: the first bytes.
        is_loose: whether the name says text of any kind, so that lines of SIF are a mark too.
    Example:
        >>> reader_by_head(b"%%MatrixMarket matrix", is_loose=True).__name__, reader_by_head(b"a,b", is_loose=True)
        ('read_matrix_market', None)
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for mark, reader in _MARKS:
        if mark.match(start):
            return reader
    lines = start.decode("utf-8", errors="replace").split("\n")
    if len(head) == _HEAD:
        del lines[-1]  # it may be cut
    lines = [line.rstrip("\r") for line in lines]
    if is_mitab(lines[:20]):
        return read_mitab
    if is_loose and is_tgf(lines):
        return read_tgf
    if is_loose and is_ragged_sif([line for line in lines if not line.startswith("#")]):
        return read_sif_as_text
    return None


_MARKS: tuple[tuple[re.Pattern[bytes], Reader], ...] = (
    (re.compile(rb"%%MatrixMarket", re.IGNORECASE), read_matrix_market),
    (KONECT_HEADER, read_konect),
    (re.compile(rb"%[^\n]*\n"), read_percent_table),
    (re.compile(rb"\*\s*(vertices|network)\b", re.IGNORECASE), read_pajek),
    (re.compile(rb"nodedef>", re.IGNORECASE), read_gdf),
    (re.compile(rb"dl\s+(n|nr|nc|nm|format)\s*=", re.IGNORECASE), read_ucinet),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<(\w+:)?graphml\b", re.DOTALL), read_graphml),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<gexf\b", re.DOTALL), read_gexf),
    (re.compile(rb"(creator\s+\"[^\"]*\"\s+)?(version\s+\S+\s+)?graph\s*\[", re.IGNORECASE), read_gml),
    (re.compile(rb"<[a-z][a-z0-9+.-]*:[^\s<>]*>\s+<[^\s<>]+>\s+[<_\"][^\n]*\.\s*\n"), read_ntriples),
    (re.compile(rb"\{\s*\"(nodes|links|edges|directed|elements|graph|multigraph)\""), read_json),
    (re.compile(rb"\[\s*\{\s*\"(CXVersion|numberVerification)\""), read_json),
)


def read_file(path: Path, form: Format, key: str | None) -> ParsedGraph | Table:
    """A file of a graph format.

    Raises:
        OptionError: a key, where a file holds one graph.
        MalformedFile: it cannot be read as what it is.
    """
    require_file(path)
    if key is not None and not form.takes_key:
        raise OptionError(f"--key: {path.name} is {form.name}, which holds one graph a file; leave it out.")
    return form.read(Source(path, read_bytes(path), key))


def refuse_unknown(path: Path, known: str) -> OptionError:
    """The error of a file that no reader takes: what it could be turned into, and how.

    Args:
        path: of the file.
        known: what is read beside the formats here.
    """
    suffix = Path(unpacked_name(path)).suffix
    if suffix in CURES:
        return OptionError(f"{path.name}: {suffix} is not read here; {CURES[suffix]}.")
    text = " If it is text with a column for each end, name it .txt." if _is_text(path) else ""
    return OptionError(
        f"{path.name}: the name ends in {suffix or 'no suffix'}, an unknown format.{text} Edges are read from {known}."
    )


def _is_text(path: Path) -> bool:
    head = first_bytes(path, _HEAD) if path.is_file() else b"\0"
    return b"\0" not in head and b"<" not in head[:100]


def is_mitab(lines: Sequence[str]) -> bool:
    """Whether these first lines are MITAB: fifteen columns or more, the first two `database:id`, or its header.

    Example:
        >>> is_mitab(["#ID(s) interactor A\\tID(s) interactor B\\t..."]), is_mitab(["a\\tb"])
        (True, False)
    """
    rows = [line for line in lines if line.strip()]
    if rows and re.match(r"#\s*(ID\(s\)|unique identifier|uidA|ID) ?(interactor )?A", rows[0], re.IGNORECASE):
        return "\t" in rows[0]
    rows = [row for row in rows if not row.startswith("#")]
    cells = [row.split("\t") for row in rows]
    return bool(cells) and all(len(row) >= LEAST_COLUMNS and all(map(is_reference, row[:2])) for row in cells)
