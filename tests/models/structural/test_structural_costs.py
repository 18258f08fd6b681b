"""The counted work of a stack: parts by hand, and what it grows with."""

from dataclasses import replace

import numpy as np
import pytest

from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.structural_costs import StackSizes, scoring_work, stack_work, trees_work, walk_work
from linkodds.models.structural.structural_counts import StructuralCounts
from linkodds.models.training.cost_model import nominal_seconds

SMALL = StackSizes(10, 10, 10, 20, 45, directed=False, bipartite=False, dimensions=0)


def test_walks_by_hand():
    """9 products of 40 entries of 12 bytes, with 2 x 10 doubles; across sides 8 of 20 entries."""
    assert walk_work(SMALL).bytes == 9 * (40 * 12 + 2 * 8 * 10)
    assert walk_work(replace(SMALL, bipartite=True)).bytes == 8 * (20 * 12 + 2 * 8 * 10)


@pytest.mark.parametrize("graph", ["communities", "directed_ring", "two_sides"])
def test_sizes_are_those_of_the_split_and_inputs_those_of_the_counts(graph, request):
    split = split_edges(request.getfixturevalue(graph), rng=np.random.default_rng(0))
    for columns in (0, 5):
        rng = np.random.default_rng(0)
        table = rng.normal(size=(split.space.num_nodes, columns)).astype(np.float32)
        features = Features(table, "none") if columns else None
        sizes = StackSizes.of(split, features)
        counts = StructuralCounts.of(split.message_graph(), split.space, features, rng)
        assert (sizes.inputs, sizes.broad_inputs) == (len(counts.names), len(counts.broad_names))
        assert sizes.dimensions == columns
        assert sizes.edges == len(split.train)
        assert sizes.rows * sizes.columns >= sizes.pairs


def test_more_pairs_trees_and_folds_take_longer():
    yeast = StackSizes(2375, 2375, 2375, 9354, 2_819_125, directed=False, bipartite=False, dimensions=0)
    usual = StackOptions()
    assert nominal_seconds(stack_work(yeast)) < nominal_seconds(stack_work(yeast, replace(usual, folds=20)))
    assert scoring_work(yeast, usual).bytes < scoring_work(replace(yeast, pairs=2 * yeast.pairs), usual).bytes
    halved = replace(usual, close_rounds=usual.close_rounds // 2)
    assert trees_work(yeast, halved).bytes < trees_work(yeast, usual).bytes
    assert nominal_seconds(stack_work(yeast)) < nominal_seconds(stack_work(replace(yeast, dimensions=384)))
