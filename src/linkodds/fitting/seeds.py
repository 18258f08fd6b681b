"""Seeds: the independent random streams of one fit, each named for what it draws."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Seeds:
    """Streams that are spawned from the seed of a fit; reading one changes none of the others.

    Args:
        split: deals the edges into the parts; on a split by time, the random split that it is held against.
        training: weights, dropout and sampled pairs of every model; each fold and model spawns its own from it.
        non_edges: draws the non-edges that models are measured against.
        results: repetitions of the bootstrap, and the non-edges of predictions.parquet.
    """

    split: np.random.SeedSequence
    training: np.random.SeedSequence
    non_edges: np.random.SeedSequence
    results: np.random.SeedSequence

    @staticmethod
    def of(seed: int) -> "Seeds":
        """The streams of a fit.

        Args:
            seed: as `FitConfig.seed`.
        Example:
            >>> seeds = Seeds.of(0)
            >>> [each.spawn_key for each in (seeds.split, seeds.training, seeds.non_edges, seeds.results)]
            [(0,), (1,), (2,), (3,)]
        """
        return Seeds(*np.random.SeedSequence(seed).spawn(4))

    @staticmethod
    def of_protocol(seed: int) -> "Seeds":
        """The streams of models on the split of a protocol: it is dealt elsewhere, so training has the first.

        Args:
            seed: as `FitConfig.seed`.
        Example:
            >>> seeds = Seeds.of_protocol(0)
            >>> seeds.training.spawn_key, seeds.non_edges.spawn_key
            ((0,), (1,))
        """
        training, non_edges, split, results = np.random.SeedSequence(seed).spawn(4)
        return Seeds(split, training, non_edges, results)
