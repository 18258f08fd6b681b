"""Boosted trees as text: the same numbers come back, and nothing but trees does."""

import lightgbm
import numpy as np
import pytest

from linkodds.errors import BrokenRun
from linkodds.models.structural.trees import HEADER, Forest, forests_text, read_forests


@pytest.fixture(scope="module")
def trained() -> tuple[lightgbm.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    y = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=2000) > 0
    options = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 1}
    return lightgbm.train(options, lightgbm.Dataset(x, label=y), 20), x


def test_the_forest_has_the_bits_of_the_booster_before_and_after_text(trained):
    booster, x = trained
    expected = booster.predict(x, raw_score=True)
    forest = Forest.of_booster(booster)
    np.testing.assert_array_equal(forest.logits(x), expected)
    text = forests_text([forest, forest])
    again = read_forests(text)
    np.testing.assert_array_equal(again[1].logits(x), expected)
    assert forests_text(again) == text


def test_a_booster_that_found_no_split_is_a_constant():
    x = np.zeros((100, 2), dtype=np.float32)
    y = np.arange(100) < 25
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, label=y), 3)
    forest = Forest.of_booster(booster)
    np.testing.assert_array_equal(forest.logits(x), booster.predict(x, raw_score=True))
    np.testing.assert_array_equal(read_forests(forests_text([forest]))[0].logits(x), forest.logits(x))


TREE = [
    "tree",
    "split_feature=0 1",
    "threshold=0.5 0.25",
    "left_child=1 -1",
    "right_child=-3 -2",
    "leaf_value=1.0 2.0 3.0",
]
TEXT = "\n".join([HEADER, "forest num_inputs=2", *TREE, "end", ""])


def test_the_text_that_is_spoilt_below_is_read_as_it_stands():
    assert read_forests(TEXT)[0].logits(np.array([[0.5, 0.25], [0.5, 1], [1, 1]], dtype=np.float32)).tolist() == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("left_child=1 -1", "left_child=70 -1"),  # reads past the end
        ("left_child=1 -1", "left_child=1 -900000"),
        ("left_child=1 -1", "left_child=0 -1"),  # a loop
        ("left_child=1 -1", "left_child=1 1"),
        ("right_child=-3 -2", "right_child=-3 -3"),
        ("right_child=-3 -2", "right_child=-3"),
        ("split_feature=0 1", "split_feature=0 2"),  # an input that is not there
        ("split_feature=0 1", "split_feature=0 -1"),
        ("split_feature=0 1", "split_feature=0 99999999999999999999"),
        ("threshold=0.5 0.25", "threshold=0.5 nan"),
        ("threshold=0.5 0.25", "threshold=0.5 0x1p3"),
        ("leaf_value=1.0 2.0 3.0", "leaf_value=1.0 inf 3.0"),
        ("leaf_value=1.0 2.0 3.0", "leaf_value=1.0 2.0"),
        ("leaf_value=1.0 2.0 3.0", "leaf_value=" + "1.0 " * 100_000 + "1.0"),
        ("num_inputs=2", "num_inputs=2000000000"),
        ("num_inputs=2", "num_inputs=0"),
        ("num_inputs=2", "num_inputs=-1"),
        ("forest num_inputs=2\n", ""),
        ("\nend\n", "\n"),
        ("\nend\n", "\nTree=0\nend\n"),
        ("\nend\n", "\nend\nend\n"),
        (HEADER, "tree"),
    ],
)
def test_a_hostile_text_is_refused_before_lightgbm_sees_it(before, after, monkeypatch):
    monkeypatch.setattr(lightgbm, "Booster", None)
    assert before in TEXT
    with pytest.raises(BrokenRun, match="tree|forest|number"):
        read_forests(TEXT.replace(before, after))


def test_every_single_character_that_is_changed_leaves_trees_or_is_refused():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 2)).astype(np.float32)
    num_refused = 0
    for at in range(len(TEXT)):
        text = TEXT[:at] + chr(rng.integers(32, 127)) + TEXT[at + 1 :]
        try:
            forests = read_forests(text)
        except BrokenRun:
            num_refused += 1
            continue
        for forest in forests:
            assert forest.num_inputs == 2
            assert np.isfinite(forest.logits(x)).all()
    assert num_refused > len(TEXT) / 2
