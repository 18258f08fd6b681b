import numpy as np
import pytest
import scipy.sparse as sp
import torch

from linkodds.models.autoencoders.propagation import SparseMatrix, drop, normalized_adjacency


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mkl", [True, False])
def test_inner_products_of_entries_and_their_repeats(dtype, mkl, monkeypatch):
    """Both ways to make them, on a rectangular pattern with an empty row and an entry that is there twice."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    rng = np.random.default_rng(0)
    starts, columns = np.array([0, 3, 3, 5, 6]), np.array([0, 1, 1, 2, 4, 0])
    left, right = (torch.from_numpy(rng.normal(size=(rows, 7))).to(dtype) for rows in (4, 5))
    matrix = SparseMatrix.from_rows(starts, columns, shape=(4, 5))
    rows = np.array([0, 0, 0, 2, 2, 3])
    torch.testing.assert_close(matrix.products(left, right), (left[rows] * right[columns]).sum(1))
    dense = torch.zeros(4, 5, dtype=dtype).index_put(
        (torch.tensor(rows), torch.tensor(columns)), torch.ones(6, dtype=dtype), accumulate=True
    )
    torch.testing.assert_close(matrix @ right, dense @ right)
    torch.testing.assert_close(matrix.transposed_times(left), dense.T @ left)


def test_a_matrix_without_entries_multiplies_to_zeros():
    empty = SparseMatrix.from_pairs(np.empty((0, 2), dtype=np.int64), 3)
    ones = torch.ones(3, 2)
    assert (empty @ ones).abs().sum() == empty.transposed_times(ones).abs().sum() == 0
    assert empty.products(ones, ones).shape == (0,)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.73])
def test_dropout_drops_the_share_it_says_and_keeps_the_mean(rate):
    """Of 400,001 entries a binomial number is dropped (4.5 sigma: chance of more 7e-6); neighbours are independent."""
    count = 400_001
    dropped = drop(torch.ones(count), rate, torch.Generator().manual_seed(3))
    gone = (dropped == 0).double()
    deviation = (rate * (1 - rate) / count) ** 0.5
    assert abs(gone.mean().item() - rate) < 4.5 * deviation + 1 / 2**17
    np.testing.assert_allclose(dropped[dropped > 0].numpy(), 1 / (1 - rate), rtol=1e-4)
    for lag in (1, 2, 3, 4):  # four neighbours share one draw
        both = (gone[lag:] * gone[:-lag]).mean().item()
        assert abs(both - rate**2) < 4.5 * (rate**2 / count) ** 0.5 + 2 / 2**16
    assert drop(gone, 0.0, torch.Generator()) is gone


def test_the_direction_of_an_edge_is_left_out_of_propagation_and_halves_nothing():
    """0 -> 1 and 1 <-> 2: both are edges of weight 1 of the undirected graph."""
    a = np.zeros((4, 4), dtype=np.float32)
    a[0, 1] = a[1, 2] = a[2, 1] = 1
    either = np.maximum(a, a.T) + np.eye(4)
    degree = either.sum(1)
    expected = either / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(normalized_adjacency(sp.csr_array(a)).toarray(), expected, rtol=1e-6)
