"""PyG's VGAE by PyG's own example, cut down to what is ranked."""

import warnings

import numpy as np
import scipy.sparse as sp
import torch

from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.scorers.scoring import InnerProductScorer

EPOCHS, HIDDEN, DIM, LEARNING_RATE = 200, 32, 16, 0.01


def pyg_scorer(split: Split, features: Features | None, seed: int) -> InnerProductScorer:
    """VGAE with two GCNConv layers, `recon_loss` (as many non-edges as edges, drawn every epoch) and `kl_loss` / nodes.

    Args:
        split: its train edges are all it sees; there is no validation, and the last epoch is kept.
        features: unscaled; rows are brought to sum 1, as `NormalizeFeatures` does. None: the identity matrix.
        seed: of the weights, the noise and the non-edges.
    """
    warnings.simplefilter("ignore")
    from torch_geometric import seed_everything
    from torch_geometric.nn import VGAE, GCNConv

    seed_everything(seed)  # its non-edges are not all drawn by torch
    num_nodes = split.space.num_nodes
    if features is None:
        inputs = torch.sparse_coo_tensor(torch.arange(num_nodes).repeat(2, 1), torch.ones(num_nodes)).coalesce()
    else:
        matrix = features.matrix.toarray() if sp.issparse(features.matrix) else np.asarray(features.matrix)
        matrix = matrix.astype(np.float32) - matrix.min()
        matrix /= np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        inputs = torch.from_numpy(matrix.astype(np.float32))
        inputs = inputs.to_sparse() if (matrix != 0).mean() < 0.1 else inputs

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = GCNConv(inputs.shape[1], HIDDEN)
            self.mean, self.log_deviation = GCNConv(HIDDEN, DIM), GCNConv(HIDDEN, DIM)

        def forward(self, edges):
            hidden = self.first(inputs, edges).relu()
            return self.mean(hidden, edges), self.log_deviation(hidden, edges)

    edges = torch.from_numpy(split.train.T.copy())
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    model = VGAE(Encoder())
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for _ in range(EPOCHS):
        model.train()
        optimizer.zero_grad()
        z = model.encode(edges)
        (model.recon_loss(z, edges) + model.kl_loss() / num_nodes).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        z = model.encode(edges).numpy()
    return InnerProductScorer(z, z, 1.0, 0.0)
