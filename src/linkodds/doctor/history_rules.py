"""A training history, and the rules on it and on latent variables: D01 from the loss, D13, D16, D17, D18, D25."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linkodds.doctor.model_rules import train_test_gap
from linkodds.doctor.score_rules import OVERFLOW, OVERFLOW_CURE
from linkodds.findings import Finding
from linkodds.metrics.logit_bins import Floats

HELD_OUT = {"val", "valid", "validation", "test", "eval", "dev"}
"""Words that say that a column of a history is of edges that were not trained on."""
SOFTPLUS = {-1: float(np.log1p(np.exp(-1))), 0: float(np.log(2)), 1: float(np.log1p(np.exp(1)))}
"""log(1 + e^x): what an edge scored p costs is SOFTPLUS at -p, a non-edge at p, when p goes into a loss on logits."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One column of a history: the epochs it was written at, and its values (NaN and infinity stay, blanks do not)."""

    name: str
    epochs: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class History:
    """The columns of a training history, found by what they are and not by how they are spelled.

    Args:
        curves: one a column, in the file's order.
        loss_shares: weight of the edges and of the non-edges in the reconstruction loss, which is
            shares[0] * mean over edges + shares[1] * mean over non-edges. Balanced by default; (prevalence,
            1 - prevalence) for a plain mean over all pairs.
    Example:
        >>> history = History.from_columns({"epoch": [1, 2], "train_loss": [0.9, 0.7], "kld": [0.1, None]})
        >>> history.kl.values.tolist(), history.loss.name, history.roc_auc is None
        ([0.1], 'train_loss', True)
    """

    curves: tuple[Curve, ...]
    loss_shares: tuple[float, float] = (0.5, 0.5)

    @staticmethod
    def from_columns(
        columns: Mapping[str, Sequence[float | None] | Floats], *, loss_shares: tuple[float, float] = (0.5, 0.5)
    ) -> "History":
        """A history from columns of equal length; None is a blank cell (a value that was not written at that epoch)."""
        num_rows = max((len(column) for column in columns.values()), default=0)
        epochs = np.arange(1, num_rows + 1, dtype=np.float64)
        for name, column in columns.items():
            if name.strip().lower() in ("epoch", "epochs", "step") and all(value is not None for value in column):
                epochs = np.asarray(column, dtype=np.float64)
        curves = []
        for name, column in columns.items():
            kept = np.array([value is not None for value in column], dtype=np.bool_)
            values = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
            curves.append(Curve(name, epochs[: len(kept)][kept], values[kept]))
        return History(tuple(curves), loss_shares)

    @property
    def loss(self) -> Curve | None:
        """The training loss as a whole."""
        return self._find({"loss", "cost", "elbo"})

    @property
    def kl(self) -> Curve | None:
        """The KL term as a whole."""
        return self._find({"kl", "kld"})

    @property
    def reconstruction(self) -> Curve | None:
        """The reconstruction term, or loss minus KL where only those were written, or the loss."""
        own = self._find({"reconstruction", "recon", "rec", "bce", "nll"})
        loss, kl = self.loss, self.kl
        if own is None and loss is not None and kl is not None and np.array_equal(loss.epochs, kl.epochs):
            with np.errstate(invalid="ignore"):  # where both overflowed
                return Curve(f"{loss.name} - {kl.name}", loss.epochs, loss.values - kl.values)
        return own or loss

    @property
    def roc_auc(self) -> Curve | None:
        """Area under the ROC curve: of held-out edges where a name says so, else of whatever pairs it was measured on."""
        held_out = self.roc_aucs[1]
        return held_out or next((c for c in self.curves if words(c.name) & {"auc", "roc", "auroc"}), None)

    @property
    def roc_aucs(self) -> tuple[Curve | None, Curve | None]:
        """The columns of the ROC AUC on train edges and on held-out edges, each None where no name says which it is."""
        train, held_out = (
            next((c for c in self.curves if words(c.name) & {"auc", "roc", "auroc"} and words(c.name) & sample), None)
            for sample in ({"train", "training"}, HELD_OUT)
        )
        return train, held_out

    @property
    def log_deviations(self) -> list[Curve]:
        """Columns of log variances or log deviations."""
        return [
            c
            for c in self.curves
            if re.sub(r"[^a-z]", "", c.name.lower()).endswith(("logvar", "logstd", "logdeviation"))
        ]

    @property
    def logits(self) -> list[Curve]:
        """Columns of logits, such as the largest one of an epoch."""
        return [curve for curve in self.curves if words(curve.name) & {"logit", "logits"}]

    @property
    def kl_per_dimension(self) -> Floats | None:
        """Shape (dim,): last KL of each dimension where the columns are kl_0, kl_1, ..., None otherwise."""
        each = [c for c in self.curves if re.fullmatch(r"kld?(_dim(ension)?)?_?\d+", c.name.lower()) and len(c.values)]
        return np.array([curve.values[-1] for curve in each]) if len(each) > 1 else None

    def _find(self, names: set[str]) -> Curve | None:
        # A training term: "kl" is the term, "kl_3" a dimension of it, "val_loss" another sample, "bce_loss" no total.
        parts = {"kl", "kld", "reconstruction", "recon", "rec", "bce", "nll"}
        for curve in self.curves:
            found = words(curve.name)
            if (
                found & names
                and not found & HELD_OUT
                and not (found & parts) - names
                and not re.search(r"\d$", curve.name)
            ):
                return curve if len(curve.values) else None
        return None


def sigmoid_band(loss_shares: tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest loss that a decoder with a sigmoid can have in a loss that applies its own.

    The loss takes p in [0, 1] for a logit. An edge then costs softplus(-p), from 0.3133 (p = 1) to ln 2 (p = 0), a
    non-edge softplus(p), from ln 2 (p = 0) to 1.3133 (p = 1). With shares a and b of edges and non-edges in the loss,

        a * 0.3133 + b * 0.6931  <=  loss  <=  a * 0.6931 + b * 1.3133.

    Balanced (1/2, 1/2): [0.5032, 1.0032]. A plain mean over all pairs (prevalence, 1 - prevalence) cannot go below
    about ln 2. Kipf's loss on n^2 entries, L of them ones, norm = n^2 / (2 (n^2 - 2 E)) and pos_weight w: the shares
    are norm * w * L / n^2 and norm * (n^2 - L) / n^2, both 1/2 when w = (n^2 - L) / L and L = 2 E.

    Example:
        >>> [round(end, 4) for end in sigmoid_band((0.5, 0.5))]
        [0.5032, 1.0032]
    """
    edges, non_edges = loss_shares
    return edges * SOFTPLUS[-1] + non_edges * SOFTPLUS[0], edges * SOFTPLUS[0] + non_edges * SOFTPLUS[1]


def reachable_loss(roc_auc: float, loss_shares: tuple[float, float]) -> float:
    """A loss that any model with this area under the ROC curve can reach by relabelling its scores, whatever its curve.

    An area A forces the curve at least J = 1 - sqrt(2 (1 - A)) above the diagonal somewhere. One threshold there makes
    two groups of pairs; the share of edges in each as its probability has a loss of at most the value returned: the
    largest conditional entropy over all places (false positive rate f, recall f + J).

    Example:
        >>> round(reachable_loss(0.5, (0.5, 0.5)), 4), round(reachable_loss(0.88, (0.5, 0.5)), 3)
        (0.6931, 0.557)
    """
    gap = max(0.0, 1 - float(np.sqrt(2 * (1 - min(roc_auc, 1.0)))))
    fpr = np.linspace(0, 1 - gap, 2001)
    edges, non_edges = loss_shares
    in_edges, in_non_edges = edges * np.array([fpr + gap, 1 - fpr - gap]), non_edges * np.array([fpr, 1 - fpr])
    both = in_edges + in_non_edges
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.nan_to_num(in_edges * np.log(both / in_edges)) + np.nan_to_num(
            in_non_edges * np.log(both / in_non_edges)
        )
    return float(cost.sum(axis=0).max())


def double_sigmoid_loss(history: History) -> Finding | None:
    """D01: the loss settled inside the band that two sigmoids leave it, above what its own ranking makes reachable.

    Every epoch must lie inside the band (a sum of two means, or a loss on logits, starts or ends outside), and the last
    fifth must be flat. Without a column for the ROC AUC a weak model looks the same, so it is a warning then.
    """
    curve = history.reconstruction
    if curve is None or len(curve.values) < 50 or not np.isfinite(curve.values).all():
        return None
    if _at_ln2(curve.values):
        return None  # two sigmoids start at 0.72; a loss that starts at ln 2 and stays there is D18
    floor, ceiling = sigmoid_band(history.loss_shares)
    lowest = float(curve.values.min())
    fifth = len(curve.values) // 5
    before, last = np.median(curve.values[-2 * fifth : -fifth]), np.median(curve.values[-fifth:])
    if lowest < floor - 1e-6 or curve.values.max() > ceiling + 1e-6 or before - last > 0.01 * before:
        return None
    auc = history.roc_auc
    best = float(np.nanmax(auc.values)) if auc is not None and np.isfinite(auc.values).any() else None
    if best is not None and lowest <= reachable_loss(best, history.loss_shares):
        return None
    message = (
        f"The loss ({curve.name}) settled at {last:.4f} and never left [{floor:.4f}, {ceiling:.4f}], the range "
        "that is left to a "
        "balanced loss on logits when it is given probabilities: a sigmoid was most likely applied twice"
    )
    if best is not None:
        message += (
            f", for with a ROC AUC of {best:.3f} at least {reachable_loss(best, history.loss_shares):.4f} is in reach"
        )
    else:
        message += ", or the model is weak (the history has no ROC AUC that would tell)"
    remedy = (
        "Pass the decoder's logits, not their sigmoid, to binary_cross_entropy_with_logits; "
        "if it gets logits already, they cannot go below 0: give the decoder a bias."
    )
    return Finding("D01", "warning" if best is None else "error", message + ".", remedy, lowest)


def loss_at_ln2(history: History) -> Finding | None:
    """D18: over its last 20 epochs a balanced loss is within 0.005 of ln 2, what a logit of 0 for every pair costs.

    Silent where the loss is not balanced, for then ln 2 says nothing.
    """
    curve = history.reconstruction
    if curve is None or len(curve.values) < 20 or not np.isfinite(curve.values).all():
        return None
    if max(abs(share - 0.5) for share in history.loss_shares) > 0.05 or not _at_ln2(curve.values[-20:]):
        return None
    last = float(curve.values[-20:].mean())
    message = (
        f"The loss ({curve.name}) is {last:.4f} over the last 20 epochs, and ln 2 = 0.6931 is what a logit of 0 for every "
        "pair costs: nothing was learnt that the loss can see."
    )
    remedy = (
        "Look for a gradient that is 0 (dead ReLU, a detached tensor, a learning rate of 0), embeddings that start near 0, "
        "features that are all alike, and give the decoder a scale and a bias."
    )
    return Finding("D18", "warning", message, remedy, last)


def _at_ln2(values: Floats) -> bool:
    return bool((np.abs(values - SOFTPLUS[0]) < 0.005).all())


def train_test_gap_of(history: History) -> Finding | None:
    """D25: at the last epoch that has both, the ROC AUC of train edges is over 0.1 above the held-out one."""
    train, held_out = history.roc_aucs
    if train is None or held_out is None:
        return None
    at = np.intersect1d(train.epochs[np.isfinite(train.values)], held_out.epochs[np.isfinite(held_out.values)])
    if not len(at):
        return None
    return train_test_gap(*(float(curve.values[curve.epochs == at[-1]][0]) for curve in (train, held_out)))


def nonfinite_history(history: History) -> Finding | None:
    """D13: NaN or infinity in a loss term, a log deviation beyond 20, or a logit beyond 80."""
    terms = [term for term in (history.loss, history.reconstruction, history.kl) if term is not None]
    limits = (
        [(c, np.inf) for c in terms]
        + [(c, 20.0) for c in history.log_deviations]
        + [(c, OVERFLOW) for c in history.logits]
    )
    for curve, limit in limits:
        bad = ~np.isfinite(curve.values) | (np.abs(curve.values) > limit)
        if bad.any():
            at = int(np.argmax(bad))
            value = float(curve.values[at])
            message = (
                f"{curve.name} is {value:.4g} at epoch {curve.epochs[at]:g}: numbers overflow, and what was trained "
                "after that is void."
            )
            return Finding("D13", "error", message, OVERFLOW_CURE, value if np.isfinite(value) else None)
    return None


def kl_spike(history: History) -> Finding | None:
    """D17: the KL term (the loss, where there is none) jumps above its last 25 values, after epoch 10."""
    curve = history.kl or history.loss
    if curve is None:
        return None
    spikes = find_spikes(curve)
    if not len(spikes):
        return None
    first = spikes[0]
    usual = float(np.median(curve.values[max(0, first - 25) : first]))
    times = float(curve.values[first]) / usual
    message = (
        f"{curve.name} jumps to {curve.values[first]:.4g} at epoch {curve.epochs[first]:g}, {times:.3g} times its "
        f"last 25 epochs ({len(spikes)} such epoch(s)): a step through a steep place, after which decisions made with "
        "a fixed threshold are off."
    )
    remedy = (
        "Clip the gradient norm at 1, clamp the log deviation to about [-6, 2], warm the KL weight up, standardise "
        "the features, and keep the best epoch, not the last."
    )
    return Finding("D17", "warning", message, remedy, times)


def find_spikes(curve: Curve) -> list[int]:
    """Rows after the tenth whose value is over 3 medians, and 8 robust deviations above the median, of the 25 before.

    A deviation is 1.4826 times the median absolute deviation, at least 5 % of the median. The value also has to be
    twice the median of the three before it: a term that grows steadily, as under a warm-up, is no spike.

    Example:
        >>> values = np.ones(60)
        >>> values[40] = 5.0
        >>> find_spikes(Curve("kl", np.arange(60.0), values))
        [40]
    """
    broken = ~np.isfinite(curve.values)
    values = curve.values[: int(np.argmax(broken))] if broken.any() else curve.values  # after an overflow: D13
    return [row for row in range(10, len(values)) if is_spike(values[: row + 1])]


def is_spike(values: Sequence[float] | Floats) -> bool:
    """Whether the last of at least 11 finite values is a spike, as `find_spikes` says it.

    Example:
        >>> is_spike([1.0] * 10 + [5.0]), is_spike([1.0] * 10 + [2.9]), is_spike([1.0, 5.0])
        (True, False, False)
    """
    last = values[-1]
    if len(values) < 11 or last < 2 * sorted(values[-4:-1])[1]:  # the cheap question first
        return False
    before = np.asarray(values[-26:-1])
    median = float(np.median(before))
    if median <= 0 or last <= 3 * median:
        return False
    deviation = max(1.4826 * float(np.median(np.abs(before - median))), 0.05 * median)
    return bool(last - median > 8 * deviation)


def posterior_collapse(
    *, mean: Floats | None = None, log_deviation: Floats | None = None, kl: Floats | None = None
) -> Finding | None:
    """D16: the latent variables say nothing about the nodes.

    Args:
        mean: shape (nodes, dim), posterior means.
        log_deviation: shape (nodes, dim), log of the posterior deviations.
        kl: shape (dim,), KL against N(0, 1) in nats a node; worked out from the other two when not given.
    Returns:
        A finding when 90 % of the dimensions have a KL under 0.01, or when at most max(1, dim / 10) are active: the
        variance of their means over the nodes is above 0.01 (Burda, Grosse and Salakhutdinov, 2016).
    Example:
        >>> posterior_collapse(kl=np.array([0.001, 0.002, 0.0, 1.2])) is None
        True
        >>> posterior_collapse(mean=np.zeros((5, 8)), log_deviation=np.zeros((5, 8))).id
        'D16'
    """
    if kl is None and mean is not None and log_deviation is not None:
        kl = 0.5 * (mean**2 + np.exp(2 * log_deviation) - 1 - 2 * log_deviation).mean(axis=0)
    if kl is not None and (kl < 0.01).mean() >= 0.9:
        silent = int((kl < 0.01).sum())
        seen, statistic = f"{silent} of {len(kl)} latent dimensions have a KL under 0.01 nats", silent / len(kl)
    elif mean is not None and (active := int((mean.var(axis=0) > 0.01).sum())) <= max(1.0, 0.1 * mean.shape[1]):
        seen, statistic = (
            f"{active} of {mean.shape[1]} latent dimensions are active (variance of the means above 0.01)",
            float(active),
        )
    else:
        return None
    message = (
        f"{seen}: the posterior has collapsed on the prior, and the embedding says almost nothing about the nodes."
    )
    remedy = (
        "Warm the KL weight up from 0, allow free bits, or lower beta; check that both loss terms are summed or both "
        "averaged (dividing the KL by the nodes twice, or the other way round, changes beta by their number)."
    )
    return Finding("D16", "warning", message, remedy, statistic)


def nonfinite_latents(mean: Floats, log_deviation: Floats | None = None) -> Finding | None:
    """D13 on latent variables: NaN or infinity, or a log deviation beyond 20."""
    bad = int((~np.isfinite(mean)).sum()) + (0 if log_deviation is None else int((~np.isfinite(log_deviation)).sum()))
    if bad:
        return Finding(
            "D13",
            "error",
            f"{bad} numbers of the embedding are NaN or infinite: the training overflowed.",
            OVERFLOW_CURE,
            float(bad),
        )
    largest = 0.0 if log_deviation is None else float(np.abs(log_deviation).max())
    if largest > 20:
        message = f"The largest log deviation is {largest:.4g} in size: its exponential is about to overflow."
        return Finding("D13", "error", message, OVERFLOW_CURE, largest)
    return None


def words(name: str) -> set[str]:
    """The lower-case words of a column name.

    Example:
        >>> sorted(words("val_ROC-AUC"))
        ['auc', 'roc', 'val']
    """
    return set(re.split(r"[^a-z0-9]+", name.strip().lower()))
