"""Workload: what an epoch of training costs and how much memory it takes, counted from sizes alone.

The same sizes give the same counts on every machine, whatever its clock says. So a time budget that is spent in counted
work leaves the same seed with the same bytes, and a fit can say how long it may take before it starts.
"""

import math
from dataclasses import dataclass
from typing import Literal

from linkodds.config import NUM_LAYERS, EncoderKind, FitConfig, ModelOptions
from linkodds.graph.features import Features
from linkodds.graph.split import Split

# The pace of a reference machine: two cores of a server with PyTorch's CPU build. Measured kernel by kernel, then rounded
# down to what whole epochs reach where other programs run beside them.
BYTES_PER_SECOND = 10e9
"""Memory traffic of element-wise operations and gathers on arrays that do not fit the cache."""
FLOPS_PER_SECOND = 80e9
"""Floating-point operations of dense products in float32."""
EXPONENTIALS_PER_SECOND = 1e9
"""Evaluations of exp, log and their like in float32, in the cache."""
DRAWS_PER_SECOND = 250e6
"""Random numbers of a torch generator, which draws on one core."""
CALLS_PER_SECOND = 100e3
"""Operations started, however little they do."""

TILE_CELLS = 128 * 2048
"""Pairs in a tile of the all-pairs objective."""

_FLOAT = 4
_PASS = 8  # bytes: a float32 read and one written
_LIBRARIES = 120_000_000  # bytes that libraries take when they are first used, and blocks of fixed size


@dataclass(frozen=True)
class Work:
    """Counted work.

    Args:
        bytes: moved between memory and cores.
        flops: floating-point operations in dense products; a multiplication with its addition is two.
        exponentials: element-wise evaluations of exp, log and their like.
        draws: random numbers.
        calls: operations started.
    Example:
        >>> 2 * (Work(bytes=10, flops=1) + Work(flops=3))
        Work(bytes=20, flops=8, exponentials=0, draws=0, calls=0)
    """

    bytes: float = 0
    flops: float = 0
    exponentials: float = 0
    draws: float = 0
    calls: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.bytes + other.bytes,
            self.flops + other.flops,
            self.exponentials + other.exponentials,
            self.draws + other.draws,
            self.calls + other.calls,
        )

    def __rmul__(self, factor: float) -> "Work":
        return Work(
            factor * self.bytes,
            factor * self.flops,
            factor * self.exponentials,
            factor * self.draws,
            factor * self.calls,
        )


def nominal_seconds(work: Work) -> float:
    """What the work takes on the reference machine, each kind after the other.

    Example:
        >>> nominal_seconds(Work(bytes=10e9, flops=40e9))
        1.5
    """
    return (
        work.bytes / BYTES_PER_SECOND
        + work.flops / FLOPS_PER_SECOND
        + work.exponentials / EXPONENTIALS_PER_SECOND
        + work.draws / DRAWS_PER_SECOND
        + work.calls / CALLS_PER_SECOND
    )


@dataclass(frozen=True)
class Sizes:
    """All that the work of a training depends on.

    Args:
        nodes: of the graph.
        edges: train edges.
        pairs: admissible pairs.
        inputs: rows of the first weight: features, or nodes when a table is learnt.
        input_kind: whether the first layer multiplies a dense or a sparse matrix, or is a learned table.
        input_entries: stored entries of the features; nodes x columns for a table (what dropout draws).
        hidden: width of the first layer of a two-layer encoder.
        dim: of one end's embedding.
        directed: whether source and target embeddings differ.
        variational: whether log deviations are learnt.
        dropout: whether there is any.
        objective: all-pairs, sampled or subgraph.
        zeros_per_edge: of the sampled objective.
        subgraph_nodes: nodes in a step of the subgraph objective, on average.
        validation_pairs: edges and non-edges of a validation.
        validate_every: epochs between two validations.
        sampled_non_edges: held in memory for the evaluation; 0 where all pairs are enumerated.
        encoder: two-layer (two graph convolutions), linear (one propagation), free (a table, and twice smoothed
            features beside it) or mixing (several propagations, of a model that is trained in batches).
        batches: in an epoch.
        propagations: of the mixing encoder.
        decoder: as resolved, never auto.
        pools: whether common neighbours count.
    """

    nodes: int
    edges: int
    pairs: int
    inputs: int
    input_kind: Literal["table", "sparse", "dense"]
    input_entries: int
    hidden: int
    dim: int
    directed: bool
    variational: bool
    dropout: bool
    objective: str
    zeros_per_edge: int
    validation_pairs: int
    validate_every: int
    subgraph_nodes: int = 0
    sampled_non_edges: int = 0
    encoder: EncoderKind = "two-layer"
    batches: int = 1
    propagations: int = 0
    decoder: str = "inner-product"
    pools: bool = False

    @staticmethod
    def of(
        split: Split,
        features: Features | None,
        config: ModelOptions,
        *,
        objective: str,
        validation_non_edges: int,
        sampled_non_edges: int = 0,
    ) -> "Sizes":
        """The sizes of one training.

        Args:
            split: its train edges are the message graph.
            features: or None for a learned table.
            config: widths and options, as the model's family takes them.
            objective: as resolved, never auto.
            validation_non_edges: how many non-edges a validation scores.
            sampled_non_edges: how many the evaluation keeps in memory.
        """
        architecture = config.architecture
        nodes = split.space.num_nodes
        matrix = None if features is None else features.matrix
        width = config.dim * (1 + split.space.directed)
        columns = {"mixing": width, "linear": width * (1 + architecture.variational)}.get(
            architecture.encoder, config.hidden
        )
        inputs, entries = (nodes, nodes * columns) if matrix is None else (matrix.shape[1], int(matrix.size))
        kind: Literal["table", "sparse", "dense"] = "table"
        if matrix is not None:
            kind = "sparse" if hasattr(matrix, "indptr") else "dense"
        return Sizes(
            nodes=nodes,
            edges=len(split.train),
            pairs=split.space.num_pairs,
            inputs=inputs,
            input_kind=kind,
            input_entries=entries,
            hidden=config.hidden,
            dim=config.dim,
            directed=split.space.directed,
            variational=architecture.variational,
            dropout=config.dropout > 0 and not architecture.is_table,
            objective=objective,
            zeros_per_edge=config.zeros_per_edge,
            validation_pairs=len(split.validation) + validation_non_edges,
            validate_every=config.validate_every,
            subgraph_nodes=min(config.subgraph_nodes, nodes),
            sampled_non_edges=sampled_non_edges,
            encoder=architecture.encoder,
            batches=choose_batches(len(split.train), config) if architecture.is_batched else 1,
            propagations=architecture.propagations,
            decoder=config.decoder,
            pools=architecture.pools,
        )

    @property
    def message_entries(self) -> int:
        """Entries of the normalised adjacency: both directions of each edge, and the diagonal."""
        return 2 * self.edges + self.nodes

    @property
    def width(self) -> int:
        """Columns of the embeddings."""
        return self.dim * (2 if self.directed else 1)

    @property
    def outputs(self) -> int:
        """Columns of all heads together."""
        return self.width * (2 if self.variational else 1)

    @property
    def parameters(self) -> int:
        """Trained values: the encoder's weights and the decoder's."""
        if self.encoder == "mixing":
            k = self.propagations
            return self.inputs * self.width + (k + 1) + 2 * (k - 1) * self.width + self.decoder_parameters
        if self.encoder == "two-layer":
            return self.inputs * self.hidden + self.hidden * self.outputs + 2
        beside = self.encoder == "free" and self.input_kind != "table"  # features, and a table all the same
        return (self.inputs + beside * self.nodes) * self.outputs + 2

    @property
    def decoder_parameters(self) -> int:
        """Of the decoder of a model with the mixing encoder: layers with bias, gain and shift, or a weighted product."""
        if self.decoder != "hadamard":
            return 2 + self.dim * (self.decoder == "distmult")
        layers = (self.dim + 3) * self.hidden + (NUM_LAYERS - 1) * (self.hidden + 3) * self.hidden
        return layers + self.hidden + 1 + self.pools * ((self.width + 3) * self.hidden + 1)

    @property
    def first_columns(self) -> int:
        """Columns of the first weight."""
        return self.hidden if self.encoder == "two-layer" else self.outputs

    @property
    def propagated(self) -> tuple[int, ...]:
        """Columns of each propagation of an epoch."""
        if self.encoder == "two-layer":
            return (self.hidden, self.outputs)
        if self.encoder == "linear":
            return (self.outputs,)
        return () if self.input_kind == "table" else (self.outputs, self.outputs)


LEAST_BATCHES = 8
"""An epoch of a pair model has so many batches at least, so that an eighth of the train edges is hidden at most."""


def choose_batches(num_edges: int, config: FitConfig) -> int:
    """Batches in an epoch of a pair model: as many as `batch_edges` asks for, eight at least, and no empty one.

    Example:
        >>> [choose_batches(number, FitConfig(batch_edges=100)) for number in (4, 500, 1000)]
        [4, 8, 10]
    """
    return max(math.ceil(num_edges / config.batch_edges), min(LEAST_BATCHES, num_edges))


def epoch_work(sizes: Sizes) -> Work:
    """An epoch: encoder, latent variables, objective, optimizer, and its share of a validation.

    Example:
        >>> small = Sizes(1000, 5000, 499_500, 1000, "table", 128_000, 128, 64, False, False, True, "all-pairs", 5, 500_000, 5)
        >>> 0.001 < nominal_seconds(epoch_work(small)) < 1
        True
    """
    return (
        encoder_work(sizes)
        + latent_work(sizes)
        + objective_work(sizes)
        + optimizer_work(sizes)
        + (1 / sizes.validate_every) * validation_work(sizes)
    )


def sparse_product_work(*, rows: int, entries: float, columns: int) -> Work:
    """A constant sparse matrix times a dense one, once.

    bytes = entries x (4 x columns + 8) + 4 x rows x columns: a row of the dense factor for each entry with the entry's
    value and place, and the result.
    """
    return Work(bytes=entries * (_FLOAT * columns + 8) + _FLOAT * rows * columns, calls=1)


def dense_product_work(rows: int, inner: int, columns: int) -> Work:
    """A dense product, once: 2 x rows x inner x columns flops."""
    return Work(flops=2 * rows * inner * columns, calls=1)


def dropout_work(sizes: Sizes, count: int) -> Work:
    """Dropout of `count` values, forward and backward: a draw for four and 6 passes; nothing where there is no dropout."""
    return Work(bytes=6 * _PASS * count, draws=count / 4, calls=6) if sizes.dropout else Work()


def encoder_work(sizes: Sizes) -> Work:
    """The encoder, forward and backward.

    Dropout of the inputs; features times the first weight, forward and for the weight's gradient; every propagation,
    forward and backward. Of two layers also ReLU (2 passes) and dropout of the hidden layer, and hidden layer times the
    second weight, forward and for both gradients; of a table beside features their sum (2 passes).
    """
    work = dropout_work(sizes, sizes.input_entries) + _input_product(sizes) + _input_product(sizes)
    for columns in sizes.propagated:
        work += 2 * sparse_product_work(rows=sizes.nodes, entries=sizes.message_entries, columns=columns)
    if sizes.encoder != "two-layer":
        return work + Work(bytes=2 * _PASS * sizes.nodes * sizes.outputs * (len(sizes.propagated) == 2))
    cells = sizes.nodes * sizes.hidden
    work += Work(bytes=2 * _PASS * cells, calls=2) + dropout_work(sizes, cells)
    return work + 3 * dense_product_work(sizes.nodes, sizes.hidden, sizes.outputs)


def latent_work(sizes: Sizes) -> Work:
    """Noise and KL of a variational model: a draw, 2 exponentials and 16 passes for each latent value; else nothing."""
    if not sizes.variational:
        return Work()
    count = sizes.nodes * sizes.width
    return Work(bytes=16 * _PASS * count, exponentials=2 * count, draws=count, calls=30)


def objective_work(sizes: Sizes) -> Work:
    """The reconstruction, forward and backward, of the objective that the sizes name.

    Raises:
        ValueError: an objective without a count.
    """
    if sizes.objective == "all-pairs":
        listed = listed_pairs_work(sizes.edges, nodes=sizes.nodes, dim=sizes.dim)
        return all_pairs_work(sizes.pairs, sizes.dim) + listed
    if sizes.objective == "sampled":
        return sampled_work(sizes)
    if sizes.objective == "subgraph":
        return subgraph_work(sizes)
    raise ValueError(f"no count of the work of the objective {sizes.objective!r}")


def all_pairs_work(pairs: float, dim: int) -> Work:
    """Every pair as a zero, in tiles that stay in the cache.

    6 x dim flops a pair: logits, and the gradients of both ends. 3 exponentials a pair: one for the sigmoid, two for the
    softplus. 12 operations a tile of `TILE_CELLS`.
    """
    return Work(flops=6 * dim * pairs, exponentials=3 * pairs, calls=12 * (1 + pairs // TILE_CELLS))


def listed_pairs_work(pairs: float, *, nodes: int, dim: int) -> Work:
    """Pairs that are the entries of a sparse matrix, with nodes x dim embeddings at both ends.

    A logit takes a row of each end (8 x dim bytes), and so do the two gradients (4 x dim bytes and 8 for value and place
    each, two sparse products in all). Beside them 10 passes over the pairs, and 3 exponentials, one for the sigmoid and
    two for the softplus.
    """
    logits = Work(bytes=2 * _FLOAT * dim * pairs + 10 * _PASS * pairs, exponentials=3 * pairs, calls=20)
    return logits + 2 * sparse_product_work(rows=nodes, entries=pairs, columns=dim)


def sampled_work(sizes: Sizes) -> Work:
    """Train edges, and `zeros_per_edge` zeros each that are drawn anew.

    A zero costs a draw and 40 passes more: ranks are sorted, turned into pairs, and put in order of their columns too.
    """
    zeros = sizes.edges * sizes.zeros_per_edge
    listed = [listed_pairs_work(pairs, nodes=sizes.nodes, dim=sizes.dim) for pairs in (sizes.edges, zeros)]
    return listed[0] + listed[1] + Work(bytes=40 * _PASS * zeros, draws=zeros, calls=20)


def subgraph_work(sizes: Sizes) -> Work:
    """All n (n - 1) / 2 pairs (n (n - 1) when directed) of n nodes that are drawn on average.

    Beside them: a draw for each node; both ends of each train edge looked up (16 bytes); 4 passes over the rows of the
    drawn nodes; and the train edges among them, edges x (n / nodes)^2 where all nodes are drawn alike, as listed pairs.
    """
    n = sizes.subgraph_nodes
    pairs = n * (n - 1) / (1 if sizes.directed else 2)
    induced = sizes.edges * (n / sizes.nodes) ** 2
    rows = Work(bytes=4 * _PASS * n * sizes.width + 16 * sizes.edges, draws=sizes.nodes, calls=20)
    return rows + all_pairs_work(pairs, sizes.dim) + listed_pairs_work(induced, nodes=n, dim=sizes.dim)


def optimizer_work(sizes: Sizes) -> Work:
    """Clipping, 2 passes over the parameters, and Adam, 5."""
    return Work(bytes=7 * _PASS * sizes.parameters, calls=30)


def validation_work(sizes: Sizes) -> Work:
    """The encoder forward without noise, then the validation pairs.

    A pair takes both embeddings (8 x dim bytes) and 100 passes: sorting the logits and measuring what is on top.
    """
    work = _input_product(sizes)
    if sizes.encoder == "two-layer":
        work += dense_product_work(sizes.nodes, sizes.hidden, sizes.outputs)
    for columns in sizes.propagated:
        work += sparse_product_work(rows=sizes.nodes, entries=sizes.message_entries, columns=columns)
    return work + Work(bytes=(2 * _FLOAT * sizes.dim + 100 * _PASS) * sizes.validation_pairs, calls=100)


def peak_bytes(sizes: Sizes) -> dict[str, float]:
    """Peak memory of a training beyond what the program had when it began, by part; their sum bounds it roughly.

    weights: parameters, gradients, two moments, the kept weights and one copy, 4 bytes each.
    layers: features twice; both forms of the sparse matrices, 40 bytes an entry; 8 arrays of nodes x columns of the first
    weight and 8 of nodes x outputs.
    objective: 120 bytes a listed pair.
    validation: 100 bytes a pair.
    evaluation: 60 bytes a sampled non-edge while they are drawn.
    libraries: a constant.

    Example:
        >>> parts = peak_bytes(Sizes(10, 20, 45, 10, "table", 80, 8, 4, False, False, True, "sampled", 5, 45, 5))
        >>> parts["weights"], parts["objective"]  # 10 x 8 + 8 x 4 + 2 parameters; 20 edges and 100 zeros
        (2736, 14400)
    """
    listed = sizes.edges * (1 + sizes.zeros_per_edge) if sizes.objective == "sampled" else sizes.edges
    if sizes.encoder == "mixing":  # of a batch, both ends and every layer
        listed = -(-listed // sizes.batches) * (8 * sizes.dim + 10 * NUM_LAYERS * sizes.hidden) // 30
    entries = sizes.message_entries + (sizes.input_entries if sizes.input_kind == "sparse" else 0)
    dense = sizes.input_entries if sizes.input_kind == "dense" else 0
    cells = 8 * sizes.nodes * (sizes.first_columns + sizes.outputs) * max(1, sizes.propagations)
    return {
        "weights": 6 * _FLOAT * sizes.parameters,
        "layers": 2 * _FLOAT * dense + 40 * entries + _FLOAT * cells,
        "objective": 120 * listed,
        "validation": 100 * sizes.validation_pairs,
        "evaluation": 60 * sizes.sampled_non_edges,
        "libraries": _LIBRARIES,
    }


def _input_product(sizes: Sizes) -> Work:
    """Inputs times the first weight, once; a learned table is that product itself."""
    if sizes.input_kind == "dense":
        return dense_product_work(sizes.nodes, sizes.inputs, sizes.first_columns)
    if sizes.input_kind == "sparse":
        return sparse_product_work(rows=sizes.nodes, entries=sizes.input_entries, columns=sizes.first_columns)
    return Work()
