"""Divergence guard: optimizer steps that a spike of the KL term or an infinite loss cannot ruin."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from linkodds.doctor import is_spike
from linkodds.findings import Finding
from linkodds.models.autoencoders.encoder import Pace

MAX_GRADIENT_NORM = 1.0
MAX_ROLLBACKS = 8
KL_WINDOW = 26  # what `is_spike` looks at: the last value and the 25 before it


@dataclass(frozen=True, eq=False)
class GuardState:
    """All that a `DivergenceGuard` knows at the end of an epoch. The tensors are not copies: the next step changes them.

    Args:
        weights: name -> weights now.
        kept: name -> weights of the best epoch so far.
        kept_epoch: that epoch, 0 for the initial weights.
        moments: "{parameter}.{quantity}" -> what Adam remembers; empty before its first step.
        learning_rate: before the schedule.
        kl_nats: the last KL terms, at most 26.
        findings: one a rollback.
        num_changes: how often the weights were changed, by a step or a rollback.
    """

    weights: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    kept_epoch: int
    moments: Mapping[str, Tensor]
    learning_rate: float
    kl_nats: tuple[float, ...]
    findings: tuple[Finding, ...]
    num_changes: int


def schedule_factor(schedule: str, epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in an epoch.

    constant: 1; linear: 1 - epoch / epochs; cosine: (1 + cos(pi epoch / epochs)) / 2 (Loshchilov and Hutter, ICLR 2017,
    equation 5, without restarts). The last two fall to 0 at the last epoch.

    Args:
        schedule: constant, linear or cosine.
        epoch: from 1.
        epochs: the most there can be.
    Example:
        >>> [round(schedule_factor(name, 3, 4), 3) for name in ("constant", "linear", "cosine")]
        [1.0, 0.25, 0.146]
    """
    if schedule == "constant":
        return 1.0
    return 1 - epoch / epochs if schedule == "linear" else (1 + math.cos(math.pi * epoch / epochs)) / 2


class PacedEncoder(Protocol):
    """An encoder, which knows how its weights are trained."""

    def paces(self) -> list[Pace]:
        """All weights; see `Encoder.paces`."""
        ...


class Trainable(Protocol):
    """What is trained: a torch module with an encoder and a decoder."""

    @property
    def encoder(self) -> PacedEncoder:
        """Its weights may be penalised."""
        ...

    @property
    def decoder(self) -> nn.Module:
        """Its weights never are."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """All weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All weights by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take other weights."""
        ...


class DivergenceGuard:
    """Adam with gradients clipped by norm, and a way back.

    Where the loss is not finite, or the KL term jumps (rule D17 of the doctor: beyond 3 medians and 8 robust deviations
    of the 25 epochs before), no step is made: the weights of the best epoch so far come back, Adam starts anew, and the
    learning rate is halved. After eight rollbacks training ends. Every rollback is an event of the history and a finding.

    Args:
        model: what is trained, in place.
        weight_decay: of the encoder; never of scale and bias.
        learning_rate: to begin with.
        schedule: constant, linear or cosine; see `schedule_factor`.
        epochs: over which the schedule falls.
    """

    def __init__(
        self,
        model: Trainable,
        *,
        weight_decay: float,
        learning_rate: float,
        schedule: str = "constant",
        epochs: int = 1,
    ) -> None:
        self.model = model
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.findings: list[Finding] = []
        self.num_changes = 0
        self._kl: list[float] = []
        self.keep(0)
        self._optimizer = self._new_optimizer()

    @property
    def gave_up(self) -> bool:
        """Whether it rolled back too often to go on."""
        return len(self.findings) >= MAX_ROLLBACKS

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are kept, 0 for the initial ones."""
        return self._epoch

    @property
    def state(self) -> GuardState:
        """What `resume` takes, to go on from here."""
        moments = {
            f"{parameter}.{quantity}": value
            for parameter, quantities in self._optimizer.state_dict()["state"].items()
            for quantity, value in quantities.items()
        }
        return GuardState(
            self.model.state_dict(),
            self._state,
            self._epoch,
            moments,
            self.learning_rate,
            tuple(self._kl),
            tuple(self.findings),
            self.num_changes,
        )

    def resume(self, state: GuardState) -> None:
        """Go on from a state, which is copied; its tensors may lie on another device."""
        self.model.load_state_dict(state.weights)
        device = next(self.model.parameters()).device
        self._state = {key: value.detach().clone().to(device) for key, value in state.kept.items()}
        self._epoch = state.kept_epoch
        self.learning_rate = state.learning_rate
        self._kl = list(state.kl_nats)
        self.findings = list(state.findings)
        self.num_changes = state.num_changes
        self._optimizer = self._new_optimizer()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.moments.items():
            parameter, _, quantity = key.partition(".")
            moments.setdefault(int(parameter), {})[quantity] = value.clone()
        self._optimizer.load_state_dict(
            {"state": moments, "param_groups": self._optimizer.state_dict()["param_groups"]}
        )

    def keep(self, epoch: int) -> None:
        """Remember the weights as those of the best epoch."""
        self._epoch = epoch
        self._state = {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def restore(self) -> None:
        """Give the model the remembered weights."""
        self.model.load_state_dict(self._state)

    def step(self, loss: Tensor, kl_nats: Tensor, *, epoch: int) -> str:
        """One step of the optimizer, or a rollback.

        Args:
            loss: a scalar with its graph.
            kl_nats: the KL term before beta and divisor.
            epoch: for the schedule and the finding.
        Returns:
            What was done instead of a step; empty after a step.
        """
        if not torch.isfinite(loss):
            return self._roll_back("D13", f"the loss was not finite at epoch {epoch}")
        self._kl = [*self._kl[1 - KL_WINDOW :], kl_nats.item()]
        if is_spike(self._kl):
            return self._roll_back("D17", f"the KL term jumped to {self._kl[-1]:.3g} nats at epoch {epoch}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip()
        for group in self._optimizer.param_groups:
            group["lr"] = group["pace"] * self.learning_rate * schedule_factor(self.schedule, epoch, self.epochs)
        self.num_changes += 1  # before the change, so that one that was broken off counts
        self._optimizer.step()
        return ""

    def _clip(self) -> None:
        """Clip the norm of all gradients together, each in the units that its weights are trained at."""
        gradients = [
            parameter.grad if group["pace"] == 1 else parameter.grad * group["pace"]
            for group in self._optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), MAX_GRADIENT_NORM, norm)

    def _roll_back(self, rule: str, what: str) -> str:
        self.num_changes += 1
        self.restore()
        self._kl.clear()
        self.learning_rate /= 2
        self._optimizer = self._new_optimizer()
        back = f"epoch {self._epoch}" if self._epoch else "the initial weights"
        done = f"{what}: back to {back} with learning rate {self.learning_rate:g}"
        if len(self.findings) + 1 >= MAX_ROLLBACKS:
            done += f", and the end after {MAX_ROLLBACKS} rollbacks"
        remedy = "Lower --learning-rate, or scale the features (--feature-scaling standard)."
        self.findings.append(Finding(rule, "warning", f"In training {done}.", remedy, self.learning_rate))
        return done

    def _new_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(
            [
                *(
                    {
                        "params": each.weights,
                        "weight_decay": self.weight_decay * each.weight_decay,
                        "pace": each.learning_rate,
                    }
                    for each in self.model.encoder.paces()
                ),
                {"params": self.model.decoder.parameters(), "weight_decay": 0.0, "pace": 1.0},
            ],
            lr=self.learning_rate,
            fused=True,  # one pass over the weights, ten times quicker on large tables
        )
