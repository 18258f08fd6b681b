"""Trees as text, as runs of before have them: read as they stand, and nothing but trees is."""

import lightgbm
import numpy as np
import pytest

from linkodds.errors import BrokenRun
from linkodds.models.structural.stack import FORESTS, forests_to_arrays
from linkodds.models.structural.trees import Forest
from linkodds.runs.trees_text import HEADER, MAX_BYTES, add_trees_of_text, read_forests

TREE = [
    "tree",
    "split_feature=0 1",
    "threshold=0.5 0.25",
    "left_child=1 -1",
    "right_child=-3 -2",
    "leaf_value=1.0 2.0 3.0",
]
FOREST = ["forest num_inputs=2", *TREE]
TEXT = "\n".join([HEADER, *FOREST, "end", ""])


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


@pytest.mark.parametrize("prefix", ["", "member-2."])
def test_the_trees_go_to_the_arrays_of_the_stack_of_which_there_is_one(tmp_path, prefix):
    path = tmp_path / "trees.txt"
    path.write_text("\n".join([HEADER, *FOREST * len(FORESTS), "end", ""]))
    others = {"member-1.bias": np.zeros(1), f"{prefix}cut": np.zeros(1)}
    arrays = add_trees_of_text(others, path)
    (forest,) = read_forests(TEXT)
    expected = {f"{prefix}{name}": array for name, array in forests_to_arrays([forest] * len(FORESTS)).items()}
    assert arrays.keys() == others.keys() | expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
    broad = {name: arrays[f"{prefix}broad.{name}"] for name in forest.to_arrays()}
    assert Forest.from_arrays(broad).trees == forest.trees
    for weights in ({"member-1.bias": np.zeros(1)}, others | {"member-3.cut": np.zeros(1)}):
        with pytest.raises(BrokenRun, match=r"trees\.txt does not fit model\.safetensors"):
            add_trees_of_text(weights, path)
    path.write_text(TEXT)
    with pytest.raises(BrokenRun, match=r"trees\.txt does not fit model\.safetensors"):
        add_trees_of_text(others, path)


def test_a_text_larger_than_any_fit_made_is_not_read(tmp_path):
    path = tmp_path / "trees.txt"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(BrokenRun, match=r"more than 64,000,000 bytes"):
        add_trees_of_text({}, path)
