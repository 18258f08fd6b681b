import numpy as np
import scipy.sparse as sp
import torch

from linkodds.graph.features import Features
from linkodds.models.autoencoders.encoder import GraphEncoder, LinearEncoder, TableEncoder, input_matrix
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency


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


def test_a_linear_encoder_is_one_propagation_of_features_or_table():
    rng = np.random.default_rng(1)
    a = normalized_adjacency(sp.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)))
    x = rng.normal(size=(3, 5)).astype(np.float32)
    encoder = LinearEncoder(5, 2, 0.5, torch.Generator().manual_seed(0))
    got = encoder(SparseMatrix.from_scipy(a), input_matrix(Features(x, "none"), "cpu"), None).detach().numpy()
    np.testing.assert_allclose(got, a.toarray() @ x @ encoder.first.detach().numpy(), rtol=1e-4, atol=1e-6)
    table = LinearEncoder(3, 2, 0.5, torch.Generator().manual_seed(0))
    got = table(SparseMatrix.from_scipy(a), None, None).detach().numpy()
    np.testing.assert_allclose(got, a.toarray() @ table.first.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_table_encoder_adds_twice_smoothed_features_to_free_rows():
    rng = np.random.default_rng(1)
    a = normalized_adjacency(sp.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)))
    x = rng.normal(size=(3, 5)).astype(np.float32)
    encoder = TableEncoder(3, 5, 2, torch.Generator().manual_seed(0))
    inputs, propagation = input_matrix(Features(x, "none"), "cpu"), SparseMatrix.from_scipy(a)
    torch.testing.assert_close(encoder(propagation, inputs, None), encoder.table)  # features start silent
    with torch.no_grad():
        encoder.first.copy_(torch.from_numpy(rng.normal(size=(5, 2)).astype(np.float32)))
    expected = encoder.table.detach().numpy() + a.toarray() @ a.toarray() @ x @ encoder.first.detach().numpy()
    np.testing.assert_allclose(encoder(propagation, inputs, None).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    alone = TableEncoder(3, None, 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(alone(propagation, None, None), alone.table)


def test_features_beside_a_table_are_measured_as_the_dense_product_is():
    rng = np.random.default_rng(2)
    a = normalized_adjacency(sp.csr_array((rng.random((20, 20)) < 0.2).astype(np.float32)))
    x = rng.normal(size=(20, 300)).astype(np.float32)  # more columns than are smoothed at a time
    smoothed = a.toarray() @ a.toarray() @ x
    for matrix in (x, sp.csr_array(x)):
        encoder = TableEncoder(20, 300, 2, torch.Generator().manual_seed(0))
        encoder.measure_features(SparseMatrix.from_scipy(a), input_matrix(Features(matrix, "none"), "cpu"))
        table, first = encoder.paces()
        assert (table.weights, first.weights) == ([encoder.table], [encoder.first])
        assert (table.learning_rate, table.weight_decay) == (1.0, 1.0)
        np.testing.assert_allclose(1 / first.learning_rate, np.abs(smoothed).sum(axis=1).mean(), rtol=1e-5)
        np.testing.assert_allclose(first.weight_decay, np.square(smoothed).sum(axis=1).mean(), rtol=1e-5)
