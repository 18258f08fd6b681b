"""Lists with a stated error: from a prior by hand, and on a run from the command line."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2, false_discovery_control
from typer.testing import CliRunner, Result

from linkodds.cli import app
from linkodds.config import FitConfig
from linkodds.doctor import diagnose_run
from linkodds.errors import OptionError, UnkeptPromise
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.error_control import _doubts, expected_list, masked_list, share_of_other_degrees
from linkodds.metrics.held_out import HeldOut
from linkodds.pairs import PairSpace
from linkodds.probability.deployment import Deployment, LinkRate, longest_list, most_pairs
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run, load_run

NODES = 300
U, V = np.triu_indices(NODES, k=1)


class TestListsFromAPrior:
    def test_the_longest_list_by_hand(self) -> None:
        """Probabilities 0.9 (30 pairs), 0.5 (10 tied pairs), 0.1: 0.9 on average for 30, 0.8 for 40, less after."""
        rate = LinkRate(np.array([0.0, 1.0, 2.0]), np.log([0.01, 0.05, 0.09]), 1000, np.inf)
        deployment = Deployment(rate, 10.0, "M.")
        logits = np.repeat([2.0, 1.0, 0.0], [30, 10, 500])
        assert [longest_list(logits, deployment, share) for share in (0.9, 0.85, 0.8)] == [30, 30, 40]
        with pytest.raises(UnkeptPromise, match=r"the best 20 are expected to be to 0\.9\. M\."):
            longest_list(logits, deployment, 0.95)
        with pytest.raises(UnkeptPromise, match="at least 20"):  # 15 would do, but say too little
            longest_list(np.repeat([2.0, 0.0], [15, 500]), deployment, 0.85)
        scores = HeldOut.from_logits([2.0], logits, 540).non_edges
        for share, number in ((0.9, 30), (0.8, 40), (0.95, 0)):
            assert most_pairs(scores, deployment, share)[0] == number


@pytest.fixture(scope="module")
def hidden_pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, pl.DataFrame]:
    """A run on five cliques and five sparse groups of 30 nodes, 3 % of whose true edges are hidden, and 2,500
    other pairs that are unobserved like these."""
    folder = tmp_path_factory.mktemp("masked")
    rng = np.random.default_rng(3)
    inside = np.repeat([1.0, 0.2], 5)
    is_edge = rng.random(len(U)) < np.where(U // 30 == V // 30, inside[U // 30], 0.005)
    is_hidden = is_edge & (rng.random(len(U)) < 0.03)
    pairs_of = np.column_stack([U, V]).astype(np.int64)
    ids = np.array([f"n{i}" for i in range(NODES)], dtype=object)
    graph, hidden = Graph(ids, pairs_of[is_edge & ~is_hidden], PairSpace(NODES)), pairs_of[is_hidden]
    known = graph.space.pair_of_rank(np.arange(graph.space.num_pairs))
    is_free = ~graph.space.contains(np.concatenate([graph.edges, hidden]), known)
    pairs = np.concatenate([hidden, known[is_free][rng.permutation(is_free.sum())[:2500]]])
    table = pl.DataFrame(
        {
            "source": graph.ids[pairs[:, 1]],  # the other way round, as users have them
            "target": graph.ids[pairs[:, 0]],
            "is_link": np.arange(len(pairs)) < len(hidden),
        }
    )
    table.select("source", "target").write_csv(folder / "pairs.csv")
    edges = {end: graph.ids[graph.edges[:, i]] for i, end in enumerate(("source", "target"))}
    pl.DataFrame(edges).write_csv(folder / "edges.csv")
    result = run_cli(
        *("fit", folder / "edges.csv", "--out", folder / "run", "--model", "resource-allocation", "--json")
    )
    assert result.exit_code == 0, result.stderr
    return load_run(folder / "run"), folder, table


def run_cli(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).invoke(
        app, [str(each) for each in arguments]
    )


class TestOnARun:
    def test_evaluation_holds_the_audit_and_evaluate_repeats_it(self, hidden_pairs) -> None:
        run, folder, _ = hidden_pairs
        stored = run.evaluation.audit
        assert [entry["alpha"] for entry in stored] == [0.05, 0.1, 0.2, 0.3]
        for entry in stored:
            assert {"alpha", "num_selected", "num_true", "false_discovery_proportion"} <= set(entry)
            false = entry["num_selected"] - entry["num_true"]
            assert entry["false_discovery_proportion"] == false / max(entry["num_selected"], 1)
        assert stored[3]["num_selected"] > 0
        result = run_cli("evaluate", folder / "run", "--fdr", 0.3, "--json")
        assert result.exit_code == 0, result.stderr
        (entry,) = json.loads(result.stdout)["audit"]
        assert stored[3].items() <= entry.items()
        assert entry["mode"] == "audit"
        assert {each["rule"] for each in entry["fixed_thresholds"]} >= {"f1", "mcc", "balanced_accuracy"}
        assert all(each["bound"] >= 0 for each in entry["fixed_thresholds"])
        printed = run_cli("evaluate", folder / "run", "--fdr", 0.3)
        assert f"{entry['num_selected']:,} of {entry['num_candidates']:,} candidates selected" in printed.stdout
        assert "not in the record" in printed.stderr

    def test_the_audit_of_few_test_edges_says_what_it_lacks(self) -> None:
        rng = np.random.default_rng(0)
        u, v = np.triu_indices(60, k=1)
        is_edge = rng.random(len(u)) < 0.05
        edges = np.column_stack([u, v])[is_edge].astype(np.int64)
        graph = Graph(np.array([f"n{i}" for i in range(60)], dtype=object), edges, PairSpace(60))
        run = fit_graph(graph, FitConfig(model="adamic-adar", threads=1))
        entry = run.evaluation.audit[0]  # 9 test edges: at alpha 0.05 it takes a list of 20
        assert entry["num_selected"] == 0
        assert "D26" in entry["reason"]
        found = diagnose_run(evaluation=run.evaluation, history={}, split=run.split, decision="f1")
        assert [finding.severity for finding in found if finding.id == "D26"] == ["info"]
        assert "D26" in [finding.id for finding in run.evaluation.findings]

    def test_masked_is_benjamini_and_hochberg_over_all_other_non_edges(self, hidden_pairs) -> None:
        run, folder, table = hidden_pairs
        out = folder / "masked.csv"
        result = run_cli(
            *("find", folder / "run", "--out", out, "--fdr", 0.2, "--unobserved", folder / "pairs.csv", "--json")
        )
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)
        assert said["mode"] == "masked"
        assert "left unobserved at random" in said["promise"]
        links = pl.read_csv(out)
        space = run.split.space
        ends = [np.array([run.index[name] for name in table[end]]) for end in ("source", "target")]
        pairs = space.canonical(np.column_stack(ends))
        recorded = run.split.recorded()
        others = recorded.absent_pairs(np.arange(recorded.num_absent))
        others = others[~space.contains(pairs, others)]
        nulls, candidates = (run.scorer.logits(each).astype(np.float32) for each in (others, pairs))
        reached = np.searchsorted(np.sort(-nulls), -candidates, side="right")
        q = false_discovery_control((1 + reached) / (len(nulls) + 1), method="bh")
        assert len(links) == said["num_links"] == int((q <= 0.2).sum()) > 20
        assert said["num_nulls"] == len(nulls)
        np.testing.assert_allclose(np.sort(links["q_value"]), np.sort(q[q <= 0.2]), rtol=1e-9)
        assert links["logit"].is_sorted(descending=True)
        truth = {frozenset(row[:2]): row[2] for row in table.iter_rows()}
        false = sum(not truth[frozenset(row)] for row in links.select("source", "target").iter_rows())
        # One list: its proportion may pass alpha, but not by more than three deviations of a count of that many.
        assert false / len(links) < 0.2 + 3 * np.sqrt(0.2 * 0.8 / len(links))
        # Other columns and rows that repeat a pair change nothing, and are said.
        twice = pl.concat([table, table.rename({"source": "target", "target": "source"}).select(table.columns).head(5)])
        twice.write_csv(folder / "twice.csv")
        result = run_cli(
            *("find", folder / "run", "--out", folder / "t.csv", "--fdr", 0.2, "--unobserved", folder / "twice.csv")
        )
        assert "5 rows of --unobserved repeat a pair" in result.stderr
        assert (folder / "t.csv").read_bytes() == out.read_bytes()

    def test_python_gives_the_same_lists(self, hidden_pairs, tmp_path: Path) -> None:
        _, folder, table = hidden_pairs
        predictor, pairs = LinkPredictor.load(folder / "run"), table.select("source", "target")
        wanted: list[tuple[dict[str, Any], list[object]]] = [
            ({"fdr": 0.2, "unobserved": pairs}, ["--fdr", 0.2, "--unobserved", folder / "pairs.csv"]),
            ({"fdr": 0.4, "mode": "discover"}, ["--fdr", 0.4, "--mode", "discover"]),
            ({"precision": 0.6}, ["--precision", 0.6]),
        ]
        for arguments, options in wanted:
            out = tmp_path / "list.parquet"
            result = run_cli("find", folder / "run", "--out", out, *options, "--expected-missing", 60, "--json")
            assert result.exit_code == 0, result.stderr
            controlled = predictor.list_links(**arguments, expected_missing=60)
            assert controlled.table.equals(pl.read_parquet(out))
            assert predictor.find_links(**arguments, expected_missing=60).equals(controlled.table)
            assert {"out": str(out), **controlled.to_json()} == json.loads(result.stdout)
        assert len(predictor.find_links()) == len(predictor.find_links(top=100)) == 100
        for refused in (
            {"fdr": 0.1},
            {"fdr": 0.1, "precision": 0.5},
            {"precision": 0.5, "top": 5},
            {"mode": "discover"},
        ):
            with pytest.raises(OptionError):
                predictor.find_links(**refused)
        with pytest.raises(OptionError, match="--fdr or --precision"):
            predictor.list_links()

    def test_unobserved_pairs_of_other_degrees_are_called_out(self, hidden_pairs) -> None:
        """Pairs of the richest nodes were left unobserved: seen by their degrees, whatever their logits say."""
        run, _, _ = hidden_pairs
        recorded = run.split.recorded()
        others = recorded.absent_pairs(np.arange(recorded.num_absent))
        degree = np.bincount(run.split.train.ravel(), minlength=NODES)
        at_random = np.random.default_rng(1).permutation(len(others))[:2000]
        hubs = np.argsort(-degree[others[:, 0]] * degree[others[:, 1]], kind="stable")[:2000]
        for chosen, named in ((at_random, False), (hubs, True)):
            ids = run.ids[others[chosen]]
            controlled = masked_list(run, pl.DataFrame({"source": ids[:, 0], "target": ids[:, 1]}), alpha=0.1)
            assert any("other degrees" in warning for warning in controlled.warnings) is named
        assert controlled.details["share_of_other_degrees"] > 0.7  # they all lie in the top fifth
        by_hand = share_of_other_degrees(np.array([0, 0, 1, 4], dtype=np.uint8), np.array([1.0, 1.0, 1.0, 1.0, 1.0]))
        assert by_hand == pytest.approx(0.3 + 0.05 + 0.05)  # excess of classes 0, 1 and 4 over a fifth

    def test_a_list_is_as_sure_as_the_held_out_edges_that_rank_in_it(self, hidden_pairs) -> None:
        """Calibration and test edges count alike, for both are what the rates were counted from."""
        run, _, _ = hidden_pairs
        assumption = MissingLinksAssumption(expected_missing=60)
        found = expected_list(run, precision=0.6, mode="precision", assumption=assumption)
        lowest = np.float32(found.table["logit"].min())
        parts = [run.scorer.logits(part).astype(np.float32) for part in (run.split.calibration, run.split.test)]
        of_calibration, of_test = (int(np.count_nonzero(logits >= lowest)) for logits in parts)
        assert of_calibration > 0 < of_test
        count = of_calibration + of_test
        low, high = chi2.ppf(0.025, 2 * count) / 2, chi2.ppf(0.975, 2 * count + 2) / 2
        share = float(found.table["probability"].mean())
        expected = [share * low / count, min(1.0, share * high / count)]
        assert found.details["expected_precision_interval"] == pytest.approx(expected, rel=1e-9)

    def test_few_unobserved_pairs_have_other_degrees_by_chance(self) -> None:
        """Of 100 pairs a share of sqrt((5 log 2 + log 1000) / 200) = 0.228 is out of place in one of a thousand draws."""
        assert _doubts(1.0, 0.225, 100) == ()
        assert len(_doubts(1.0, 0.231, 100)) == 1
        rng = np.random.default_rng(0)
        moved = [
            share_of_other_degrees(rng.integers(0, 5, 100).astype(np.uint8), np.full(5, 9.0)) for _ in range(2_000)
        ]
        assert np.mean(np.array(moved) > 0.228) <= 1 / 1000

    def test_pairs_that_were_picked_by_the_model_are_called_out(self, hidden_pairs, tmp_path: Path) -> None:
        _, folder, _ = hidden_pairs
        run_cli("find", folder / "run", "--out", tmp_path / "best.csv", "--top", 300)
        for pairs, warned in ((tmp_path / "best.csv", True), (folder / "pairs.csv", False)):
            result = run_cli("find", folder / "run", "--out", tmp_path / "x.csv", "--fdr", 0.1, "--unobserved", pairs)
            assert result.exit_code == 0
            assert ("picked with the help of a model" in result.stderr) is warned

    def test_an_empty_list_is_an_answer(self, hidden_pairs) -> None:
        _, folder, table = hidden_pairs
        table.filter(~pl.col("is_link")).tail(300).select("source", "target").write_csv(folder / "false.csv")
        result = run_cli(
            *("find", folder / "run", "--out", folder / "e.csv", "--fdr", 0.05, "--unobserved", folder / "false.csv")
        )
        assert result.exit_code == 0, result.stderr
        assert "0 new links at alpha 0.05, of 300 unobserved pairs" in result.stdout
        assert len(pl.read_csv(folder / "e.csv")) == 0

    @pytest.mark.parametrize("options", [["--fdr", 0.4, "--mode", "discover"], ["--precision", 0.6]])
    def test_expected_lists_are_labelled_and_equal_brute_force(self, hidden_pairs, options: list[object]) -> None:
        run, folder, _ = hidden_pairs
        out, missing = folder / "expected.csv", 60
        result = run_cli("find", folder / "run", "--out", out, *options, "--expected-missing", missing, "--json")
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)
        assert said["guaranteed"] is False
        assert "not guaranteed" in said["promise"]
        assert "60 links are missing" in said["assumption"]
        deployment = MissingLinksAssumption(expected_missing=missing).deployment(run)
        recorded = run.split.recorded()
        logits = np.sort(run.scorer.logits(recorded.absent_pairs(np.arange(recorded.num_absent))))[::-1]
        links = pl.read_csv(out)
        assert len(links) == said["num_links"] == longest_list(logits, deployment, 0.6) >= 20
        assert links["q_value"].null_count() == len(links)  # there is no valid null set
        assert said["expected_precision"] == pytest.approx(links["probability"].mean())
        low, high = said["expected_precision_interval"]
        assert 0 < low < said["expected_precision"] <= high <= 1
        half, same, double = said["sensitivity"]
        assert [row["num_missing"] for row in said["sensitivity"]] == [30, 60, 120]
        assert half["expected_precision"] <= same["expected_precision"] <= double["expected_precision"]
        assert half["about_num_links"] <= same["about_num_links"] <= double["about_num_links"]
        assert same["about_num_links"] == pytest.approx(len(links), rel=0.1)
        printed = run_cli("find", folder / "run", "--out", out, *options, "--expected-missing", missing)
        assert "(not guaranteed)" in printed.stdout
        assert "if 30 links are missing" in printed.stdout
        assert "if 120 links are missing" in printed.stdout

    def test_a_list_that_cannot_be_expected_leaves_no_file(self, hidden_pairs, tmp_path: Path) -> None:
        _, folder, _ = hidden_pairs
        result = run_cli(
            "find", folder / "run", "--out", tmp_path / "x.csv", "--precision", 0.99, "--expected-missing", 5
        )
        assert result.exit_code == 1
        assert "no list of at least 20 pairs" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_a_prior_that_the_record_rules_out_is_refused(self, hidden_pairs, tmp_path: Path) -> None:
        run, folder, _ = hidden_pairs
        for options in (["--precision", 0.5], ["--fdr", 0.5, "--mode", "discover"]):
            result = run_cli("find", folder / "run", "--out", tmp_path / "x.csv", *options, "--prevalence", 0.4)
            assert result.exit_code == 1
            assert "D27" in result.stderr
        most = int(MissingLinksAssumption().deployment(run).rate.most_missing)
        assert f"--expected-missing {most} or fewer" in result.stderr
        for missing, ids in ((most - 1, []), (most + 2, ["D27"])):
            result = run_cli("evaluate", folder / "run", "--expected-missing", missing, "--json")
            findings = json.loads(result.stdout)["findings"]
            assert [finding["id"] for finding in findings if finding["id"] == "D27"] == ids
        with pytest.raises(OptionError, match="--precision takes a share"):
            expected_list(run, precision=1.0, mode="precision")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--fdr", 0.1], "--mode discover, which guarantees nothing"),
            (["--fdr", 0.1, "--mode", "masked"], "--unobserved PAIRS"),
            (["--fdr", 0.1, "--mode", "audit"], "linkodds evaluate RUN --fdr A"),
            (["--fdr", 0.1, "--mode", "psychic"], "masked or discover, not psychic"),
            (["--fdr", 0.1, "--mode", "discover", "--unobserved", "pairs.csv"], "leave --unobserved out"),
            (["--fdr", 1.5, "--mode", "discover"], "between 0 and 1, such as 0.1, not 1.5"),
            (["--fdr", "nan", "--mode", "discover"], "not nan"),
            (["--fdr", 0.1, "--mode", "discover", "--top", 5], "--fdr and --top"),
            (["--fdr", 0.1, "--precision", 0.5], "--precision and --fdr"),
            (["--precision", 0.5, "--decision", "f1"], "--precision and --decision"),
            (["--precision", 2], "--precision takes a share between 0 and 1"),
            (["--mode", "discover"], "--mode says what --fdr A is to hold for"),
            (["--unobserved", "pairs.csv"], "--unobserved says what --fdr A is to hold for"),
        ],
    )
    def test_wrong_usage(self, hidden_pairs, tmp_path: Path, options: list[object], said: str) -> None:
        result = run_cli("find", hidden_pairs[1] / "run", "--out", tmp_path / "x.csv", *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("options", "said"),
        [(["--fdr", 0], "not 0.0"), (["--fdr", 0.1, "--prevalence", 0.1], "at its own base rate")],
    )
    def test_wrong_usage_of_the_audit(self, hidden_pairs, options: list[object], said: str) -> None:
        result = run_cli("evaluate", hidden_pairs[1] / "run", *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr

    def test_unobserved_pairs_that_are_none_are_refused(self, hidden_pairs, tmp_path: Path) -> None:
        run, folder, table = hidden_pairs
        source, target = (run.ids[each] for each in run.split.test[0])
        one, other = table.row(0)[:2]
        rows = {
            f"{one},{other}\n{target},{source}": (f"pair 2, '{target}' and '{source}': a recorded edge", 1),
            f"{one},NOBODY": ("pair 1, .*'NOBODY': an id that the graph does not have", 1),
            f"{one},{one}": ("no pair of this graph", 1),
        }
        for text, (said, exit_code) in rows.items():
            (tmp_path / "pairs.csv").write_text(f"source,target\n{text}\n")
            result = run_cli(
                *("find", folder / "run", "--out", tmp_path / "x.csv", "--fdr", 0.1),
                *("--unobserved", tmp_path / "pairs.csv"),
            )
            assert result.exit_code == exit_code
            assert re.search(said, result.stderr), result.stderr
            assert not (tmp_path / "x.csv").exists()

    def test_too_many_unobserved_pairs_are_refused(self, hidden_pairs, tmp_path: Path) -> None:
        """All but 99 pairs without an edge called unobserved: some 40,000 candidates for 99 nulls."""
        run, folder, _ = hidden_pairs
        recorded = run.split.recorded()
        pairs = recorded.absent_pairs(np.arange(recorded.num_absent))
        for kept, said in ((99, "D26: 99 calibration nulls"), (0, "no pair is left as calibration null")):
            ends = pairs[: len(pairs) - kept]
            pl.DataFrame({"a": run.ids[ends[:, 0]], "b": run.ids[ends[:, 1]]}).write_csv(tmp_path / "pairs.csv")
            result = run_cli(
                *("find", folder / "run", "--out", tmp_path / "x.csv", "--fdr", 0.1),
                *("--unobserved", tmp_path / "pairs.csv"),
            )
            assert result.exit_code == 1
            assert said in result.stderr
            assert not (tmp_path / "x.csv").exists()

    def test_a_graph_beyond_max_pairs_takes_a_sample_of_nulls_and_scores_all_for_an_audit(
        self, hidden_pairs, tmp_path: Path
    ) -> None:
        run, folder, _ = hidden_pairs
        graph_edges = folder / "edges.csv"
        result = run_cli(
            *(
                "fit",
                graph_edges,
                "--out",
                tmp_path / "run",
                "--model",
                "resource-allocation",
                "--max-pairs",
                40000,
                "--json",
            )
        )
        assert result.exit_code == 0, result.stderr
        assert [entry["num_selected"] for entry in json.loads(result.stdout)["audit"]] == [None] * 4
        (entry,) = json.loads(run_cli("evaluate", tmp_path / "run", "--fdr", 0.3, "--json").stdout)["audit"]
        counted = run.evaluation.audit[3]  # the same split; thresholds of decisions differ, and so do the coins
        assert [each["num_candidates"] + each["num_nulls"] for each in (entry, counted)] == [run.test.num_pairs] * 2
        assert entry["num_true"] > 0
        result = run_cli(
            *("find", tmp_path / "run", "--out", tmp_path / "x.csv", "--fdr", 0.2, "--json"),
            *("--unobserved", folder / "pairs.csv"),
        )
        assert json.loads(result.stdout)["num_nulls"] == 2000
