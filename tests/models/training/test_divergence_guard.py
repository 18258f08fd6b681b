import math

import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.models.autoencoders.autoencoder import Autoencoder
from linkodds.models.families import family_of
from linkodds.models.training.divergence_guard import MAX_ROLLBACKS, DivergenceGuard
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask


def new_guard(schedule: str = "constant") -> DivergenceGuard:
    config = family_of("vgae").options(FitConfig(hidden=4, dim=2))
    rng = torch.Generator().manual_seed(0)
    model = Autoencoder(5, None, config, directed=False, effective_odds=0.1, rng=rng)
    return DivergenceGuard(model, weight_decay=0.0, learning_rate=0.04, schedule=schedule, epochs=4)


@pytest.fixture
def guard() -> DivergenceGuard:
    return new_guard()


def loss_of(guard: DivergenceGuard, factor: float = 1.0) -> torch.Tensor:
    return factor * sum(parameter.square().sum() for parameter in guard.model.parameters())


def weights(guard: DivergenceGuard) -> list[float]:
    return [value for parameter in guard.model.parameters() for value in parameter.detach().flatten().tolist()]


def test_a_step_lowers_the_loss_and_says_nothing(guard):
    before = loss_of(guard).item()
    assert guard.step(loss_of(guard), torch.tensor(3.0), epoch=1) == ""
    assert loss_of(guard).item() < before
    assert guard.findings == []


def test_gradients_are_clipped_by_norm(guard):
    """The first step of Adam has the size of the learning rate whatever the gradient; its second moment tells the norm."""
    guard.step(loss_of(guard, 1e6), torch.tensor(3.0), epoch=1)
    squares = sum(state["exp_avg_sq"].sum().item() / (1 - 0.999) for state in guard._optimizer.state.values())
    assert math.sqrt(squares) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        *(("constant", 1, 1.0), ("constant", 4, 1.0)),
        *(("linear", 1, 3 / 4), ("linear", 3, 1 / 4), ("linear", 4, 0.0)),
        *(("cosine", 1, (1 + math.sqrt(1 / 2)) / 2), ("cosine", 2, 1 / 2), ("cosine", 4, 0.0)),
    ],
)
@pytest.mark.parametrize("rollbacks", [0, 1])
def test_the_schedule_scales_a_step_by_its_hand_calculated_factor(schedule, epoch, factor, rollbacks):
    """The first step of Adam moves every weight by the learning rate, which a rollback has halved before."""
    guard = new_guard(schedule)
    for _ in range(rollbacks):
        guard.step(loss_of(guard, math.nan), torch.tensor(3.0), epoch=epoch)
    before = weights(guard)
    guard.step(loss_of(guard), torch.tensor(3.0), epoch=epoch)
    moved = [abs(a - b) for a, b in zip(before, weights(guard), strict=True) if abs(a) > 1e-3]
    assert moved == pytest.approx([0.04 / 2**rollbacks * factor] * len(moved), rel=1e-3, abs=1e-9)
    assert len(moved) > 30


def test_another_guard_goes_on_from_a_state_and_its_own_steps_do_not_change_the_state(guard):
    """Moments, kept weights, halved rate, the KL window and the findings: all of them matter to the steps that follow."""
    for epoch, kl in enumerate([3.0] * 30, start=1):
        guard.step(loss_of(guard), torch.tensor(kl), epoch=epoch)
        if epoch == 12:
            guard.keep(epoch)
            guard.step(loss_of(guard, math.nan), torch.tensor(kl), epoch=epoch)
    other = new_guard()
    other.resume(guard.state)
    for each in (guard, other):
        for epoch in range(31, 34):
            assert each.step(loss_of(each), torch.tensor(4.0), epoch=epoch) == ""
        assert "the KL term jumped" in each.step(loss_of(each), torch.tensor(1e4), epoch=34)
        each.step(loss_of(each), torch.tensor(4.0), epoch=35)
    assert weights(guard) == weights(other)
    assert guard.findings == other.findings
    assert "back to epoch 12 with learning rate 0.01" in other.findings[-1].message
    assert guard.state.kl_nats == other.state.kl_nats


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_brings_the_best_weights_back_at_half_the_rate(guard, bad):
    guard.step(loss_of(guard), torch.tensor(3.0), epoch=1)
    guard.keep(1)
    best = weights(guard)
    guard.step(loss_of(guard), torch.tensor(3.0), epoch=2)
    assert weights(guard) != best
    event = guard.step(loss_of(guard, bad), torch.tensor(3.0), epoch=3)
    assert "not finite at epoch 3: back to epoch 1 with learning rate 0.02" in event
    assert weights(guard) == best
    assert [(each.id, each.severity) for each in guard.findings] == [("D13", "warning")]
    assert not guard.gave_up


def test_a_jump_of_the_kl_term_is_a_rollback_and_a_noisy_rise_is_none(guard):
    rng = np.random.default_rng(0)
    for epoch, kl in enumerate(np.linspace(10, 30, 60) * rng.uniform(0.9, 1.1, 60), start=1):
        assert guard.step(loss_of(guard), torch.tensor(kl), epoch=epoch) == ""
    event = guard.step(loss_of(guard), torch.tensor(1e4), epoch=61)
    assert event == "the KL term jumped to 1e+04 nats at epoch 61: back to the initial weights with learning rate 0.02"
    assert guard.findings[0].id == "D17"


def test_it_gives_up_in_the_end_and_says_so(guard):
    for epoch in range(1, MAX_ROLLBACKS + 1):
        assert not guard.gave_up
        event = guard.step(loss_of(guard, math.nan), torch.tensor(1.0), epoch=epoch)
    assert guard.gave_up
    assert f"the end after {MAX_ROLLBACKS} rollbacks" in event


def test_raw_features_of_any_size_train_to_the_end_and_learn(communities):
    """Unscaled features about a thousand times too large: every value of the history is finite, and it finds the groups.

    Under no signal the AUC of 31 edges has a standard error below 0.06, so 0.7 is more than three of them above 0.5.
    """
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(communities.num_nodes, 20)).astype(np.float32)
    raw[:, :6] += 3 * np.repeat(np.eye(6, dtype=np.float32), 25, axis=0)  # a column for each of the six groups
    split = split_edges(communities, rng=rng)
    config = family_of("vgae").options(FitConfig(hidden=16, dim=8, epochs=200, patience=200, beta=1.0))
    model = train(
        TrainingTask(
            "vgae", split, Features(1000 * raw, "none"), config, np.random.SeedSequence(0), torch.device("cpu")
        )
    )
    assert len(model.history) == 200
    for epoch in model.history:
        assert epoch.event or (math.isfinite(epoch.loss) and math.isfinite(epoch.kl))
    best = model.history[model.best_epoch - 1].validation
    assert best.roc_auc > 0.7


def test_after_a_retreat_the_kl_term_is_judged_by_what_follows(guard):
    """The weights of before come back with the KL of before: held against what came since, it would be a jump again."""
    for epoch in range(1, 15):
        assert guard.step(loss_of(guard), torch.tensor(3.0), epoch=epoch) == ""
    assert "not finite" in guard.step(loss_of(guard, math.nan), torch.tensor(3.0), epoch=15)
    assert guard.state.kl_nats == ()
    for epoch in range(16, 40):
        assert guard.step(loss_of(guard), torch.tensor(30.0), epoch=epoch) == ""
    assert len(guard.findings) == 1
