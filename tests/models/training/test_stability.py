"""What keeps a training alive: features of any size reach the first layer at a size that one step cannot ruin."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from linkodds.graph.features import Features
from linkodds.models.autoencoders.autoencoder import encoder_inputs
from linkodds.models.autoencoders.propagation import SparseMatrix


def values(features: Features) -> np.ndarray:
    inputs = encoder_inputs(features, "cpu")
    if isinstance(inputs, SparseMatrix):
        return (inputs @ torch.eye(features.matrix.shape[1])).numpy()
    return inputs.numpy()


def test_raw_features_are_divided_by_the_length_of_their_mean_row_where_that_is_large():
    raw = np.array([[30.0, 0.0, 8.0], [50.0, 60.0, 0.0]], dtype=np.float32)  # mean 40, 30, 4
    length = np.sqrt(40**2 + 30**2 + 4**2)
    np.testing.assert_allclose(values(Features(raw, "none")), raw / length, rtol=1e-6)
    np.testing.assert_allclose(values(Features(sp.csr_array(raw), "none")), raw / length, rtol=1e-6)


def test_raw_features_without_a_mean_are_divided_by_their_root_mean_square():
    raw = np.array([[300.0, 0.0], [-300.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(values(Features(raw, "none")), raw / np.sqrt(300**2 / 2), rtol=1e-6)
    np.testing.assert_allclose(values(Features(sp.csr_array(raw), "none")), raw / np.sqrt(300**2 / 2), rtol=1e-6)


@pytest.mark.parametrize("scaling", ["standard", "row"])
def test_features_that_were_scaled_and_small_ones_stay_as_they_are(scaling):
    large = np.array([[30.0, 0.0], [50.0, 60.0]], dtype=np.float32)
    np.testing.assert_array_equal(values(Features(large, scaling)), large)
    np.testing.assert_array_equal(values(Features(large / 1000, "none")), large / 1000)


def test_the_largest_float32_does_not_overflow_on_the_way():
    raw = np.full((4, 3), 3e38, dtype=np.float32)
    np.testing.assert_allclose(values(Features(raw, "none")), np.full((4, 3), 3**-0.5), rtol=1e-6)
    assert encoder_inputs(None, "cpu") is None
