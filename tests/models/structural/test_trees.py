"""Trees as arrays: the same numbers come back, and nothing but trees does."""

import lightgbm
import numpy as np
import pytest

from linkodds.errors import BrokenRun
from linkodds.models.structural.trees import MAX_LEAVES, MAX_TREES, BinaryTree, Forest


@pytest.fixture(scope="module")
def trained() -> tuple[lightgbm.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    y = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=2000) > 0
    options = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 1}
    return lightgbm.train(options, lightgbm.Dataset(x, label=y), 20), x


def check_same_arrays(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> None:
    assert one.keys() == two.keys()
    for name, array in one.items():
        assert (array.dtype, array.tobytes()) == (two[name].dtype, two[name].tobytes()), name


def test_the_forest_has_the_bits_of_the_booster_before_and_after_arrays(trained):
    booster, x = trained
    expected = booster.predict(x, raw_score=True)
    forest = Forest.of_booster(booster)
    np.testing.assert_array_equal(forest.logits(x), expected)
    arrays = forest.to_arrays()
    again = Forest.from_arrays(arrays)
    np.testing.assert_array_equal(again.logits(x), expected)
    check_same_arrays(again.to_arrays(), arrays)


def test_a_booster_that_found_no_split_is_a_constant():
    x = np.zeros((100, 2), dtype=np.float32)
    y = np.arange(100) < 25
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, label=y), 3)
    forest = Forest.of_booster(booster)
    np.testing.assert_array_equal(forest.logits(x), booster.predict(x, raw_score=True))
    np.testing.assert_array_equal(Forest.from_arrays(forest.to_arrays()).logits(x), forest.logits(x))


TREE = BinaryTree((0, 1), (0.5, 0.25), (1, -1), (-3, -2), (1.0, 2.0, 3.0))
CONSTANT = BinaryTree((), (), (), (), (10.0,))
ARRAYS = Forest((TREE, CONSTANT, TREE), num_inputs=2).to_arrays()


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_the_arrays_that_are_spoilt_below_are_read_as_they_stand():
    """By hand: twice the leaf of the tree, and 10."""
    check_same_arrays(
        ARRAYS,
        {
            "split_feature": ints(0, 1, 0, 1),
            "threshold": floats(0.5, 0.25, 0.5, 0.25),
            "left_child": ints(1, -1, 1, -1),
            "right_child": ints(-3, -2, -3, -2),
            "leaf_value": floats(1, 2, 3, 10, 1, 2, 3),
            "num_leaves": ints(3, 1, 3),
            "num_inputs": ints(2),
        },
    )
    x = np.array([[0.5, 0.25], [0.5, 1], [1, 1]], dtype=np.float32)
    assert Forest.from_arrays(ARRAYS).logits(x).tolist() == [12, 14, 16]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"left_child": ints(1, -1, 70, -1)}, "children are not its splits and leaves"),  # reads past the end
        ({"left_child": ints(1, -1, 1, -900_000)}, "children are not its splits and leaves"),
        ({"left_child": ints(1, -1, 1, 1)}, "children are not its splits and leaves"),
        ({"right_child": ints(-3, -2, -3, -3)}, "children are not its splits and leaves"),
        ({"left_child": ints(1, -1, 0, -1)}, "children are not its splits and leaves"),  # a loop by way of the root
        ({"left_child": ints(-1, 1, 1, -1)}, "comes before its parent"),  # a loop that no root leads to
        ({"split_feature": ints(0, 1, 0, 2)}, "not among the 2"),  # an input that is not there
        ({"split_feature": ints(0, 1, 0, -1)}, "not among the 2"),
        ({"threshold": floats(0.5, 0.25, 0.5, np.nan)}, "not finite"),
        ({"leaf_value": floats(1, 2, 3, 10, 1, -np.inf, 3)}, "not finite"),
        ({"leaf_value": ARRAYS["leaf_value"][:-1]}, "leaf_value has 6 entries, and the trees have 7"),
        ({"right_child": ARRAYS["right_child"][:-1]}, "right_child has 3 entries, and the trees have 4"),
        ({"threshold": np.zeros(5)}, "threshold has 5 entries, and the trees have 4"),
        ({"leaf_value": ARRAYS["leaf_value"].astype(np.float32)}, "leaf_value is missing, or is no list of float64"),
        ({"left_child": ARRAYS["left_child"].astype(np.int64)}, "left_child is missing, or is no list of int32"),
        ({"right_child": ARRAYS["right_child"].reshape(2, 2)}, "right_child is missing, or is no list of int32"),
        ({"threshold": None}, "threshold is missing, or is no list of float64"),
        ({"num_leaves": None}, "num_leaves is missing"),
        ({"num_leaves": ints()}, "num_leaves are not those of"),
        ({"num_leaves": ints(3, -1, 5)}, "num_leaves are not those of"),
        ({"num_leaves": ints(3, 0, 4)}, "num_leaves are not those of"),
        ({"num_leaves": ints(*[1] * (MAX_TREES + 1))}, "num_leaves are not those of"),
        ({"num_leaves": ints(3, 1, MAX_LEAVES + 1)}, "num_leaves are not those of"),
        ({"num_leaves": ints(3, 1, 2_000_000_000)}, "num_leaves are not those of"),
        ({"num_leaves": ints(4, 1, 2)}, "a tree's children"),  # as many in all, cut in other places
        ({"num_inputs": ints(2_000_000_000)}, "over 2000000000 inputs"),
        ({"num_inputs": ints(0)}, "over 0 inputs"),
        ({"num_inputs": ints(-1)}, "over -1 inputs"),
        ({"num_inputs": ints(2, 2)}, "num_inputs has 2 entries"),
        ({"num_inputs": floats(2)}, "num_inputs is missing, or is no list of int32"),
    ],
)
def test_hostile_arrays_are_refused_before_lightgbm_sees_them(spoilt, said, monkeypatch):
    monkeypatch.setattr(lightgbm, "Booster", None)
    arrays = {name: array for name, array in (ARRAYS | spoilt).items() if array is not None}
    with pytest.raises(BrokenRun, match=said):
        Forest.from_arrays(arrays)


def test_every_single_byte_that_is_changed_leaves_trees_or_is_refused():
    rng = np.random.default_rng(0)
    num_refused = num_read = 0
    for name, array in ARRAYS.items():
        for at in range(array.nbytes):
            content = bytearray(array.tobytes())
            content[at] ^= int(rng.integers(1, 256))
            try:
                forest = Forest.from_arrays(ARRAYS | {name: np.frombuffer(bytes(content), dtype=array.dtype)})
            except BrokenRun:
                num_refused += 1
                continue
            num_read += 1
            x = rng.normal(size=(20, forest.num_inputs)).astype(np.float32)
            assert not np.isnan(forest.logits(x)).any()
    of_integers = sum(array.nbytes for array in ARRAYS.values() if array.dtype == np.int32)
    assert num_refused > 0.8 * of_integers  # two bytes of four, of an input or of the number of inputs, may be others
    assert num_read > 0
