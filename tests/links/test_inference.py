import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import OptionError, RunError, UnkeptPromise
from linkodds.fitting.pipeline import fit_graph
from linkodds.links.inference import find_links, find_run, predict_run
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of, evaluate_run


@pytest.fixture(params=["gae", "adamic-adar"])
def run(communities, request):
    return fit_graph(communities, FitConfig(model=request.param, hidden=16, dim=8, epochs=40, threads=1))


def test_find_lists_the_best_unrecorded_pairs_with_their_evidence(run, communities, tmp_path):
    summary = find_run(run, tmp_path / "links.csv", top=50)
    links = pl.read_csv(tmp_path / "links.csv")
    assert links.columns == ["source", "target", "logit", "probability", "q_value", "evidence"]
    assert len(links) == summary.num_links == 50
    assert summary.expected_links == pytest.approx(links["probability"].sum())
    assert links["q_value"].null_count() == 50
    pairs = communities.space.canonical(np.column_stack([communities.index_of(links[c]) for c in ("source", "target")]))
    assert not communities.space.contains(communities.edges, pairs).any()
    recorded = run.split.recorded()
    everything = recorded.absent_pairs(np.arange(recorded.num_absent))
    best = np.sort(run.scorer.logits(everything))[::-1][:50]
    np.testing.assert_allclose(links["logit"], best)
    neighbors = {i: set() for i in range(communities.num_nodes)}
    for u, v in communities.edges.tolist():
        neighbors[u].add(v), neighbors[v].add(u)
    for (u, v), line in zip(pairs.tolist(), links["evidence"], strict=True):
        assert line.startswith(f"{len(neighbors[u] & neighbors[v])} shared neighbour")
        assert re.search(rf"; degrees {len(neighbors[u])} \([^)]*\) and {len(neighbors[v])} \(", line)


def test_find_and_predict_agree_on_pairs_logits_probabilities_and_decisions(run, tmp_path):
    find_run(run, tmp_path / "links.csv", decision="f1")
    found = pl.read_csv(tmp_path / "links.csv")
    predict_run(run, tmp_path / "links.csv", tmp_path / "answers.parquet", decision="f1")
    answers = pl.read_parquet(tmp_path / "answers.parquet")
    np.testing.assert_allclose(answers["logit"], found["logit"], rtol=1e-12)
    np.testing.assert_allclose(answers["probability"], found["probability"], rtol=1e-12)
    assert answers["decision"].to_list() == [1] * len(found)
    assert answers["known"].sum() == 0
    # The count in the evaluation is the same list plus the test edges that pass.
    counted = next(each for each in run.evaluation.decisions if each.decision.rule == "f1")
    assert counted.confusion.fp == len(found)


def test_predict_keeps_ids_and_order_and_leaves_unknown_rows_empty(run, communities, tmp_path):
    (u, v), unknown = communities.ids[communities.edges[0]], "nobody"
    rows = [(v, u), ("node3", unknown), ("node5", "node5"), ("node0", "node149")]
    (tmp_path / "pairs.csv").write_text("source,target\n" + "\n".join(",".join(row) for row in rows) + "\n")
    summary = predict_run(run, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert (summary.num_rows, summary.num_unknown, summary.num_inadmissible) == (4, 1, 1)
    table = pl.read_csv(tmp_path / "out.csv")
    assert list(zip(table["source"], table["target"], strict=True)) == rows
    assert table["logit"].is_null().to_list() == [False, True, True, False]
    assert table["known"].to_list()[0] == 1
    assert "as many as the test set held" in summary.assumption


def test_budget_lists_exactly_k_and_an_assumption_scales_the_odds(run):
    default = find_links(run, MissingLinksAssumption().deployment(run), decision="budget:17")
    assert len(default) == 17
    missing = 0.5 * len(run.split.test)
    half = find_links(run, MissingLinksAssumption(expected_missing=missing).deployment(run), decision="budget:17")
    below_one = default["probability"].to_numpy() < 1
    ratio = half["probability"].to_numpy()[below_one] / default["probability"].to_numpy()[below_one]
    np.testing.assert_allclose(ratio, 0.5, rtol=1e-9)


def test_evaluation_restated_at_its_own_prevalence_is_itself(run):
    same = evaluate_run(run, MissingLinksAssumption(expected_missing=len(run.split.test)))
    for name in ("roc_auc", "average_precision", "log_loss", "observed_over_expected", "best_f1"):
        assert same.metrics[name].value == pytest.approx(run.evaluation.metrics[name].value, rel=1e-6)
    assert same.candidates["prevalence"] == pytest.approx(run.evaluation.candidates["prevalence"], rel=1e-12)
    assert evaluate_run(run, MissingLinksAssumption(prevalence=0.2)).candidates["prevalence"] == 0.2
    rarer = evaluate_run(run, MissingLinksAssumption(prevalence=1e-5))
    assert rarer.metrics["average_precision"].value < run.evaluation.metrics["average_precision"].value
    assert rarer.metrics["roc_auc"].value == pytest.approx(run.evaluation.metrics["roc_auc"].value)


def test_new_links_of_a_decision_are_as_likely_as_the_pairs_that_pass_it(communities):
    """Each pair without an edge counts once, one by one: counts of neighbours tie, so a bin stands for many of them."""
    run = fit_graph(communities, FitConfig(model="common-neighbors", degree_calibration="no", threads=1))
    assumption = MissingLinksAssumption(expected_missing=40)
    deployment, recorded = assumption.deployment(run), run.split.recorded()
    logits = run.scorer.logits(recorded.absent_pairs(np.arange(recorded.num_absent)))
    rows = {row["rule"]: row for row in evaluate_run(run, assumption).restated["new_links"]}
    passing = {each.decision.rule: each.decision.threshold_logit for each in run.evaluation.decisions}
    passing = {rule: logits[logits >= least] for rule, least in passing.items() if least is not None}
    several = [rule for rule, kept in passing.items() if len(np.unique(kept)) > 1]
    assert several
    for rule in several:
        assert rows[rule]["num_pairs"] == len(passing[rule])
        assert rows[rule]["expected_precision"] == pytest.approx(deployment.probability(passing[rule]).mean(), rel=1e-6)


def test_an_interval_gives_bands_in_every_table(run, tmp_path):
    most = len(run.split.test)
    assumption = MissingLinksAssumption(expected_missing=(most / 4, most))
    summary = find_run(run, tmp_path / "links.csv", top=30, assumption=assumption)
    links = pl.read_csv(tmp_path / "links.csv")
    assert links.columns[3:6] == ["probability", "probability_low", "probability_high"]
    predict_run(run, tmp_path / "links.csv", tmp_path / "answers.csv", assumption=assumption)
    answers = pl.read_csv(tmp_path / "answers.csv")
    for name, factor in (("probability_low", 0.25), ("probability", 0.5), ("probability_high", 1.0)):
        at_end = find_links(run, MissingLinksAssumption(expected_missing=factor * most).deployment(run), top=30)
        assert "probability_low" not in at_end.columns
        np.testing.assert_allclose(links[name], at_end["probability"], rtol=1e-9)
        np.testing.assert_allclose(answers[name], at_end["probability"], rtol=1e-9)
    assert summary.expected_links_band == pytest.approx(
        (links["probability_low"].sum(), links["probability_high"].sum())
    )
    assert "geometric mean" in summary.assumption


def test_an_evaluation_restated_over_an_interval_holds_the_values_at_both_ends(run):
    low, middle, high = (evaluate_run(run, MissingLinksAssumption(prevalence=at)) for at in (0.001, 0.002, 0.004))
    band = evaluate_run(run, MissingLinksAssumption(prevalence=(0.001, 0.004)))
    assert band.restated["band"]["prevalence"] == pytest.approx([0.001, 0.004])
    assert band.candidates["prevalence"] == pytest.approx(0.002)
    for name in ("average_precision", "log_loss", "precision_at_100", "observed_over_expected", "roc_auc"):
        quantity = band.metrics[name]
        assert quantity.value == pytest.approx(middle.metrics[name].value)
        assert quantity.band == pytest.approx(sorted(each.metrics[name].value for each in (low, high)))
        assert quantity.to_json()["band"] == list(quantity.band)
        assert "band" not in middle.metrics[name].to_json()
    f1 = next(i for i, each in enumerate(band.decisions) if each.decision.rule == "f1")
    ends = [each.decisions[f1].measured["precision"].value for each in (low, high)]
    assert band.decisions[f1].measured["precision"].band == pytest.approx(ends)
    assert ends[0] < ends[1]
    new = [each.restated["new_links"][f1]["expected_precision"] for each in (low, middle, high)]
    assert band.restated["new_links"][f1]["expected_precision"] == pytest.approx(new[1])
    assert band.restated["new_links"][f1]["band"] == pytest.approx([new[0], new[2]])


def test_the_expected_precision_of_a_decision_is_that_of_the_list_it_makes(run):
    assumption = MissingLinksAssumption(expected_missing=30)
    said = next(each for each in evaluate_run(run, assumption).restated["new_links"] if each["rule"] == "f1")
    links = find_links(run, assumption.deployment(run), decision="f1")
    assert said["num_pairs"] == len(links)
    assert said["expected_precision"] == pytest.approx(
        links["probability"].mean(), rel=1e-5
    )  # bins are narrow, not exact


def test_refusals_come_before_any_work(run, tmp_path):
    with pytest.raises(OptionError, match=r"links.txt.*\.csv, \.tsv, \.parquet, \.jsonl, \.graphml, \.cyjs or \.cx2"):
        find_run(run, tmp_path / "links.txt", top=5)
    with pytest.raises(UnkeptPromise, match=r"precision>=0.9999"):  # exit 1: the option is fine, the data are too few
        decision_of(run, "precision>=0.9999")
    with pytest.raises(OptionError, match="--prevalence and --label-frequency"):
        find_run(
            run, tmp_path / "links.csv", top=5, assumption=MissingLinksAssumption(prevalence=0.1, label_frequency=0.5)
        )
    with pytest.raises(RunError, match="there is no directory .*missing; make it first"):
        find_run(run, tmp_path / "missing" / "links.csv", top=5)
    assert not list(tmp_path.iterdir())


def test_a_directory_in_the_place_of_the_file_is_named_and_nothing_is_left(run, tmp_path):
    (tmp_path / "links.csv").mkdir()
    with pytest.raises(RunError, match=r"links.csv is a directory"):
        find_run(run, tmp_path / "links.csv", top=5)
    assert [each.name for each in tmp_path.iterdir()] == ["links.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_what_find_wrote_predict_reads_whatever_the_ids_look_like(communities, tmp_path, suffix):
    ids = communities.ids.copy()
    odd = (
        "#hash",
        "a,b",
        'say "x"',
        "a\tb",
        "two\nlines",
        "NA",
        "007",
        "1e5",
        "<b>",
        "\u202eevil",
        "x" * 10_000,
    )
    ids[: len(odd)] = odd
    run = fit_graph(replace(communities, ids=ids), FitConfig(model="adamic-adar", threads=1))
    links, answers = tmp_path / f"links{suffix}", tmp_path / "answers.parquet"
    find_run(run, links, top=20_000)
    summary = predict_run(run, links, answers)
    found = find_links(run, MissingLinksAssumption().deployment(run), top=20_000)
    assert summary.num_unknown == 0
    assert pl.read_parquet(answers)["source", "target"].equals(found["source", "target"])
