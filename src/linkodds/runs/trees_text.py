"""Trees text: trees.txt, where a run had its trees before they were arrays in model.safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from linkodds.errors import BrokenRun
from linkodds.models.structural.stack import FORESTS, forests_to_arrays
from linkodds.models.structural.trees import FIELDS, BinaryTree, Forest

HEADER = "linkodds.trees/1"
MAX_BYTES = 64_000_000


def add_trees_of_text(weights: Mapping[str, NDArray[Any]], path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a run, with the trees of its trees.txt among those of its stack.

    Args:
        weights: of model.safetensors; a stack, which may be a member of a mean, has an array `cut`.
        path: trees.txt.
    Raises:
        BrokenRun: it is not what linkodds wrote, or larger than a fit made it.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BrokenRun(f"{path.name} has more than {MAX_BYTES:,} bytes.")
    forests = read_forests(path.read_text(encoding="ascii"))
    prefixes = [name.removesuffix("cut") for name in weights if name.split(".")[-1] == "cut"]
    if len(forests) != len(FORESTS) or len(prefixes) != 1:
        raise BrokenRun(f"{path.name} does not fit model.safetensors.")
    trees = forests_to_arrays(forests)
    return {**weights, **{f"{prefixes[0]}{name}": array for name, array in trees.items()}}


def read_forests(text: str) -> list[Forest]:
    """Forests of a text that nobody vouches for.

    Raises:
        BrokenRun: it is not what linkodds wrote, or not trees.
    Example:
        >>> lines = ["split_feature=0", "threshold=0.5", "left_child=-1", "right_child=-2", "leaf_value=-1.0 2.0"]
        >>> text = "\\n".join([HEADER, "forest num_inputs=1", "tree", *lines, "end", ""])
        >>> read_forests(text)[0].trees
        (BinaryTree(split_feature=(0,), threshold=(0.5,), left_child=(-1,), right_child=(-2,), leaf_value=(-1.0, 2.0)),)
        >>> read_forests(text.replace("left_child=-1", "left_child=70"))
        Traceback (most recent call last):
        linkodds.errors.BrokenRun: trees.txt: a tree's children are not its splits and leaves, once each.
    """
    lines = text.split("\n")
    if lines[0] != HEADER or lines[-2:] != ["end", ""]:
        raise BrokenRun(f"trees.txt is no complete file in the format {HEADER}.")
    forests: list[tuple[int, list[BinaryTree]]] = []
    at, end = 1, len(lines) - 2
    try:
        while at < end:
            word, _, rest = lines[at].partition(" num_inputs=")
            fields = lines[at + 1 : at + 1 + len(FIELDS)]
            if word == "forest":
                forests.append((int(rest), []))
                at += 1
            elif lines[at] == "tree" and [line.partition("=")[0] for line in fields] == list(FIELDS):
                forests[-1][1].append(BinaryTree.of_lines(fields))
                at += 1 + len(FIELDS)
            else:
                raise ValueError(f"line {at + 1}")
        return [Forest(tuple(trees), num_inputs) for num_inputs, trees in forests]
    except BrokenRun as error:
        raise BrokenRun(f"trees.txt: {error}") from error
    except (ValueError, IndexError) as error:
        raise BrokenRun(f"trees.txt cannot be read: {error}") from error
