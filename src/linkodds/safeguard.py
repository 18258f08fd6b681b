"""Safeguard: optimizer steps that a spike of the KL term or an infinite loss cannot ruin."""

import torch
from torch import Tensor

from linkodds.autoencoder import Autoencoder
from linkodds.doctor import is_spike
from linkodds.findings import Finding

MAX_GRADIENT_NORM = 1.0
MAX_RETREATS = 8


class Safeguard:
    """Adam with gradients clipped by norm, and a way back.

    Where the loss is not finite, or the KL term jumps (rule D17 of the doctor: beyond 3 medians and 8 robust deviations
    of the 25 epochs before), no step is made: the weights of the best epoch so far come back, Adam starts anew, and the
    learning rate is halved. After eight retreats training ends. Every retreat is an event of the history and a finding.

    Args:
        model: what is trained, in place.
        weight_decay: of the encoder; never of scale and bias.
        learning_rate: to begin with.
    """

    def __init__(self, model: Autoencoder, *, weight_decay: float, learning_rate: float) -> None:
        self.model = model
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.findings: list[Finding] = []
        self.gave_up = False
        self._kl: list[float] = []
        self.keep(0)
        self._optimizer = self._new_optimizer()

    def keep(self, epoch: int) -> None:
        """Remember the weights as those of the best epoch."""
        self._epoch = epoch
        self._state = {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def restore(self) -> None:
        """Give the model the remembered weights."""
        self.model.load_state_dict(self._state)

    def step(self, loss: Tensor, kl_nats: Tensor, *, epoch: int) -> str:
        """One step of the optimizer, or a retreat.

        Args:
            loss: a scalar with its graph.
            kl_nats: the KL term before beta and divisor.
            epoch: for the finding.
        Returns:
            What was done instead of a step; empty after a step.
        """
        if not torch.isfinite(loss):
            return self._retreat("D13", f"the loss was not finite at epoch {epoch}")
        self._kl.append(kl_nats.item())
        if is_spike(self._kl):
            return self._retreat("D17", f"the KL term jumped to {self._kl[-1]:.3g} nats at epoch {epoch}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        return ""

    def _retreat(self, rule: str, what: str) -> str:
        self.restore()
        self._kl.clear()
        self.learning_rate /= 2
        self._optimizer = self._new_optimizer()
        self.gave_up = len(self.findings) + 1 >= MAX_RETREATS
        back = f"epoch {self._epoch}" if self._epoch else "the initial weights"
        done = f"{what}: back to {back} with learning rate {self.learning_rate:g}"
        if self.gave_up:
            done += f", and the end after {MAX_RETREATS} retreats"
        remedy = "Lower --learning-rate, or scale the features (--feature-scaling standard)."
        self.findings.append(Finding(rule, "warning", f"In training {done}.", remedy, self.learning_rate))
        return done

    def _new_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(
            [
                {"params": self.model.encoder.parameters(), "weight_decay": self.weight_decay},
                {"params": self.model.decoder.parameters(), "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
        )
