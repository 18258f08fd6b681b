"""The pair network: gradients, planted odds, arrays, and bits that no number of threads changes."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from linkodds.errors import BrokenRun
from linkodds.models.structural.numpy_mlp import EDGE_WEIGHT, NumpyMLP, _gradients, fit_network


def some_network(seed: int = 0) -> NumpyMLP:
    rng = np.random.default_rng(seed)
    members = tuple(
        tuple(rng.normal(size=shape).astype(np.float32) for shape in ((4, 5), (6, 2), (3, 1))) for _ in range(2)
    )
    usual, mean, deviation = (rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(3))
    return NumpyMLP(usual, mean, deviation, members)


def test_logits_are_the_mean_of_the_members_by_hand():
    network, x = some_network(), np.array([[1.0, -2.0, 0.0]], dtype=np.float32)
    z = np.sign(x) * np.log1p(np.abs(x / network.usual.astype(float)))
    z = np.clip((z - network.mean) / network.deviation, -4, 4)
    logits = []
    for first, second, third in network.members:
        h = np.maximum(np.append(z, 1.0) @ first, 0)
        h = np.maximum(np.append(h, 1.0) @ second, 0)
        logits.append((np.append(h, 1.0) @ third).item())
    np.testing.assert_allclose(network.logits(x), [np.mean(logits)], rtol=1e-12)


def test_gradients_are_differences():
    rng = np.random.default_rng(1)
    matrices = [rng.normal(size=shape) for shape in ((3, 4), (5, 1))]
    x, label = np.column_stack([rng.normal(size=(6, 2)), np.ones(6)]), rng.integers(0, 2, 6).astype(float)
    weight = rng.uniform(0.5, 2, 6)

    def loss() -> float:
        hidden = np.column_stack([np.maximum(x @ matrices[0], 0), np.ones(6)])
        logit = (hidden @ matrices[1])[:, 0]
        return float((weight * (np.logaddexp(0, logit) - label * logit)).mean())

    for matrix, gradient in zip(matrices, _gradients(matrices, x, label, weight), strict=True):
        for place in np.ndindex(matrix.shape):
            before, step = matrix[place], 1e-5
            ends = []
            for moved in (before + step, before - step):
                matrix[place] = moved
                ends.append(loss())
            matrix[place] = before
            # Hidden units are float32 inside: their gradient is as exact as that.
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-5)


def planted(num_rows: int = 6000):
    """Log odds -4 + 1.5 log(1 + x), half of the rows without an edge standing for three pairs each."""
    rng = np.random.default_rng(2)
    x = rng.exponential(3, size=num_rows)
    logit = -4 + 1.5 * np.log1p(x)
    is_edge = rng.random(num_rows) < 1 / (1 + np.exp(-logit))
    keep = is_edge | (rng.random(num_rows) < 1 / 3)
    inputs = np.column_stack([x, np.zeros(num_rows)])[keep].astype(np.float32)
    return inputs, is_edge[keep], np.where(is_edge[keep], 1.0, 3.0), logit[keep]


def test_planted_log_odds_are_found_though_edges_weigh_more_in_training():
    """One edge in EDGE_WEIGHT would move them by log(30) = 3.4. Mean squared error without the inputs: their variance."""
    inputs, is_edge, weights, logit = planted()
    network = fit_network(inputs, is_edge, weights, widths=(8,), epochs=20, members=2, seeds=np.random.SeedSequence(0))
    found = network.logits(inputs)
    # 700 edges or so know the log odds to 1 / sqrt(700 / 4) for four parameters; five of these.
    assert np.abs(np.mean(found - logit)) < 5 / np.sqrt(is_edge.sum() / 4)
    assert np.mean((found - logit - np.mean(found - logit)) ** 2) < 0.1 * np.var(logit)
    assert np.log(EDGE_WEIGHT) > 3


def test_the_number_of_threads_does_not_change_a_bit():
    inputs, is_edge, weights, _ = planted()
    fits = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            fits.append(
                fit_network(
                    inputs, is_edge, weights, widths=(64, 64), epochs=1, members=1, seeds=np.random.SeedSequence(0)
                )
            )
    for name, array in fits[0].to_arrays("x").items():
        np.testing.assert_array_equal(array, fits[1].to_arrays("x")[name])


def test_arrays_give_the_network_again_and_others_are_refused():
    network = some_network()
    arrays = network.to_arrays("close") | some_network(1).to_arrays("broad")
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    again = NumpyMLP.from_arrays(arrays, "close", 3)
    np.testing.assert_array_equal(again.logits(x), network.logits(x))
    assert again.num_parameters == 2 * (20 + 12 + 3)
    for name, spoil in (
        ("close.usual", lambda a: -a),
        ("close.mean", lambda a: a * np.nan),
        ("close.deviation", lambda a: a[:-1]),
        ("close.0.1", lambda a: a[:-1]),
        ("close.1.2", lambda a: np.hstack([a, a])),
        ("close.1.0", lambda a: a.astype(np.float64)),
    ):
        with pytest.raises(BrokenRun, match=r"model\.safetensors"):
            NumpyMLP.from_arrays(arrays | {name: spoil(arrays[name])}, "close", 3)
    with pytest.raises(BrokenRun, match="lacks"):
        NumpyMLP.from_arrays({k: v for k, v in arrays.items() if k != "close.1.1"}, "close", 3)
