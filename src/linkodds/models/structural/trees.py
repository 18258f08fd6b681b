"""Trees: boosted trees as checked numbers, stored as arrays, and read back without trusting any of them.

LightGBM's own reader believes what a model file says: a child index out of range makes it read memory that is not its
own. So its reader never sees a file. What is read here must be trees (every child named once, every split on an input that
exists, every number finite), within sizes that a fit keeps; LightGBM then gets text that is written anew from the numbers.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun

if TYPE_CHECKING:
    import lightgbm  # it takes a second to load, so only what needs it loads it

MAX_TREES = 5_000
MAX_LEAVES = 256
FIELDS: dict[str, type[Any]] = {
    "split_feature": int,
    "threshold": float,
    "left_child": int,
    "right_child": int,
    "leaf_value": float,
}
"""Of a tree, by the names that LightGBM has for them; the last has an entry a leaf, the others have one a split."""
_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(np.int32 if kind is int else np.float64)
    for name, kind in (FIELDS | {"num_leaves": int, "num_inputs": int}).items()
}


@dataclass(frozen=True)
class BinaryTree:
    """One tree; a value at or below its threshold goes left.

    Args:
        split_feature: of each split, the root first: column of the inputs.
        threshold: of each split.
        left_child: of each split: another split, or -1 - leaf.
        right_child: the same.
        leaf_value: one more than splits.
    """

    split_feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left_child: tuple[int, ...]
    right_child: tuple[int, ...]
    leaf_value: tuple[float, ...]

    def refuse_malformed(self, num_inputs: int) -> None:
        """Raise unless this is a tree over `num_inputs` inputs.

        Raises:
            BrokenRun: with what is wrong.
        """
        leaves, splits = len(self.leaf_value), len(self.split_feature)
        if not 1 <= leaves <= MAX_LEAVES or splits != leaves - 1:
            raise BrokenRun(f"a tree has {leaves} leaves and {splits} splits.")
        if any(len(each) != splits for each in (self.threshold, self.left_child, self.right_child)):
            raise BrokenRun("a tree's lists are not of one length.")
        if not all(0 <= each < num_inputs for each in self.split_feature):
            raise BrokenRun(f"a tree splits on an input that is not among the {num_inputs}.")
        if not all(map(math.isfinite, (*self.threshold, *self.leaf_value))):
            raise BrokenRun("a tree holds a number that is not finite.")
        # Each split but the root, and each leaf, is the child of exactly one split that comes before it.
        children = sorted((*self.left_child, *self.right_child))
        if children != [*range(-leaves, 0), *range(1, splits)] and splits:
            raise BrokenRun("a tree's children are not its splits and leaves, once each.")
        if any(0 <= child <= i for side in (self.left_child, self.right_child) for i, child in enumerate(side)):
            raise BrokenRun("a tree's split comes before its parent.")

    def sums_below(self, of_leaves: Sequence[int]) -> list[int]:
        """The sum over the leaves below each split.

        Example:
            >>> BinaryTree((0, 1), (0.5, 0.5), (1, -1), (-3, -2), (0.0, 1.0, 2.0)).sums_below([1, 2, 4])
            [7, 3]
        """
        sums = [0] * len(self.split_feature)
        for split in reversed(range(len(sums))):  # children come after their parent
            sums[split] = sum(
                sums[child] if child >= 0 else of_leaves[-1 - child]
                for child in (self.left_child[split], self.right_child[split])
            )
        return sums

    def lines(self) -> Iterator[str]:
        """The fields as text, numbers in the shortest form that reads back as the same."""
        for name in FIELDS:
            yield f"{name}={' '.join(map(repr, getattr(self, name)))}"

    @staticmethod
    def of_lines(lines: Iterable[str]) -> "BinaryTree":
        """From lines like those of `lines`; a field without a line is empty, and other lines are left aside.

        Raises:
            ValueError: a number that is none.
        """
        texts = dict(line.split("=", 1) for line in lines if "=" in line)
        return BinaryTree(*(tuple(map(kind, texts.get(name, "").split())) for name, kind in FIELDS.items()))


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose values add up to a logit.

    Args:
        trees: at least one.
        num_inputs: columns that they may split on.
    Raises:
        BrokenRun: no trees, too many, or one that is none.
    Example:
        >>> stump = BinaryTree((0,), (0.5,), (-1,), (-2,), (-1.0, 2.0))
        >>> Forest((stump, stump), num_inputs=1).logits(np.array([[0.0], [1.0]], dtype=np.float32))
        array([-2.,  4.])
    """

    trees: tuple[BinaryTree, ...]
    num_inputs: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.trees) <= MAX_TREES or not 1 <= self.num_inputs <= 10_000:
            raise BrokenRun(f"a forest has {len(self.trees)} trees over {self.num_inputs} inputs.")
        for tree in self.trees:
            tree.refuse_malformed(self.num_inputs)

    @staticmethod
    def of_booster(booster: "lightgbm.Booster") -> "Forest":
        """The trees of a trained booster with one output."""
        blocks = booster.model_to_string().split("\nTree=")[1:]
        trees = tuple(BinaryTree.of_lines(block.split("\n\n", 1)[0].splitlines()) for block in blocks)
        return Forest(trees, booster.num_feature())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fields of all trees, one tree after the other, by name; num_leaves of each tree; num_inputs, one number."""
        lists = {name: [value for tree in self.trees for value in getattr(tree, name)] for name in FIELDS}
        lists |= {"num_leaves": [len(tree.leaf_value) for tree in self.trees], "num_inputs": [self.num_inputs]}
        return {name: np.array(values, dtype=_DTYPES[name]) for name, values in lists.items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "Forest":
        """From arrays that nobody vouches for.

        Args:
            arrays: as `to_arrays` gives them.
        Raises:
            BrokenRun: an array is missing, of another dtype or another length, or what they hold is no forest.
        Example:
            >>> stump = BinaryTree((0,), (0.5,), (-1,), (-2,), (-1.0, 2.0))
            >>> arrays = Forest((stump, stump), num_inputs=1).to_arrays()
            >>> Forest.from_arrays(arrays).trees == (stump, stump)
            True
            >>> Forest.from_arrays(arrays | {"left_child": np.array([-1, 70], dtype=np.int32)})
            Traceback (most recent call last):
            linkodds.errors.BrokenRun: a tree's children are not its splits and leaves, once each.
        """
        for name, dtype in _DTYPES.items():
            if name not in arrays or arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise BrokenRun(f"{name} is missing, or is no list of {dtype}.")
        leaves = arrays["num_leaves"].astype(np.int64)
        if not 1 <= len(leaves) <= MAX_TREES or not 1 <= leaves.min() <= leaves.max() <= MAX_LEAVES:
            raise BrokenRun(f"num_leaves are not those of 1 to {MAX_TREES:,} trees with 1 to {MAX_LEAVES} leaves each.")
        parts = []
        for name in FIELDS:
            ends = np.cumsum(leaves if name == "leaf_value" else leaves - 1)
            if len(arrays[name]) != ends[-1]:
                raise BrokenRun(f"{name} has {len(arrays[name]):,} entries, and the trees have {ends[-1]:,}.")
            parts.append([tuple(part.tolist()) for part in np.split(arrays[name], ends[:-1])])
        if len(arrays["num_inputs"]) != 1:
            raise BrokenRun(f"num_inputs has {len(arrays['num_inputs']):,} entries, and there is one number of them.")
        trees = (BinaryTree(*fields) for fields in zip(*parts, strict=True))
        return Forest(tuple(trees), int(arrays["num_inputs"][0]))

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum over the trees for each row of the inputs, shape (pairs,), float64; one thread, whoever calls.

        Args:
            inputs: shape (pairs, num_inputs), float32, every value finite.
        """
        if not len(inputs):
            return np.empty(0)
        return np.asarray(self._booster.predict(inputs, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, inputs: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each input adds to the logit, by Shapley values along the paths of the trees.

        (Lundberg, Erion and Lee, Consistent individualized feature attribution for tree ensembles, 2018, algorithm 2, as
        LightGBM has it.) An input that is not known takes both ways at a split, in the shares in which `background` takes
        them; each leaf counts once more, so that none is unheard of.

        Args:
            inputs: shape (pairs, num_inputs), float32.
            background: shape (rows, num_inputs), float32, what the pairs are held against; at least one row.
        Returns:
            Shape (pairs, num_inputs + 1), float64: last what the background has on average; a row adds up to the logit.
        Example:
            >>> stump = BinaryTree((0,), (0.5,), (-1,), (-2,), (-1.0, 2.0))
            >>> two_of_each = np.array([[0.0, 7.0]] * 2 + [[1.0, 7.0]] * 2, dtype=np.float32)
            >>> Forest((stump,), num_inputs=2).contributions(np.array([[1.0, 3.0]], dtype=np.float32), two_of_each)
            array([[1.5, 0. , 0.5]])
        """
        import lightgbm

        leaves = np.asarray(self._booster.predict(background, pred_leaf=True, num_threads=1)).reshape(
            len(background), -1
        )
        counts = [
            (1 + np.bincount(leaves[:, i], minlength=len(tree.leaf_value))).tolist()
            for i, tree in enumerate(self.trees)
        ]
        booster = lightgbm.Booster(model_str=self._text(counts))
        shape = len(inputs), self.num_inputs + 1
        if not len(inputs):
            return np.empty(shape)
        return np.asarray(booster.predict(inputs, pred_contrib=True, num_threads=1), dtype=np.float64).reshape(shape)

    @cached_property
    def _booster(self) -> "lightgbm.Booster":
        import lightgbm

        return lightgbm.Booster(model_str=self._text())

    def _text(self, leaf_counts: list[list[int]] | None = None) -> str:
        """What LightGBM reads, with the fields that it asks for and no others."""
        blocks = []
        for i, tree in enumerate(self.trees):
            of_leaves = [0] * len(tree.leaf_value) if leaf_counts is None else leaf_counts[i]
            splits = len(tree.split_feature)
            lines = [f"Tree={i}", f"num_leaves={len(tree.leaf_value)}", "num_cat=0"]
            if splits:
                lines += [*tree.lines(), f"decision_type={' '.join(['2'] * splits)}"]
                lines += [f"split_gain={' '.join(['0'] * splits)}", f"internal_value={' '.join(['0'] * splits)}"]
                of_splits = tree.sums_below(of_leaves)
                lines += [
                    f"internal_weight={' '.join(['0'] * splits)}",
                    f"internal_count={' '.join(map(str, of_splits))}",
                ]
            else:
                lines.append(f"leaf_value={tree.leaf_value[0]!r}")
            zeros = " ".join(["0"] * (splits + 1))
            lines += [
                f"leaf_weight={zeros}",
                f"leaf_count={' '.join(map(str, of_leaves))}",
                "is_linear=0",
                "shrinkage=1",
            ]
            blocks.append("\n".join(lines) + "\n\n\n")
        names = [f"x{i}" for i in range(self.num_inputs)]
        head = [
            *("tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0"),
            f"max_feature_idx={self.num_inputs - 1}",
            f"feature_names={' '.join(names)}",
            f"feature_infos={' '.join(['[-1e308:1e308]'] * self.num_inputs)}",
            f"tree_sizes={' '.join(str(len(block)) for block in blocks)}",
        ]
        return "\n".join(head) + "\n\n" + "".join(blocks) + "end of trees\n"
