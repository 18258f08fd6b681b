"""Selection: against Benjamini and Hochberg, on planted graphs, and with controls that must fail."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, false_discovery_control, hypergeom

from linkodds.errors import InsufficientCalibration, NotExchangeable, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.probability.selection import (
    Audit,
    ErrorControl,
    PairCounts,
    Treatment,
    audit_entries,
    audit_rng,
    false_discovery_bound,
)

ALIKE = Treatment("hash", "zeros")


def control_of(nulls: np.ndarray, candidates: np.ndarray) -> ErrorControl:
    thresholds = np.unique(candidates)[::-1].astype(np.float64)
    return ErrorControl(
        nulls=PairCounts.of(nulls, thresholds, ALIKE), candidates=PairCounts.of(candidates, thresholds, ALIKE)
    )


def test_streaming_form_is_benjamini_and_hochberg_on_conformal_p_values() -> None:
    """T7: in every one of 1,000 random cases, most of them full of ties, q-values and selections are the same."""
    rng = np.random.default_rng(0)
    num_selecting = 0
    for _ in range(1000):
        m, n, levels = int(rng.integers(1, 400)), int(rng.integers(1, 200)), int(rng.integers(2, 60))
        nulls = rng.integers(0, levels, m).astype(np.float64)
        candidates = np.concatenate([rng.integers(0, levels, n), rng.integers(levels // 2, 2 * levels, n // 4)]) * 1.0
        p_values = (1 + (nulls[None, :] >= candidates[:, None]).sum(axis=1)) / (m + 1)
        adjusted = false_discovery_control(p_values, method="bh")
        control = control_of(nulls, candidates)
        np.testing.assert_allclose(control.q_values(candidates), adjusted, rtol=1e-12)
        for alpha in (0.05, 0.1, 0.2, 0.3):
            threshold = control.threshold(alpha)
            selected = np.zeros(len(candidates), dtype=bool) if threshold is None else candidates >= threshold
            clear = np.abs(adjusted - alpha) > 1e-12  # scipy's own rounding decides at equality
            np.testing.assert_array_equal(selected[clear], (adjusted <= alpha)[clear])
            num_selecting += bool(selected.any())
    assert num_selecting > 1000


LOGITS = st.lists(st.integers(-3, 6), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(nulls=LOGITS, candidates=LOGITS, data=st.data())
def test_q_values_rise_as_logits_fall_and_blocks_may_come_in_any_order(nulls, candidates, data) -> None:
    nulls, candidates = np.array(nulls, dtype=np.float64), np.array(candidates, dtype=np.float64)
    control = control_of(nulls, candidates)
    q = control.q_values()
    assert (np.diff(q) >= 0).all()
    assert ((q > 0) & (q <= 1)).all()
    cut = data.draw(st.integers(0, len(nulls)))
    shuffled = np.array(data.draw(st.permutations(nulls.tolist())))
    parts = [PairCounts.of(part, control.nulls.thresholds, ALIKE) for part in (shuffled[:cut], shuffled[cut:])]
    for merged in (parts[0].merged(parts[1]), parts[1].merged(parts[0])):
        assert replace(control, nulls=merged).q_values().tolist() == q.tolist()
    # A tie counts against the candidate: raising tied nulls by a hair changes nothing, lowering them never hurts.
    raised = control_of(nulls + 0.5 * np.isin(nulls, candidates), candidates)
    assert raised.q_values().tolist() == q.tolist()
    assert (control_of(nulls - 0.5, candidates).q_values() <= q).all()
    # An alpha takes all pairs of a tie or none, and more of them as it grows.
    low, high = control.threshold(0.2), control.threshold(0.6)
    assert low is None or (high is not None and high <= low and low in candidates)


def test_share_of_false_candidates_is_seen() -> None:
    """Storey's estimate: 2,000 false of 2,500 is 0.8, give or take 2 sqrt(2000 / 4) / 2500 = 0.018; ties are counted by hand."""
    rng = np.random.default_rng(0)
    control = control_of(rng.normal(0, 1, 20_000), np.concatenate([rng.normal(0, 1, 2000), rng.normal(5, 1, 500)]))
    assert abs(control.false_share() - 0.8) < 3 * 0.018
    nulls, candidates = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([5.0, 3.0, 2.0, 0.0])
    # p-values (1 + C) / 6: 1/6, 3/6, 5/6 and 1, so two of four are above one half.
    assert control_of(nulls, candidates).false_share() == 1.0
    assert control_of(nulls, np.array([5.0, 4.0, 3.0, 0.0])).false_share() == 0.5
    assert control_of(np.arange(1.0, 6), np.array([9.0, 3.0])).false_share() == 1.0  # 1/6, and 4/6 from three nulls
    assert control_of(nulls, np.array([5.0])).false_share() == 0.0
    assert control_of(nulls, np.array([0.0])).false_share() == 1.0


def test_billions_of_pairs_are_counted_without_overflow() -> None:
    thresholds = np.array([2.0, 1.0])
    nulls = PairCounts(thresholds, np.array([5_000_000_000, 10_000_000_000]), 50_000_000_000, ALIKE)
    candidates = PairCounts(thresholds, np.array([10_000_000_000, 11_000_000_000]), 50_000_000_000, ALIKE)
    np.testing.assert_allclose(ErrorControl(nulls=nulls, candidates=candidates).q_values(), [0.5, 10 / 11], rtol=1e-9)


class TestRefusals:
    thresholds = np.array([1.0])

    def counts(self, treatment: Treatment) -> PairCounts:
        return PairCounts.of(np.array([0.0, 2.0]), self.thresholds, treatment)

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            (Treatment("another", "zeros"), "message graph hash, candidates on another"),
            (Treatment("hash", "left out"), "nulls were zeros, candidates were left out"),
        ],
    )
    def test_pairs_that_the_model_met_differently_never_meet(self, other: Treatment, said: str) -> None:
        with pytest.raises(NotExchangeable, match=said):
            ErrorControl(nulls=self.counts(ALIKE), candidates=self.counts(other))
        with pytest.raises(NotExchangeable, match="merged"):
            self.counts(ALIKE).merged(self.counts(other))

    def test_counts_are_checked(self) -> None:
        with pytest.raises(ValueError, match="thresholds that fall"):
            PairCounts.of(np.zeros(3), np.array([1.0, 1.0]), ALIKE)
        with pytest.raises(ValueError, match="at most the 3 pairs"):
            PairCounts(self.thresholds, np.array([4]), 3, ALIKE)
        with pytest.raises(ValueError, match="different thresholds"):
            self.counts(ALIKE).merged(PairCounts.of(np.zeros(1), np.array([0.0]), ALIKE))

    def test_too_few_nulls_are_refused_with_the_number_that_it_takes(self) -> None:
        """n / (alpha k) = 1000 / (0.1 * 20) = 500, so 499 nulls are enough and 498 are not."""
        candidates = PairCounts(self.thresholds, np.array([20]), 1000, ALIKE)
        enough = ErrorControl(nulls=PairCounts(self.thresholds, np.array([0]), 499, ALIKE), candidates=candidates)
        enough.require_nulls(0.1, 20)
        assert enough.threshold(0.1) == 1.0  # no null above 20 candidates: just enough to select them
        few = ErrorControl(nulls=PairCounts(self.thresholds, np.array([0]), 498, ALIKE), candidates=candidates)
        assert few.threshold(0.1) is None
        with pytest.raises(InsufficientCalibration, match=r"D26: 498 .* takes 499 nulls"):
            few.require_nulls(0.1, 20)

    @pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan"), float("inf")])
    def test_an_alpha_is_a_share(self, alpha: float) -> None:
        with pytest.raises(OptionError, match="between 0 and 1"):
            control_of(np.zeros(3), np.zeros(3)).threshold(alpha)

    def test_sampled_or_reweighted_non_edges_are_not_audited(self) -> None:
        sampled = HeldOut.from_logits([1.0, 2.0], np.arange(10.0), 1000)
        with pytest.raises(ValueError, match="enumerate"):
            Audit.of(sampled, audit_rng(0))
        for test in (sampled, HeldOut.from_logits([1.0, 2.0], np.arange(10.0), 10).at_prevalence(0.5)):
            entries = audit_entries(test, audit_rng(0))
            assert [entry["num_selected"] for entry in entries] == [None] * 4
            assert "linkodds evaluate RUN --fdr" in entries[0]["reason"]


class TestBoundAtAFixedThreshold:
    @pytest.mark.parametrize(("c", "m", "n"), [(0, 50, 70), (3, 200, 100), (40, 60, 500), (199, 200, 30)])
    def test_it_is_the_beta_binomial_quantile(self, c: int, m: int, n: int) -> None:
        assert false_discovery_bound(c, m, num_candidates=n, num_selected=n) == betabinom.ppf(0.9, n, c + 1, m - c) / n

    @pytest.mark.parametrize(("m", "n"), [(20, 30), (100, 60), (50, 400)])
    def test_it_holds_whatever_the_threshold(self, m: int, n: int) -> None:
        """Of m + n nulls k reach the threshold, C ~ hypergeometric in calibration: P(k - C > V(C)) <= 0.1, exactly."""
        bounds = [round(n * false_discovery_bound(c, m, num_candidates=n, num_selected=n)) for c in range(m + 1)]
        worst = 0.0
        for k in range(m + n + 1):
            c = np.arange(max(0, k - n), min(k, m) + 1)
            broken = k - c > np.array(bounds)[c]
            worst = max(worst, float(hypergeom.pmf(c, m + n, k, m)[broken].sum()))
        assert 0.05 < worst <= 0.1 + 1e-9

    def test_huge_counts_get_a_slightly_wider_bound_at_once(self) -> None:
        share = false_discovery_bound(10**8, 10**10, num_candidates=10**10, num_selected=10**9)
        assert 0.1 < share < 0.101


# T6. Planted graphs: a degree-corrected planted partition whose edge probabilities are known, a quarter of the edges
# hidden, and a spectral score of the rest. 60 graphs; an error rate is accepted if its mean less 1.645 standard errors is
# at most alpha, so a rate of exactly alpha fails with probability 0.05 (and the seed is fixed).
NODES, GROUPS, REPETITIONS = 300, 10, 60
U, V = np.triu_indices(NODES, k=1)


def planted_graph(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of each pair, which pairs are edges, and which of these are hidden."""
    group, hub = rng.integers(0, GROUPS, NODES), rng.lognormal(0.0, 0.4, NODES)
    weight = np.where(group[U] == group[V], 150.0, 0.3) * hub[U] * hub[V]
    probability = np.minimum(weight * 0.05 * len(U) / weight.sum(), 0.9)
    is_edge = rng.random(len(U)) < probability
    return probability, is_edge, is_edge & (rng.random(len(U)) < 0.25)


def spectral_score(entries: np.ndarray, rank: int = GROUPS) -> np.ndarray:
    """The best approximation of that rank to the symmetric matrix with these entries, at every pair."""
    matrix = np.zeros((NODES, NODES))
    matrix[U, V] = entries
    values, vectors = np.linalg.eigh(matrix + matrix.T)
    top = np.argsort(-np.abs(values))[:rank]
    return ((vectors[:, top] * values[top]) @ vectors[:, top].T)[U, V]


def proportion_and_power(nulls: np.ndarray, candidates: np.ndarray, is_edge: np.ndarray, alpha: float):
    threshold = control_of(nulls, candidates).threshold(alpha)
    if threshold is None:
        return 0.0, 0.0
    selected = candidates >= threshold
    return float((~is_edge[selected]).mean()), float(is_edge[selected].sum() / is_edge.sum())


def error_is_controlled(proportions: list[float], alpha: float) -> bool:
    se = np.std(proportions, ddof=1) / np.sqrt(len(proportions))
    return bool(np.mean(proportions) - 1.645 * se <= alpha)


def halves(rng: np.random.Generator, is_edge: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibration nulls and candidates: half of the non-edges each, all hidden edges among the candidates."""
    non_edges = np.flatnonzero(~is_edge)
    coin = rng.random(len(non_edges)) < 0.5
    return non_edges[coin], np.concatenate([np.flatnonzero(hidden), non_edges[~coin]])


def test_the_error_rate_is_controlled_and_lists_are_not_empty() -> None:
    alphas = (0.05, 0.1, 0.2, 0.3)
    audited: dict[float, list[tuple[float, float]]] = {alpha: [] for alpha in alphas}
    masked: dict[float, list[tuple[float, float]]] = {alpha: [] for alpha in alphas}
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        _, is_edge, hidden = planted_graph(rng)
        score = spectral_score((is_edge & ~hidden).astype(float)).astype(np.float32)
        test = HeldOut.from_logits(score[hidden], score[~is_edge], int((~is_edge).sum()))
        audit = Audit.of(test, rng)
        unobserved = hidden | (~is_edge & (rng.random(len(U)) < 0.1))  # one link for about 8 false pairs
        for alpha in alphas:
            entry = audit.entry(alpha)
            audited[alpha].append((entry["false_discovery_proportion"], entry["num_true"] / test.num_edges))
            masked[alpha].append(
                proportion_and_power(score[~is_edge & ~unobserved], score[unobserved], hidden[unobserved], alpha)
            )
    for results, power_at_a_tenth in ((audited, 0.0), (masked, 0.1)):
        for alpha in alphas:
            proportions, powers = zip(*results[alpha], strict=True)
            assert error_is_controlled(list(proportions), alpha), (alpha, np.mean(proportions))
            if alpha == 0.1:
                assert np.mean(powers) > power_at_a_tenth
        assert np.mean([power for _, power in results[0.3]]) > 0.1


@pytest.mark.parametrize("broken", ["leak", "mismatch", "hubs"])
def test_controls_that_must_fail(broken: str) -> None:
    """The same check on lists whose nulls are not exchangeable with the false candidates: it has to see it."""
    proportions = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        probability, is_edge, hidden = planted_graph(rng)
        observed = is_edge & ~hidden
        nulls, candidates = halves(rng, is_edge, hidden)
        score = null_score = spectral_score(observed.astype(float))
        if broken == "leak":  # fitted on the calibration nulls as zeros, candidates left out
            entries = observed.astype(float)
            entries[nulls] = -0.5
            score = null_score = spectral_score(entries, rank=60)
        elif (
            broken == "mismatch"
        ):  # candidates scored with edges in the message graph that the nulls' score has not seen
            validation = observed & (rng.random(len(U)) < 0.2)
            null_score = spectral_score((observed & ~validation).astype(float))
        else:  # false pairs were left unobserved in proportion to how likely links they are
            non_edges = np.flatnonzero(~is_edge)
            share = 0.25 * len(non_edges) * probability[non_edges] / probability[non_edges].sum()
            taken = rng.random(len(non_edges)) < share
            nulls, candidates = non_edges[~taken], np.concatenate([np.flatnonzero(hidden), non_edges[taken]])
        result = proportion_and_power(null_score[nulls], score[candidates], is_edge[candidates], 0.2)
        proportions.append(result[0])
    assert not error_is_controlled(proportions, 0.2), np.mean(proportions)


def test_halves_are_dealt_from_counts_alone() -> None:
    """Both halves together are all non-edges at every threshold, and each is half of them but for chance."""
    rng = np.random.default_rng(0)
    test = HeldOut.from_logits(rng.normal(2, 1, 300), rng.normal(0, 1, 40_000), 40_000)
    audit = Audit.of(test, audit_rng(0))
    nulls, candidates = audit.control.nulls, audit.control.candidates
    others = candidates.at_least - audit.edges_at_least
    np.testing.assert_array_equal(nulls.at_least + others, test.non_edges.at_least[::-1])
    assert nulls.num_pairs + candidates.num_pairs == 40_300
    spread = np.abs(nulls.at_least - others) / np.sqrt(np.maximum(nulls.at_least + others, 1))
    assert spread.max() < 5  # a fair coin's deviation is about 1; 300 thresholds
    again = Audit.of(test, audit_rng(0))
    assert again.control.nulls.at_least.tolist() == nulls.at_least.tolist()
    assert Audit.of(test, audit_rng(1)).control.nulls.at_least.tolist() != nulls.at_least.tolist()
