"""The one place that makes PyG's own objects; graphs come in from PyG without it."""

from typing import Any

import numpy as np

from linkodds.errors import OptionError


def pyg_data(held: dict[str, Any]) -> Any:
    """A `torch_geometric.data.Data` of these attributes, arrays as tensors.

    Raises:
        OptionError: PyG is not installed.
    """
    try:
        from torch_geometric.data import Data
    except ImportError as error:
        raise OptionError("to_pyg: PyG is not installed here; pip install 'linkodds[pyg]'.") from error
    import torch

    tensors = {
        name: torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
        for name, value in held.items()
    }
    return Data(**tensors)
