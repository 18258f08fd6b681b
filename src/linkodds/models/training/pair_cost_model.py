"""Work of an epoch of a pair model: batches of hidden edges, several propagations, a network on every pair."""

from linkodds.config import NUM_LAYERS
from linkodds.models.training import cost_model
from linkodds.models.training.cost_model import Sizes, Work, dense_product_work, dropout_work, sparse_product_work

_FLOAT, _PASS = 4, 8  # bytes: a float32; one read and one written


def epoch_work(sizes: Sizes) -> Work:
    """An epoch of a model with a mixing encoder: its batches, and a validation.

    Example:
        >>> small = Sizes(1000, 5000, 499_500, 1000, "table", 256_000, 64, 256, False, False, True, "sampled", 5, 500_000, 5,
        ...               encoder="mixing", batches=8, propagations=3, decoder="hadamard")
        >>> 0.1 < cost_model.nominal_seconds(epoch_work(small)) < 10
        True
    """
    pairs = sizes.edges * (1 + sizes.zeros_per_edge)
    batch = encoder_work(sizes, passes=2) + masking_work(sizes) + cost_model.optimizer_work(sizes)
    validation = encoder_work(sizes, passes=1) + decoder_work(sizes, sizes.validation_pairs, passes=1)
    validation += Work(bytes=100 * _PASS * sizes.validation_pairs, calls=100)
    return sizes.batches * batch + decoder_work(sizes, pairs, passes=3) + (1 / sizes.validate_every) * validation


def masking_work(sizes: Sizes) -> Work:
    """Values of the message graph without the batch: 10 passes over its entries, and as many where they are counted."""
    return Work(bytes=(10 + 10 * sizes.pools) * _PASS * sizes.message_entries, calls=20)


def encoder_work(sizes: Sizes, *, passes: int) -> Work:
    """Features times the first weight, then propagations with a normalisation between them, and the mixing.

    Args:
        sizes: of the training.
        passes: 1 forward, 2 with the backward pass.
    """
    cells = sizes.nodes * sizes.width
    work = 3 * Work(bytes=_PASS * cells * (sizes.propagations + 1), calls=2)
    if sizes.input_kind == "dense":
        work += dense_product_work(sizes.nodes, sizes.inputs, sizes.width)
    elif sizes.input_kind == "sparse":
        work += sparse_product_work(rows=sizes.nodes, entries=sizes.input_entries, columns=sizes.width)
    work += sizes.propagations * sparse_product_work(
        rows=sizes.nodes, entries=sizes.message_entries, columns=sizes.width
    )
    work += (sizes.propagations - 1) * Work(bytes=4 * _PASS * cells, calls=4)
    if passes == 2:
        work += (sizes.propagations - 1) * dropout_work(sizes, cells) + dropout_work(sizes, sizes.input_entries)
    return passes * work


def decoder_work(sizes: Sizes, pairs: float, *, passes: int) -> Work:
    """Both ends gathered and multiplied, and the layers: 2 x inputs x outputs flops and 8 passes over the outputs each.

    Common neighbours of a pair: both neighbourhoods, of mean size, are read (12 bytes an entry, four times).

    Args:
        sizes: of the training.
        pairs: how many.
        passes: 1 forward, 3 with the backward pass.
    """
    work = Work(bytes=3 * _FLOAT * sizes.dim * pairs, calls=10)
    if sizes.decoder == "hadamard":
        cells = sizes.hidden * NUM_LAYERS * pairs
        flops = 2 * pairs * sizes.hidden * (sizes.dim + (NUM_LAYERS - 1) * sizes.hidden)
        work += Work(bytes=8 * _PASS * cells, flops=flops, calls=20)
    if sizes.pools:
        work += Work(bytes=4 * 12 * pairs * 2 * 2 * sizes.edges / sizes.nodes + 8 * _PASS * sizes.hidden * pairs)
    return passes * work
