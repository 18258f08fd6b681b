"""What paths hold, and what the doctor says of them; the order of findings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from linkodds.doctor import examine, order, read_confusion_matrix, read_history, read_table
from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding, Severity

Floats = NDArray[np.float64]


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def only(findings: list[Finding], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.id == rule]
    return found


def spread(low: float, high: float, num_rows: int = 400) -> Floats:
    return np.linspace(low, high, num_rows)


HALF = np.arange(400) % 2 == 1  # labels without any relation to `spread`


class TestExamine:
    @pytest.fixture
    def thread_table(self, tmp_path: Path) -> Path:
        path = tmp_path / "scores.csv"
        rows = pl.DataFrame({"label": HALF.astype(int), "score": spread(0.5, 0.73)})
        rows.write_csv(path)
        rows.write_parquet(path.with_suffix(".parquet"))
        return path

    @staticmethod
    def look(path: Path, **options: Any) -> list[Finding]:
        def no_run(path: Path) -> Any:
            raise AssertionError(f"{path} is no run")

        return examine(path, load_run=no_run, **options)

    def test_table(self, thread_table: Path) -> None:
        for path in (thread_table, thread_table.with_suffix(".parquet")):
            found = self.look(path)
            assert ids(found) == ["D01", "reading"]
            assert "taken for probabilities" in found[1].message

    @pytest.mark.parametrize("header", ["epoch,loss,kl", "label,probability"])
    def test_a_header_alone_is_nothing_to_judge(self, header: str, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text(header + "\n")
        with pytest.raises(MalformedFile, match="table.csv: a header and no row"):
            self.look(tmp_path / "table.csv")

    def test_table_with_prevalence(self, thread_table: Path) -> None:
        assert ids(self.look(thread_table, prevalence=0.01)) == ["D01", "D08", "reading"]
        assert ids(self.look(thread_table, num_candidates=20_200)) == ["D01", "D08", "reading"]

    def test_columns_of_a_table(self, tmp_path: Path) -> None:
        path = tmp_path / "table.tsv"
        path.write_text(
            "source\ttarget\tlabel\tlogit\tprobability\tweight\na\tb\ttrue\t-2\t0.3\t1\na\tc\t0\t1\t0.2\t80.5\n"
        )
        table = read_table(path, odds_trained_at=0.5)
        assert (table.kind, table.values.tolist(), table.labels.tolist()) == ("probability", [0.3, 0.2], [True, False])
        assert (table.row_weights.tolist(), table.odds_trained_at) == ([1.0, 80.5], 0.5)
        for values, kind, said in (("-2.5", "logit", "logits"), ("0.5", "probability", "probabilities")):
            path.write_text(f"Label\tScore\n1\t{values}\n0\t1\n")
            table = read_table(path)
            assert (table.kind, f"taken for {said}" in table.findings[0].message) == (kind, True)

    def test_counts_of_neighbours_only_rank(self, tmp_path: Path) -> None:
        """No D02 (never below 0) of counts in a column 'score'; the same numbers called logits get it."""
        rng = np.random.default_rng(0)
        counts = rng.poisson(np.where(HALF, 3.0, 1.0))
        for name, rules in (("score", ["reading"]), ("logit", ["D02"])):
            pl.DataFrame({"label": HALF.astype(int), name: counts}).write_csv(tmp_path / "table.csv")
            found = self.look(tmp_path / "table.csv")
            assert ids(found) == rules
        pl.DataFrame({"label": (~HALF).astype(int), "score": counts}).write_csv(tmp_path / "table.csv")
        first = self.look(tmp_path / "table.csv")[0]
        assert (first.id, first.severity) == ("D06", "error")  # upside down

    def test_scores_without_labels_are_no_edge_list(self, tmp_path: Path) -> None:
        path = tmp_path / "scores.csv"
        for name in ("score", "logit", "probability"):
            path.write_text(f"source,target,{name}\na,b,0.3\nb,c,0.2\n")
            with pytest.raises(MalformedFile, match=f"source, target and {name}, and none that says .* Add 'label'"):
                self.look(path)
        path.write_text("source,target,weight\na,b,0.3\nb,c,0.2\n")
        assert {f.severity for f in self.look(path)} == {"info"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("label,score\n1,0.5\n0,x\n", "line 3: 'x' in column 'score' is not a number"),
            ("label,score\n1,0.5\n2,0.4\n", "line 3: label '2' is neither 1"),
            ("label,score\n1,0.5\n0,\n", "line 3: '' in column 'score'"),
            ("source,target,label\na,b,1\na,c,0\n", "needs 'label' .* and one of 'probability', 'logit', 'score'"),
            ("label,probability\n1,0.5\n0,-0.1\n", "row 2: probability -0.1"),
            ("", "empty"),
        ],
    )
    def test_malformed_tables(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "table.csv"
        path.write_text(text)
        with pytest.raises(MalformedFile, match=message):
            self.look(path)

    def test_history(self, tmp_path: Path) -> None:
        path = tmp_path / "history.csv"
        lines = [f"{i},0.71,{'0.9' if i % 10 == 0 else ''},{'best' if i == 7 else ''}" for i in range(1, 61)]
        path.write_text("epoch,loss,validation_roc_auc,event\n" + "\n".join(lines) + "\n")
        assert ids(self.look(path)) == ["D01"]
        roc_auc_curve = read_history(path).roc_auc
        assert roc_auc_curve is not None
        assert roc_auc_curve.epochs.tolist() == [10, 20, 30, 40, 50, 60]

    def test_history_with_nan(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("epoch,loss,kld\n1,0.7,1.0\n2,nan,inf\n")
        assert "loss is nan at epoch 2" in only(self.look(path), "D13").message

    def test_history_without_a_loss_in_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("epoch,loss\n1,high\n2,low\n")
        with pytest.raises(MalformedFile, match="none of which is a training loss"):
            self.look(path)

    def test_history_of_a_model_that_was_not_trained(self, tmp_path: Path) -> None:
        path = tmp_path / "history.csv"
        path.write_text("epoch,seconds,event\n1,0.5,\n")
        with pytest.raises(MalformedFile, match="none of which is a training loss"):
            self.look(path)

    def test_edge_list_with_features(self, tmp_path: Path) -> None:
        edges, features = tmp_path / "edges.tsv", tmp_path / "features.csv"
        edges.write_text("p53\tmdm2\nmdm2\tp53\natm\tatm\natm\tp53\nbrca1\tatm\n")
        features.write_text("id,x,y\np53,1,1\nmdm2,1,2\natm,1,3\nbrca1,1,4\n")
        found = self.look(edges, features=features)
        assert [f.id for f in found if f.id != "reading"] == ["D14", "D20", "D21"]
        assert only(found, "D14").statistic == 0.5

    def test_confusion_matrices_as_people_write_them(self, tmp_path: Path) -> None:
        texts = {
            "thread.txt": "TN = 0.0\nFP = 1.0\nFN = 0.0\nTP = 1.0\n",
            "inline.txt": "tn: 0, fp: 1, fn: 0, tp: 1",
            "columns.csv": "tn,fp,fn,tp\n0,1,0,1\n",
            "cells.json": '{"confusion": {"TN": 0, "FP": 1, "FN": 0, "TP": 1}}',
            "matrix.json": '{"confusion_matrix": [[0.0, 1.0], [0.0, 1.0]]}',
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            assert ids(self.look(tmp_path / name)) == ["D07", "D03"], name

    def test_a_classification_report(self, tmp_path: Path) -> None:
        """What scikit-learn prints holds the F1 of the edges beside the weighted one, so it is a warning and no error."""
        labels, predicted = np.arange(5000) < 50, np.arange(5000) < 100
        report = classification_report(labels, predicted & (np.arange(5000) % 2 == 0), output_dict=True)
        (tmp_path / "report.json").write_text(json.dumps(report))
        found = self.look(tmp_path / "report.json", prevalence=1 / 100)
        assert [(f.id, f.severity) for f in found] == [("D09", "warning"), ("D10", "warning")]
        read = read_confusion_matrix(tmp_path / "report.json")
        assert (read.tn, read.fp, read.fn, read.tp) == (4925, 25, 25, 25)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[1, 2]", "expected an object"),
            ('{"tn": 5, "fp": 1, "fn": 2}', "no tp"),
            ('{"tn": 5, "fp": 1, "fn": 0, "tp": 0}', "some of each"),
            ('{"tn": -5, "fp": 1, "fn": 1, "tp": 0}', "counts of 0 or more"),
            ("{", "no JSON"),
        ],
    )
    def test_malformed_reports(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(MalformedFile, match=message):
            self.look(tmp_path / "report.json")

    def test_the_files_of_a_split(self, tmp_path: Path) -> None:
        (tmp_path / "train_pos.csv").write_text("source,target\na,b\nb,c\nc,d\n")
        (tmp_path / "test_pos.csv").write_text("source,target\nd,e\na,c\n")
        (tmp_path / "test_neg.csv").write_text("source,target\na,e\nb,e\n")
        files = [tmp_path / f"{name}.csv" for name in ("train_pos", "test_pos", "test_neg")]
        assert [f.id for f in self.look(files) if f.severity != "info"] == []
        files[1].write_text("source,target\nd,e\nb,a\n")  # the reverse of a train edge
        files[2].write_text("source,target\na,e\nd,c\n")  # a train edge
        found = [f for f in self.look(files) if f.severity == "error"]
        assert ids(found) == ["D19", "D19", "D20", "D20"]
        assert found[0].message.startswith("train and test edges share 1 pair(s), the first joins nodes a and b:")
        assert found[1].message.startswith("test non-edges and the edges share 1 pair")

    def test_labelled_parts_and_arrays_of_a_split(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("source,target,label\na,b,1\nb,c,1\na,d,0\n")
        (tmp_path / "test.csv").write_text("source,target,label\nc,b,1\na,c,0\n")
        assert ids(self.look([tmp_path / "train.csv", tmp_path / "test.csv"])) == ["D19", "D20"]
        train, test = np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 2], [3, 4]])
        np.savez(tmp_path / "split.npz", train=train, test=test, test_neg=np.array([[0, 4], [1, 4]]))
        assert self.look(tmp_path / "split.npz") == []
        np.savez(tmp_path / "split.npz", train=train.T, test=test.T, test_neg=np.array([[0, 4, 1], [1, 3, 3]]))
        assert ids(self.look(tmp_path / "split.npz")) == ["D19"]
        np.savez(tmp_path / "split.npz", train=train, test=np.zeros(3))
        with pytest.raises(MalformedFile, match="test has shape"):
            self.look(tmp_path / "split.npz")

    def test_a_table_with_ids_beside_the_edges_it_was_made_from(self, tmp_path: Path) -> None:
        """Scores that are the product of degrees (D22); 300 pairs of nodes counted both ways (D28); then a leak."""
        rng = np.random.default_rng(0)
        theta = rng.lognormal(0, 1, size=150)
        u, v = np.triu_indices(150, 1)
        is_edge = rng.random(len(u)) < np.minimum(0.9, 0.03 * theta[u] * theta[v])
        held_out = is_edge & (rng.random(len(u)) < 0.2)
        train = is_edge & ~held_out
        pl.DataFrame({"source": u[train], "target": v[train]}).write_csv(tmp_path / "train.csv")
        degree = np.bincount(np.concatenate([u[train], v[train]]), minlength=150) + 1
        scored = ~train
        table = pl.DataFrame(
            {
                "source": u[scored],
                "target": v[scored],
                "label": held_out[scored].astype(int),
                "logit": np.log(degree[u] * degree[v] / degree.sum())[scored] - 3,
            }
        )
        table.write_csv(tmp_path / "scores.csv")
        both = [tmp_path / "scores.csv", tmp_path / "train.csv"]
        found = self.look(both, num_candidates=int(scored.sum()))
        assert {"D22", "D28", "D19"} & set(ids(found)) == {"D22"}
        assert "D28" in ids(self.look(both, num_candidates=2 * int(scored.sum())))
        assert "D22" not in ids(self.look(both[:1]))
        first = {"source": u[train][:1], "target": v[train][:1], "label": [1], "logit": [2.0]}
        leaked = pl.concat([table, pl.DataFrame(first)])
        leaked.write_csv(tmp_path / "scores.csv")
        assert ids(self.look(both))[0] == "D19"

    def test_a_pair_with_both_labels_in_a_table(self, tmp_path: Path) -> None:
        labels, logits = HALF.astype(int), spread(-2, 2)
        names = [f"n{i}" for i in range(400)]
        rows = pl.DataFrame({"source": names, "target": ["hub"] * 400, "label": labels, "logit": logits})
        rows.write_csv(tmp_path / "table.csv")
        assert "D19" not in ids(self.look(tmp_path / "table.csv"))
        again = {"source": ["hub"], "target": ["n1"], "label": [0], "logit": [0.5]}
        pl.concat([rows, pl.DataFrame(again)]).write_csv(tmp_path / "table.csv")
        assert ids(self.look(tmp_path / "table.csv"))[:1] == ["D19"]

    def test_what_is_nothing_of_this(self, tmp_path: Path) -> None:
        noise = tmp_path / "noise.csv"
        noise.write_bytes(bytes(range(256)) * 20)
        with pytest.raises(DataError):
            self.look(noise)
        with pytest.raises(MalformedFile, match="without evaluation"):
            self.look(tmp_path)
        with pytest.raises(MalformedFile, match="no such file"):
            self.look(tmp_path / "absent.csv")

    def test_options_belong_to_what_the_path_holds(self, thread_table: Path, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="is a table of scores"):
            self.look(thread_table, features=thread_table)
        history = tmp_path / "history.csv"
        history.write_text("epoch,loss\n1,0.7\n2,0.6\n")
        with pytest.raises(OptionError, match="is a training history"):
            self.look(history, prevalence=0.1)
        edges = tmp_path / "edges.csv"
        edges.write_text("a,b\nb,c\n")
        with pytest.raises(OptionError, match="is an edge list"):
            self.look(edges, num_candidates=5)


def test_order_puts_causes_first_then_errors() -> None:
    severities: list[tuple[str, Severity]] = [
        ("reading", "info"), ("D21", "warning"), ("D08", "error"), ("D02", "error"),
        ("D05", "warning"), ("D01", "warning"), ("D13", "error"), ("D19", "error"),
    ]  # fmt: skip
    found = order(Finding(id, severity, "", "") for id, severity in severities)
    assert ids(found) == ["D19", "D13", "D01", "D02", "D08", "D05", "D21", "reading"]
