"""A scorer whose logits are planted."""

import numpy as np
from numpy.typing import NDArray

from linkodds.pairs import Pairs


class TableScorer:
    """Logits from a matrix; without a direction nothing but its upper triangle is read.

    Args:
        table: shape (nodes, nodes), float64.
    """

    def __init__(self, table: NDArray[np.float64]) -> None:
        self.table = table

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        return self.table[rows, columns].astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        return self.table[pairs[:, 0], pairs[:, 1]]
