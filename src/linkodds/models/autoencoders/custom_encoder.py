"""Own encoders: a user's torch module in the place of ours, behind a seam of two methods."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from linkodds.errors import ModelError, OptionError
from linkodds.models.autoencoders.custom_scorer import called
from linkodds.models.autoencoders.encoder import Pace
from linkodds.models.autoencoders.propagation import SparseMatrix
from linkodds.pairs import Pairs, PairSpace
from linkodds.scorers.function_scoring import FunctionScorer

Make = Callable[[int | None, int], nn.Module]
"""(columns of the features or None, nodes) -> module, its weights drawn from torch's own generator, which is seeded."""

_CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class CustomEncoder:
    """A user's module, to be trained, calibrated, decided with and evaluated as a model of linkodds is.

    The seam has two methods:

        encode(x, edge_index) -> Tensor, shape (nodes, dim); in a directed graph (nodes, 2 dim), as source and as target
        decode(z, pairs) -> Tensor, shape (pairs,): logits; `pairs` has shape (2, pairs); no sigmoid

    Without `encode` it is the call of the module itself, as in PyG. Without `decode` the decoder is ours: an inner product
    with a learned scale and bias, which can be searched fast and saved whole. `x` are the features, shape (nodes,
    features), float32 and dense; without features they are a learned table, or None. `edge_index`, shape (2, arcs), int64,
    holds the train edges in both directions and no self-loops. While training the module is in train mode and torch's own
    generator is seeded, so that its dropout is the same for the same seed; else in eval mode, where it must not be random.

    Args:
        module: a module, of which every training uses a copy with the weights that it has now; or a function that makes
            one: see `Make`. Only the second draws other weights for another seed.
        table: columns of the learned table where the graph has no features; "auto": `in_channels` of the module where it
            has them, 128 for a function; None: x is None then.
        name: in the report; None: that of the class.
    Raises:
        OptionError: something that is no module and makes none, or the name of a model of linkodds.
    Example:
        >>> class Sum(nn.Module):
        ...     def encode(self, x, edge_index):
        ...         return x.index_add(0, edge_index[1], x[edge_index[0]])
        >>> CustomEncoder(Sum(), table=16).name
        'Sum'
    """

    module: nn.Module | Make
    table: int | str | None = "auto"
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.module):
            raise OptionError(
                f"CustomEncoder takes a torch.nn.Module or a function that makes one, not {self.module!r}."
            )
        if not (self.table in ("auto", None) or (isinstance(self.table, int) and self.table > 0)):
            raise OptionError(f"table has to be a number of columns, 'auto' or None, got {self.table!r}.")
        object.__setattr__(self, "name", called(self.name, self.module))

    def decodes(self, num_nodes: int, num_features: int | None) -> bool:
        """Whether the logits are the module's own; one that a function makes is made for it."""
        module = self.module
        if not isinstance(module, nn.Module):
            module = self.build(num_nodes, num_features, torch.Generator().manual_seed(0)).module
        return callable(getattr(module, "decode", None))

    def build(self, num_nodes: int, num_features: int | None, rng: torch.Generator) -> "ModuleEncoder":
        """The module as an encoder of linkodds.

        Args:
            num_nodes: of the graph.
            num_features: columns of the features; None without any.
            rng: source of the initial weights, on the CPU.
        """
        width = None if num_features is not None else self._table_width()
        with drawing_from(rng):
            if isinstance(self.module, nn.Module):
                module = deepcopy(self.module)
            else:
                module = self.module(num_features if width is None else width, num_nodes)
            table = None if width is None else nn.init.xavier_uniform_(torch.empty(num_nodes, width))
        if not isinstance(module, nn.Module):
            raise OptionError(f"{self.name}: the function made {type(module).__name__}, which is no torch.nn.Module.")
        if not hasattr(module, "encode") and type(module).forward is nn.Module.forward:
            raise OptionError(
                f"{self.name}: {type(module).__name__} has neither encode nor forward; give it encode(x, edge_index)."
            )
        return ModuleEncoder(module, None if table is None else nn.Parameter(table), str(self.name))

    def _table_width(self) -> int | None:
        if self.table != "auto":
            return cast("int | None", self.table)
        if not isinstance(self.module, nn.Module):
            return 128
        columns = getattr(self.module, "in_channels", None)
        if not isinstance(columns, int) or columns < 1:
            raise OptionError(
                f"{self.name}: the graph has no features, and how many columns x should have is not known. Say "
                "CustomEncoder(module, table=N) for a learned table of N columns, or table=None for x = None."
            )
        return columns


@final
class ModuleEncoder(nn.Module):
    """A user's module as an `Encoder`; its random numbers come from the generator that is handed in.

    Args:
        module: with `encode`, or to be called.
        table: learned rows in the place of features; None: there are features, or nothing.
        name: for messages.
    """

    def __init__(self, module: nn.Module, table: nn.Parameter | None, name: str) -> None:
        super().__init__()
        self.module = module
        self.table = table
        self.called = name
        self._arcs: tuple[SparseMatrix, Tensor] | None = None  # of the matrix seen last
        self._dense: tuple[SparseMatrix, Tensor] | None = None

    def forward(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, outputs), float32; see `Encoder`."""
        x = self.table if inputs is None else self._as_dense(inputs)
        encode = getattr(self.module, "encode", self.module)
        self.module.train(noise is not None)
        if noise is None:
            outputs = encode(x, self._edge_index(propagation))
        else:
            with drawing_from(noise):
                outputs = encode(x, self._edge_index(propagation))
        num_nodes = propagation.shape[0]
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != num_nodes:
            what = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ModelError(
                f"{self.called}: encode returned {what}; it has to return a tensor of shape ({num_nodes}, dim), one row a node."
            )
        if not outputs.is_floating_point():
            raise ModelError(f"{self.called}: encode returned {outputs.dtype}; embeddings are real numbers, float32.")
        is_trained = noise is not None and torch.is_grad_enabled()
        if is_trained and not outputs.requires_grad and any(each.requires_grad for each in self.parameters()):
            raise ModelError(
                f"{self.called}: what encode returned has no gradient, so nothing in it would be trained; look for detach, "
                "no_grad or numpy. Where it should stay as it is, say CustomEncoder(module.requires_grad_(False), table=None)."
            )
        return outputs.float()

    def dim(self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, *, directed: bool) -> int:
        """Dimensions of the embeddings, which are asked for twice.

        Args:
            propagation: of the message graph.
            inputs: features or None.
            directed: whether half of the columns are of a node as source, and half as target.
        Raises:
            ModelError: a module whose outputs in eval mode are random, or are no finite numbers before any training.
        """
        with torch.no_grad():
            once, again = (self(propagation, inputs, None) for _ in range(2))
        if not torch.isfinite(once).all():
            raise ModelError(f"{self.called}: encode returns NaN or infinity before any training.")
        if not torch.equal(once, again):
            raise ModelError(
                f"{self.called}: in eval mode encode returned two different results for one graph. Embeddings of a trained "
                "model have to stay: switch dropout and sampling off unless self.training."
            )
        columns = int(once.shape[1])
        if directed and columns % 2:
            raise ModelError(
                f"{self.called}: encode returned {columns} columns, and in a directed graph the first half is a node as source, "
                "the second half as target; return an even number."
            )
        return columns // 2 if directed else columns

    def scale_outputs(self, factor: Tensor) -> None:
        """Have the module do it, if it says how; else its outputs stay what they are. See `Encoder.scale_outputs`."""
        scale = getattr(self.module, "scale_outputs", None)
        if callable(scale):
            scale(factor)

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`."""
        return [Pace(list(self.parameters()))]

    def _as_dense(self, inputs: SparseMatrix | Tensor) -> Tensor:
        if isinstance(inputs, Tensor):
            return inputs
        if self._dense is None or self._dense[0] is not inputs:
            identity = torch.eye(inputs.shape[1], device=inputs.values.device)
            self._dense = inputs, inputs @ identity
        return self._dense[1]

    def _edge_index(self, propagation: SparseMatrix) -> Tensor:
        """Shape (2, arcs): what the propagation joins, but for the loops and what is hidden (an entry 0)."""
        if self._arcs is None or self._arcs[0] is not propagation:
            counts = propagation.starts.diff()
            rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
            columns = propagation.columns.long()
            kept = (propagation.values != 0) & (rows != columns)
            self._arcs = propagation, torch.stack([rows[kept], columns[kept]])
        return self._arcs[1]


@final
class OwnAutoencoder(nn.Module):
    """A user's module that decodes itself, as what the training of pairs asks for.

    Args:
        encoder: of the user's module.
        space: of the graph.
    """

    pools = False

    def __init__(self, encoder: ModuleEncoder, space: PairSpace) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = OwnDecoder(encoder)
        self.space = space

    @torch.no_grad()
    def scorer(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, message_graph: object
    ) -> FunctionScorer:  # `message_graph` is what other pair models need
        """The decoder on the embeddings without any noise; both in float64, so that a batch changes nothing."""
        del message_graph
        embeddings = self.encoder(propagation, inputs, None)
        return decoder_as_scorer(self.encoder.module, embeddings.cpu().numpy(), self.space, self.encoder.called)


@final
class OwnDecoder(nn.Module):
    """`decode` of a user's module, whose weights are the encoder's.

    Args:
        encoder: of the module.
    """

    def __init__(self, encoder: ModuleEncoder) -> None:
        super().__init__()
        self._encoder = (encoder,)  # not as a part of this one: its weights would be there twice

    def forward(self, embeddings: Tensor, pairs: Pairs, neighbors: object, noise: torch.Generator | None) -> Tensor:
        """Logits, shape (pairs,)."""
        del neighbors
        (encoder,) = self._encoder
        places = torch.from_numpy(np.ascontiguousarray(pairs.T)).to(embeddings.device)
        encoder.module.train(noise is not None)
        if noise is None:
            return _decoded(encoder.module, embeddings, places, encoder.called)
        with drawing_from(noise):
            return _decoded(encoder.module, embeddings, places, encoder.called)


def decoder_as_scorer(
    module: nn.Module, embeddings: NDArray[np.float32], space: PairSpace, name: str
) -> FunctionScorer:
    """A trained module's `decode` on fixed embeddings.

    Args:
        module: it is copied.
        embeddings: shape (nodes, columns), float32.
        space: of the graph.
        name: for messages.
    """
    fixed = deepcopy(module).cpu().double().eval()
    z = torch.from_numpy(embeddings.astype(np.float64))

    @torch.no_grad()
    def function(pairs: Pairs) -> NDArray[np.float64]:
        places = torch.from_numpy(np.ascontiguousarray(pairs.T))
        parts = [_decoded(fixed, z, part, name) for part in torch.split(places, _CHUNK, dim=1)]
        return np.asarray(torch.cat(parts).double().numpy())

    half = embeddings.shape[1] // 2
    sides = (embeddings[:, :half], embeddings[:, half:]) if space.directed else (embeddings, embeddings)
    return FunctionScorer(function, space, "logit", name, sides)


def _decoded(module: nn.Module, embeddings: Tensor, places: Tensor, name: str) -> Tensor:
    logits: Any = cast(Any, module).decode(embeddings, places)
    if not isinstance(logits, Tensor) or logits.shape != (places.shape[1],):
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"{name}: decode returned {what} for {places.shape[1]} pairs; it has to return a tensor of shape "
            f"({places.shape[1]},), one logit each."
        )
    return logits


@contextmanager
def drawing_from(noise: torch.Generator) -> Iterator[None]:
    """Within this, torch's own generator is at the state of `noise`, which afterwards is where that one got to.

    Example:
        >>> first, again = (torch.Generator().manual_seed(0) for _ in range(2))
        >>> with drawing_from(first):
        ...     drawn = torch.rand(2)
        >>> bool((drawn == torch.rand(2, generator=again)).all())
        True
        >>> bool(torch.rand(1, generator=first) == torch.rand(1, generator=again))
        True
    """
    default = (
        torch.default_generator
        if noise.device.type == "cpu"
        else torch.cuda.default_generators[noise.device.index or 0]
    )
    before = default.get_state()
    default.set_state(noise.get_state())
    try:
        yield
    finally:
        noise.set_state(default.get_state())
        default.set_state(before)
