"""The training loop on losses that are known beforehand."""

import numpy as np
import torch

from linkodds.config import FitConfig
from linkodds.graph.split import split_edges
from linkodds.models.autoencoders.autoencoder import Autoencoder
from linkodds.models.families import family_of
from linkodds.models.training.training_loop import StepLoss, TrainingTask, run_epochs
from linkodds.scorers.scoring import InnerProductScorer


def test_an_epoch_is_the_mean_over_its_edges_and_ends_with_a_rollback(communities):
    """Steps of 1.0 on 2 edges and 4.0 on 1 edge, a KL term of 0.5 in the first: (2 x 1.5 + 4) / 3 = 7 / 3."""
    split = split_edges(communities, rng=np.random.default_rng(0))
    config = family_of("gae").options(FitConfig(hidden=4, dim=2, epochs=3, validate_every=1))
    task = TrainingTask("gae", split, None, config, np.random.SeedSequence(0), torch.device("cpu"))
    generators, steps_made = task.generators(), []
    model = Autoencoder(task.num_nodes, None, task.config, directed=False, effective_odds=0.1, rng=generators.weights)

    def losses(epoch):
        for values in ((2, 1.0, 0.5), (1, np.nan if epoch == 2 else 4.0, 0.0), (0, 0.0, 0.0)):
            num_edges, reconstruction, kl = values
            steps_made.append(epoch)
            nothing = sum(weights.sum() for weights in model.parameters()) * 0.0
            yield StepLoss(nothing + reconstruction, num_edges, torch.tensor(kl))

    def scorer():
        embeddings = np.random.default_rng(0).normal(size=(task.num_nodes, 2)).astype(np.float32)
        return InnerProductScorer(embeddings, embeddings, 1.0, 0.0)

    result = run_epochs(task, model, losses, scorer, generators=generators, weight_decay=0.0)
    first, second, third = result.history
    assert np.allclose([first.loss, first.reconstruction, first.kl], [7 / 3, 2, 1 / 3])
    assert (second.loss, second.reconstruction, second.validation) == (None, None, None)
    assert "back to epoch 1" in second.event
    assert np.allclose(third.loss, 7 / 3)
    assert steps_made == [1, 1, 1, 2, 2, 3, 3, 3]  # what is left of the second epoch is not computed
    assert (result.best_epoch, result.was_cut_short) == (1, False)  # the first of equals
    assert [finding.id for finding in result.findings] == ["D13"]


def test_a_task_has_the_same_random_numbers_every_time_and_those_that_its_seeds_would_spawn(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    seeds = np.random.SeedSequence(7, spawn_key=(2,))
    task = TrainingTask("gae", split, None, family_of("gae").options(FitConfig()), seeds, torch.device("cpu"))
    drawn = [task.generators().zeros.random(), task.generators().zeros.random()]
    assert drawn == [np.random.default_rng(seeds.spawn(4)[2]).random()] * 2
