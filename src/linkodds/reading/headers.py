"""Headers: whether the first line of a table names its columns, told from its words and from the lines below it."""

import re
from collections.abc import Sequence

from linkodds.reading.column_names import are_paired, is_attribute_word, is_header_word, named_ends, tokens

_LETTERS = {("a", "b"), ("u", "v"), ("i", "j"), ("x", "y"), ("s", "t"), ("h", "t"), ("p", "q")}
NUMBER_WORDS = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}  # float() takes them, ids may be them
_NOTHING = NUMBER_WORDS | {"na", "null", "none", "n/a", "-", ".", "?"}
_ENOUGH = 8  # rows below whose letters tell anything


def looks_like_header(rows: list[list[str]], *, num_ids: int) -> bool:
    """Whether the first of these rows names the columns.

    It is none where one of its cells stands below it in its column, or differs from such a cell by digits only: then it
    is a row like the others. Else it is one where

    - its id cells are usual names of columns ("source", "gene_a", "FromNodeId"), or belong together ("a_id", "b_id"),
      and no id below is such a word; for one id column an empty first cell counts;
    - its cells are no numbers, and some column below it holds numbers only;
    - its cells count 0, 1, 2, ... or 1, 2, 3, ... and no column below holds numbers only;
    - all of its cells are written otherwise than the cells below: with small letters where none of these has any.

    Args:
        rows: cells of the first lines, stripped, all rows of one width.
        num_ids: number of id columns.
    Example:
        >>> looks_like_header([["source", "target"], ["p53", "mdm2"]], num_ids=2)
        True
        >>> looks_like_header([["p53", "mdm2"], ["atm", "p53"]], num_ids=2)
        False
        >>> looks_like_header([["tf", "bait", "weight"], ["p53", "mdm2", "0.5"]], num_ids=2)
        True
        >>> looks_like_header([["BRCA1", "BRCA2"], ["ATM", "CHEK2"]], num_ids=2)
        False
    """
    first, below = rows[0], rows[1:]
    width = len(first)
    columns = [[row[i] for row in below] for i in range(width)]
    numeric = [_all_numbers(column) for column in columns]
    if _is_a_row(first, columns, numeric, num_ids):
        return False
    if num_ids == 1 and (first[0] == "" or is_header_word(first[0])):
        return True
    counts = [cell for cell in first if cell.isdigit()]
    if counts and any(numeric[i] for i, cell in enumerate(first) if is_number(cell)):
        named = any(is_attribute_word(cell) for cell in first)
        return named and counts in ([str(i) for i in range(len(counts))], [str(i + 1) for i in range(len(counts))])
    if any(is_number(cell) for cell in first):
        counted = first in ([str(i) for i in range(width)], [str(i + 1) for i in range(width)])
        return counted and len(below) >= _ENOUGH and width > 1
    if _has_names(first, columns, numeric, num_ids):
        return True
    ids = first[1 : num_ids + 1] if first[0] == "" else first[:num_ids]  # an index of pandas has no name
    if "" not in ids and any(
        cell and cell.lower() not in _NOTHING and number for cell, number in zip(first, numeric, strict=True)
    ):
        return True
    return num_ids > 1 and _is_written_otherwise(first, columns)


def are_names(cells: Sequence[str]) -> bool:
    """Whether two cells or more are usual names of columns, or belong together, and none is a number.

    Example:
        >>> are_names(["#node1", "node2", "combined_score"]), are_names(["p53", "mdm2"]), are_names(["a_x", "b_x"])
        (True, False, True)
    """
    if any(map(is_number, cells)):
        return False
    usual = sum(is_header_word(cell) or is_attribute_word(cell) for cell in cells)
    return usual >= 2 or bool(named_ends(cells))


def is_number(cell: str) -> bool:
    """Whether a cell is a number, and no word that float() would take for one.

    Example:
        >>> is_number("-1e3"), is_number("nan"), is_number("p53")
        (True, False, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return cell.lower() not in NUMBER_WORDS and "_" not in cell


def _is_a_row(first: Sequence[str], columns: list[list[str]], numeric: list[bool], num_ids: int) -> bool:
    """Whether a cell of the first row stands below it too, or one that differs by digits only."""
    ids = {cell for column in columns[:num_ids] for cell in column} if len(first) <= num_ids else set()
    stems = {_stem(cell) for cell in ids}
    # PK names a column of PharmGKB and stands in it: where two names belong together they alone tell.
    ends = {i for each in named_ends(first)[:1] for i in (each.source, each.target)} if len(first) > num_ids else set()
    for i, cell in enumerate(first):
        if ends and i not in ends:
            continue
        if not cell or (is_number(cell) and (numeric[i] or len(columns[0]) < _ENOUGH)):
            continue
        seen = ids or set(columns[i])
        if cell in seen:
            return True
        if any(map(str.isdigit, cell)) and _stem(cell) in (stems or {_stem(other) for other in seen}):
            return True
    return False


def _has_names(first: Sequence[str], columns: list[list[str]], numeric: list[bool], num_ids: int) -> bool:
    names = [is_header_word(cell) for cell in first]
    texts = [i for i in range(len(first)) if not numeric[i]]
    below = {cell for i in (range(num_ids) if len(first) <= num_ids else texts) for cell in columns[i]}
    if num_ids == 1:
        return False
    letters = tuple(cell.lower() for cell in first[:2])
    if letters in _LETTERS:
        return bool(below) and all(len(cell) > 1 or cell.isdigit() for cell in columns[0] + columns[1])
    usual = sum(name or is_attribute_word(cell) for name, cell in zip(names, first, strict=True))
    if usual >= num_ids and any(names):
        distinct = [set(column) for column in columns]
        kinds = set().union(
            *(cells for cells, column in zip(distinct, columns, strict=True) if len(cells) * 5 < len(column))
        )
        return not any(_is_plain_word(cell) for cell in below - (kinds if len(first) > num_ids else set()))
    for i, j in [(0, 1)] if len(first) == 2 else [(i, j) for i in texts[:12] for j in texts[:12] if i < j]:
        if are_paired(first[i], first[j]) and _is_spelled((first[i], first[j]), [columns[i], columns[j]]):
            return True
    return False


def _is_plain_word(cell: str) -> bool:
    return cell.isalpha() and is_header_word(cell)


def _is_spelled(pair: tuple[str, str], columns: list[list[str]]) -> bool:
    """Whether two names of unusual words are written as no two ids are, for BRCA1 and BRCA2 are a pair too.

    They share no word with the ids below, and have _ or a blank in them, or letters that these ids lack, or are short.
    """
    words = {word for column in columns for cell in column[:_ENOUGH] for word in tokens(cell)}
    if any(len(word) > 1 and not word.isdigit() and word in words for cell in pair for word in tokens(cell)):
        return False
    if all("_" in cell or " " in cell or re.fullmatch(r"(?i)(id|[vx])[a-z0-9]", cell) for cell in pair):
        return True
    return all(_lacks_small_letters(cell, column) for cell, column in zip(pair, columns, strict=True))


def _lacks_small_letters(cell: str, column: list[str]) -> bool:
    return any(map(str.islower, cell)) and len(column) >= _ENOUGH and not any(map(str.islower, "".join(column)))


def _is_written_otherwise(first: Sequence[str], columns: list[list[str]]) -> bool:
    """Whether all cells of the first row are words in small letters, digits apart, and no cell below has a small letter."""
    words = all(re.fullmatch(r"[A-Z]?[a-z]+([ _-]?[A-Za-z][a-z]*)*", cell) and len(cell) > 2 for cell in first)
    return words and all(_lacks_small_letters(cell, column) for cell, column in zip(first, columns, strict=True))


def _all_numbers(column: list[str]) -> bool:
    filled = [cell for cell in column if cell]
    return bool(filled) and all(map(is_number, filled))


def _stem(cell: str) -> str:
    return re.sub(r"\d+", "0", cell.lower())
