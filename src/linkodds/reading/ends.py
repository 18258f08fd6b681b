"""Ends: which two columns of a table are the ends of its edges, told from their names, then from their values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from linkodds.errors import AmbiguousEnds, DataError, MalformedFile, OptionError, PossibleReading
from linkodds.reading.column_names import NamedEnds, entity_of, is_attribute, named_ends, names_database, rank_of
from linkodds.reading.column_values import Column, are_two_names, columns_of, shared_share
from linkodds.reading.tables import Table

_CLEAR = 1.0
"""By so much a reading must be better than the next one."""
_FEW = 5
_MOST = 40
"""Columns of more than this are not held against each other."""


@dataclass(frozen=True)
class Ends:
    """Two columns that are the ends of the edges.

    Args:
        source: place of the first.
        target: place of the second.
        why: what says so.
        columns: what a sample tells of all columns.
    """

    source: int
    target: int
    why: str
    columns: tuple[Column, ...] = ()


def choose_ends(
    table: Table,
    source: str | int | None = None,
    target: str | int | None = None,
    taken: Sequence[int] = (),
    columns: list[Column] | None = None,
) -> Ends:
    """The two columns of ids.

    Columns that were asked for win. Two columns alone are the ends. Else two names that belong together (source and target,
    gene_a and gene_b) are; else the two that are left when weights, kinds, dates and row numbers are told by their names;
    else the values tell: columns that share a vocabulary are ends, a column that has few values is a kind, one in which no
    value comes twice numbers the rows, one that another column tells and that tells it is a second name of the same
    thing. Numbers with decimals are no ids.

    Args:
        table: an edge list.
        source: column of the first id, by name or number; None: not said.
        target: column of the second id.
        taken: places of columns that are known to be something else.
        columns: what a sample tells of the columns, where it is there already.
    Raises:
        MalformedFile: no such column, or no two columns that can be ids, with what to do.
        OptionError: one column for both, or none left.
        DataError: no row.
        AmbiguousEnds: more than one reading; each is shown with three edges and the options that settle it.
    """
    if len(table.names) < 2:
        raise MalformedFile(
            f"{table.place}: one column only ({', '.join(table.names)}); an edge list has two columns of ids."
        )
    asked = [
        None if name is None else table.position(name, option=option)
        for option, name in (("--source", source), ("--target", target))
    ]
    if asked[0] is not None and asked[0] == asked[1]:
        raise OptionError(f"{table.place}: --source and --target are two columns, not {source!r} twice.")
    if asked[0] is not None and asked[1] is not None:
        return Ends(asked[0], asked[1], "they were asked for", ())  # other columns are not looked at
    # A column without a name is a row index that some program wrote, so it is no end.
    free = [i for i, name in enumerate(table.names) if name != "" and i not in taken and i not in asked]
    needed = asked.count(None)
    if len(free) < needed:
        named = ", ".join(repr(name) for name in table.names)
        raise OptionError(f"{table.place}: no two columns are left for the ids; the columns are {named}.")
    if columns is None:
        rows = table.sample(500 if len(free) == needed else 10_000)
        if not rows.height:
            raise DataError(f"{table.place} has no row.")
        columns = columns_of(table.names, rows)
    found = _one_end(table, columns, free, asked) if needed == 1 else _two_ends(table, columns, free)
    return replace(found, columns=tuple(columns))


def _two_ends(table: Table, columns: list[Column], free: list[int]) -> Ends:
    _refuse_matrix(table, columns, free)
    names = named_ends(table.names)
    if len(free) == 2:
        first, second = free
        if len(table.names) == 2:
            _refuse_decimals(table, columns, free)
            if {name.lower().lstrip(":") for name in table.names} in ({"id", "label"}, {"id", "name"}):
                _refuse_nodes(table, columns, first)
        turned = any((each.source, each.target) == (second, first) for each in names)
        return Ends(second, first, "their names") if turned else Ends(first, second, "no other column is left")
    fits = [each for each in names if each.source in free and each.target in free]
    fits = [each for each in fits if not any(_is_no_id(columns[i]) for i in (each.source, each.target))]
    if not fits and any(each.rank < 2 for each in names):
        best = names[0]
        if best.source in free and best.target in free:
            _refuse_decimals(table, columns, [best.source, best.target])
    of_names = _by_names(table, columns, fits, free)
    return of_names if of_names is not None else _by_values(table, columns, free)


def _by_names(table: Table, columns: list[Column], fits: list[NamedEnds], free: list[int]) -> Ends | None:
    """The ends by names alone; None where they do not tell."""
    left = [i for i in free if not is_attribute(table.names[i], table.names) and columns[i].type in ("text", "integer")]
    if fits:
        best = [each for each in fits if each.rank == fits[0].rank]
        if fits[0].rank < 2 or len(best) == 1:
            others = [i for i in left if i not in (best[0].source, best[0].target) and not _is_few(columns, i, left)]
            where_from = best[0].source if table.names[best[0].source].lower() == "source" else None
            if where_from is not None and others and _is_few(columns, where_from, left):
                readings = [Ends(best[0].source, best[0].target, ""), Ends(others[0], best[0].target, "")]
                raise _ambiguous(table, columns, readings)  # "source" may be where a row is from
            same = [each for each in best[1:] if not _are_one(columns, best[0], each)]
            if same:
                raise _ambiguous(table, columns, [Ends(each.source, each.target, "") for each in (best[0], *same)])
            return Ends(best[0].source, best[0].target, "their names belong together")
    if any(name.isdigit() for name in table.names):  # no header
        return None
    _refuse_cytoscape(table)
    key = next((i for i, name in enumerate(table.names) if name != ""), 0)
    if len(left) == 2:
        if key not in left and columns[key].type == "text":
            _refuse_nodes(table, columns, key)
        return Ends(
            left[0], left[1], "the names of the other columns are those of weights, kinds, dates or row numbers"
        )
    entities: dict[str, list[int]] = {}
    for i in left:
        entity = entity_of(table.names[i])
        if entity is not None:
            entities.setdefault(entity, []).append(i)
    named = [i for of in entities.values() for i in of]
    strange = [i for i in left if i not in named and not _is_few(columns, i, left)]
    strange = [i for i in strange if not any(are_two_names(columns[i], columns[j]) for j in named)]
    twice = any(names_database(table.names[i]) for i in named) and all(columns[i].is_all_distinct for i in named)
    if (
        len(entities) == 2 and not strange and not twice
    ):  # else two names of one thing, gene and entrez, or a third thing is there, such as hpo_id between gene_id and disease_id
        first, second = (min(of, key=lambda i: rank_of(table.names[i])) for of in entities.values())
        return Ends(min(first, second), max(first, second), f"their names are those of things: {', '.join(entities)}")
    if columns[key].type == "text" or len(left) < 2:
        _refuse_nodes(table, columns, key)
    return None


def _by_values(table: Table, columns: list[Column], free: list[int]) -> Ends:
    """The ends by what a sample of the rows says."""
    usable = [
        i for i in free if columns[i].type in ("text", "integer") and not columns[i].is_times and columns[i].filled > 0
    ]
    plain = [i for i in usable if not is_attribute(table.names[i], table.names) and not columns[i].is_constant]
    plain = [i for i in plain if not columns[i].is_row_number or len(plain) == 2]
    for more in (usable, [i for i in usable if not columns[i].is_constant]):
        if len(plain) < 2:
            plain = more if len(more) >= 2 else plain
    if len(plain) < 2:
        raise MalformedFile(_no_two_columns(table, columns, free))
    if len(plain) > _MOST:
        raise MalformedFile(
            f"{table.place}: {len(plain)} columns could hold ids, and no two names among them belong together. "
            "Name the two ends with --source COL --target COL."
        )
    groups = _second_names(columns, plain)
    if len(groups) == 1:
        raise MalformedFile(_no_two_columns(table, columns, free))
    scored = sorted(
        (_best_of(columns, plain, one, other) for one, other in combinations(groups, 2)), key=lambda each: -each[0]
    )
    (best, ends), rest = scored[0], scored[1:]
    if rest and best - rest[0][0] < _CLEAR:
        raise _ambiguous(table, columns, [each for score, each in scored if best - score < _CLEAR])
    shared = shared_share(columns[ends.source], columns[ends.target])
    why = (
        f"they share {shared:.0%} of their values"
        if shared >= 0.1
        else "the other columns hold kinds, numbers or second names"
    )
    return Ends(ends.source, ends.target, why)


def _best_of(columns: list[Column], plain: list[int], one: list[int], other: list[int]) -> tuple[float, Ends]:
    """How much speaks for an edge from one thing to the other, under the names that fit each other best."""
    found = []
    for i in one:
        for j in other:
            first, second = min(i, j), max(i, j)
            score = 0.0
            few = [_is_few(columns, k, plain) for k in (first, second)]
            score += 4 * shared_share(columns[first], columns[second]) * (0.25 if any(few) else 1)
            for k, is_few in zip((first, second), few, strict=True):
                column = columns[k]
                score += 2.0 * (column.type == "text") + (not is_few) + (not column.is_all_distinct)
                score -= 2.0 * (is_few and column.distinct <= 10)
                score -= 3.0 * (1 - column.filled / max(len(column.cells), 1))
            found.append((score, -first, -second))
    score, first, second = max(found)
    return score, Ends(-first, -second, "")


def _is_few(columns: list[Column], place: int, plain: list[int]) -> bool:
    """Whether a column has few values beside the others: a third at most of the second most."""
    counts = sorted((columns[i].distinct for i in plain if i != place), reverse=True)
    return len(counts) > 1 and columns[place].distinct * 3 <= counts[1]


def _second_names(columns: list[Column], plain: list[int]) -> list[list[int]]:
    """Columns by the thing that they name."""
    groups: list[list[int]] = []
    for i in plain:
        for group in groups:
            if are_two_names(columns[group[0]], columns[i]):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _are_one(columns: list[Column], one: NamedEnds, other: NamedEnds) -> bool:
    """Whether two pairs of columns are the same edges under two names."""
    return all(
        are_two_names(columns[i], columns[j]) or columns[j].filled < 0.5 * len(columns[j].cells)
        for i, j in ((one.source, other.source), (one.target, other.target))
    )


def _one_end(table: Table, columns: list[Column], free: list[int], asked: list[int | None]) -> Ends:
    """The other end of one that was asked for."""
    known = next(i for i in asked if i is not None)
    partners = [
        each.target if each.source == known else each.source
        for each in named_ends(table.names)
        if known in (each.source, each.target)
    ]
    left = [i for i in partners if i in free][:1]
    if not left:
        left = [i for i in free if not is_attribute(table.names[i], table.names)]
        good = [i for i in left if columns[i].type in ("text", "integer") and not columns[i].is_constant]
        left = [i for i in good if not are_two_names(columns[known], columns[i])] or left or free
    ends = [Ends(known, i, "") if asked[0] is not None else Ends(i, known, "") for i in left]
    if len(ends) > 1:
        weights = [_best_of(columns, [known, *left], [known], [i])[0] for i in left]
        best = max(weights)
        close = [each for each, weight in zip(ends, weights, strict=True) if best - weight < _CLEAR]
        if len(close) > 1:
            raise _ambiguous(table, columns, close)
        ends = close
    return Ends(ends[0].source, ends[0].target, "one was asked for")


def _ambiguous(table: Table, columns: list[Column], readings: list[Ends]) -> AmbiguousEnds:
    possible = []
    for ends in readings:
        first, second = table.names[ends.source], table.names[ends.target]
        edges = tuple(zip(columns[ends.source].cells.head(3), columns[ends.target].cells.head(3), strict=True))
        options = ("--source", first, "--target", second)
        possible.append(PossibleReading(f"edges join {first!r} and {second!r}", options, edges, first, second))
    text = "".join(
        f"\n  --source {_quoted(str(each.source))} --target {_quoted(str(each.target))} reads "
        f"{'; '.join(f'{u} - {v}' for u, v in each.edges)}"
        for each in possible[:3]
    )
    more = f"\n  and {len(readings) - 3} more" if len(readings) > 3 else ""
    listed = ", ".join(repr(name) for name in table.names[:20])
    return AmbiguousEnds(
        f"{table.place}: the ends of the edges can be read in more than one way, so say which columns they are:{text}{more}\n"
        f"The columns are {listed}.",
        tuple(possible),
    )


def _quoted(name: str) -> str:
    return f"'{name}'" if not name.replace("_", "").isalnum() else name


def _is_no_id(column: Column) -> bool:
    """Whether a column is empty, or holds decimals in more than a few rows."""
    return column.type == "empty" or (column.type == "decimal" and column.filled >= _FEW)


def _refuse_decimals(table: Table, columns: list[Column], places: list[int]) -> None:
    for i in places:
        if columns[i].type == "decimal" and _is_no_id(columns[i]):
            shown = next(cell for cell in columns[i].examples if "." in cell or "e" in cell.lower())
            raise MalformedFile(
                f"{table.place}, column {table.names[i]!r}: {shown} is a number with decimals, no id. A table of values is no "
                "edge list: each row of one names two nodes. If these are ids, pass --source COL --target COL."
            )


def _refuse_matrix(table: Table, columns: list[Column], free: list[int]) -> None:
    """Raise where the columns are the nodes: an adjacency matrix, correlations, a table of values."""
    numbers = [i for i in free if columns[i].type in ("integer", "decimal")]
    texts = [i for i, column in enumerate(columns) if column.type == "text"]
    if len(numbers) < 3 or len(texts) > 1:
        return
    names = {table.names[i] for i in numbers}
    rows = set(columns[texts[0]].values.to_list()) if texts else set()
    square = len(rows & names) * 2 > len(names)
    height = len(columns[0].cells)
    counted = not texts and len(numbers) >= 5 and height == len(numbers)
    if square or counted:
        raise MalformedFile(
            f"{table.place}: a matrix of numbers with {height} rows and {len(numbers)} columns"
            f"{', whose names are the ids of its rows' if square else ''}; an edge list has one row for each edge. In Python, "
            f"with pandas: frame = pandas.read_csv({table.place!r}, index_col=0); edges = frame.stack().reset_index(); keep the "
            "rows whose value makes an edge, such as edges[edges[0].abs() > 0.8], and give the first two columns to "
            "Graph.from_edges. Of an adjacency matrix: Graph.from_edges(scipy.sparse.csr_array(frame.to_numpy()), "
            "nodes=frame.index)."
        )


def _refuse_cytoscape(table: Table) -> None:
    """Raise where this is a table of Cytoscape, whose edges have their ends in one text, A (pp) B."""
    if {"name", "shared name"} <= set(table.names):
        raise MalformedFile(
            f"{table.place}: a table that Cytoscape exports of nodes or edges, in which the ends of an edge are no columns. In "
            "Cytoscape: File, Export, Network to File, as .cx2, .sif or .graphml."
        )


def _refuse_nodes(table: Table, columns: list[Column], key: int) -> None:
    """Raise where this column has another value in each row and no two columns have a value in common: a row is a node."""
    usable = [i for i, each in enumerate(columns) if each.type in ("text", "integer") and not each.is_constant]
    many = [columns[i] for i in usable if not _is_few(columns, i, usable)][:12]
    if columns[key].is_all_distinct and not any(shared_share(*two) for two in combinations(many, 2)):
        raise MalformedFile(
            f"{table.place}: looks like a table of nodes: {table.names[key]!r} has another value in each row, and no two columns "
            "have a value in common. An edge list has one row for each edge, with the ids of its two ends; what is known of "
            "nodes goes into --features or --nodes. If two of these columns are the ends, name them with --source COL --target "
            "COL."
        )


def _no_two_columns(table: Table, columns: list[Column], free: list[int]) -> str:
    found = []
    for i in free[:12]:
        column = columns[i]
        what = f"{column.type}s" if column.type in ("integer", "decimal") else column.type
        said = "times" if column.is_times else "one value only" if column.is_constant else what
        found.append(f"{table.names[i]!r} ({'row numbers' if column.is_row_number else said})")
    return (
        f"{table.place}: no two columns hold ids of nodes; there are {', '.join(found)}"
        f"{', ...' if len(free) > 12 else ''}. An edge list has one row for each edge, with the ids of its two ends. If two of "
        "these columns are the ends, name them with --source COL --target COL."
    )
