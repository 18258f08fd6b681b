import numpy as np
import pytest
import scipy.sparse as sp
import torch

from linkodds.encoder import GraphEncoder, SparseMatrix, input_matrix, log_deviation, normalized_adjacency
from linkodds.features import Features


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dim", [1, 7, 64])
def test_sparse_product_and_its_gradient_equal_the_dense_twin(dtype, dim):
    """Rectangular, asymmetric, with empty rows and columns: nothing may rely on the matrix being its own transpose."""
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((30, 20)) < 0.1, rng.normal(size=(30, 20)), 0).astype(np.float32)
    assert (dense == 0).all(axis=1).any()
    x = torch.from_numpy(rng.normal(size=(20, dim))).to(dtype).requires_grad_()
    product = SparseMatrix.from_scipy(sp.csr_array(dense)) @ x
    twin = torch.from_numpy(dense).to(dtype) @ x
    torch.testing.assert_close(product, twin, rtol=1e-5, atol=1e-6)
    weight = torch.from_numpy(rng.normal(size=(30, dim))).to(dtype)
    ours, theirs = (torch.autograd.grad((each * weight).sum(), x)[0] for each in (product, twin))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_dropped_matrix_has_the_gradient_of_its_own_entries():
    dense = np.arange(1.0, 13.0).reshape(3, 4)
    dropped = SparseMatrix.from_scipy(sp.csr_array(dense)).dropped(0.5, torch.Generator().manual_seed(0))
    entries = (dropped @ torch.eye(4)).numpy()
    assert ((entries == 0) | (entries == 2 * dense)).all()
    assert 0 < (entries == 0).sum() < 12
    x = torch.ones(4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad((dropped @ x).sum(), x)
    np.testing.assert_allclose(gradient.numpy(), np.repeat(entries.sum(0)[:, None], 2, axis=1))


def test_normalized_adjacency_is_the_dense_formula_with_an_isolated_node():
    a = np.zeros((4, 4), dtype=np.float32)
    a[0, 1] = a[1, 0] = a[1, 2] = a[2, 1] = 1
    degree = (a + np.eye(4)).sum(1)
    expected = (a + np.eye(4)) / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(normalized_adjacency(sp.csr_array(a)).toarray(), expected, rtol=1e-6)


def test_encoder_is_two_convolutions_with_a_relu_between():
    rng = np.random.default_rng(1)
    a = normalized_adjacency(sp.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)))
    x = rng.normal(size=(3, 5)).astype(np.float32)
    encoder = GraphEncoder(5, 4, 2, 0.5, torch.Generator().manual_seed(0))
    got = encoder(SparseMatrix.from_scipy(a), input_matrix(Features(x, "none"), "cpu"), None)
    first, second = encoder.first.detach().numpy(), encoder.second.detach().numpy()
    dense = a.toarray()
    expected = dense @ np.maximum(dense @ x @ first, 0) @ second
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_no_features_is_the_same_as_the_identity_matrix():
    a = SparseMatrix.from_scipy(normalized_adjacency(sp.csr_array(np.array([[0, 1], [1, 0]], dtype=np.float32))))
    encoder = GraphEncoder(2, 4, 3, 0.0, torch.Generator().manual_seed(0))
    identity = input_matrix(Features(sp.eye_array(2, format="csr", dtype=np.float32), "none"), "cpu")
    torch.testing.assert_close(encoder(a, None, None), encoder(a, identity, None))


def test_dropout_needs_its_own_generator_and_repeats_with_it():
    a = SparseMatrix.from_scipy(sp.csr_array(np.eye(50, dtype=np.float32)))
    encoder = GraphEncoder(50, 8, 3, 0.5, torch.Generator().manual_seed(0))
    one, same, other = (encoder(a, None, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(one, same)
    assert not torch.equal(one, other)
    torch.testing.assert_close(encoder(a, None, None), encoder(a, None, None))


def test_log_deviation_is_bounded_on_both_sides_and_exp_of_it_stays_finite():
    head = torch.tensor([-1e30, 0.0, 1e30])
    deviation = log_deviation(head).exp()
    assert torch.isfinite(deviation.square()).all()
    assert deviation[1].item() == pytest.approx(np.exp(-2), rel=1e-6)
