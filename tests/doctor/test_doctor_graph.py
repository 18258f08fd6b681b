"""Rules on features, edge lists and splits: what triggers each, and what nearly does."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from linkodds.doctor import (
    constant_features,
    diagnose_graph,
    diagnose_split,
)
from linkodds.findings import Finding
from linkodds.graph.graph import Graph
from linkodds.pairs import PairSpace


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def only(findings: list[Finding], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.id == rule]
    return found


class TestGraph:
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
    def test_d14(self, form: Any) -> None:
        matrix = np.random.default_rng(0).normal(size=(30, 300))
        assert constant_features(form(matrix)) is None
        matrix[:, [1, 280]] = (0.0, 7.0)
        found = constant_features(form(matrix))
        assert found is not None
        assert (found.severity, found.statistic) == ("info", pytest.approx(2 / 300))
        assert "the first is column 2" in found.message
        for columns, severity in ((29, "info"), (30, "warning")):  # a tenth of them
            matrix[:, :columns] = 1.0
            matrix[:, 280] = np.arange(30)
            found = constant_features(form(matrix))
            assert found is not None
            assert found.severity == severity
        whole = constant_features(form(np.ones((30, 300))))
        assert whole is not None
        assert whole.severity == "error"

    @pytest.mark.parametrize(("deviation", "fires"), [(0.9e-6, True), (1.5e-6, False)])
    def test_d14_near_miss(self, deviation: float, fires: bool) -> None:
        column = np.where(np.arange(30) % 2, deviation, -deviation)
        assert (constant_features(np.column_stack([column, np.arange(30.0)])) is not None) == fires

    def test_d20_d21_and_what_reading_said(self) -> None:
        graph = Graph.from_edges([("a", "b"), ("b", "a"), ("b", "b"), ("b", "c"), ("b", "c")])
        found = diagnose_graph(graph, rows=np.array([[0, 1], [1, 0], [1, 1], [1, 2], [1, 2]]))
        assert [f.statistic for f in found if f.id in ("D20", "D21")] == [0.5, 1.0]
        said = [f.message for f in found if f.id == "reading" and "dropped" in f.message]
        assert said == ["1 duplicate edge(s) dropped: every edge counts once."]  # the others are told by the rules
        assert ids(diagnose_graph(graph, rows=np.array([[0, 1], [1, 2]]))).count("reading") == len(found) - 2

    def test_directed_graphs_have_both_directions(self) -> None:
        graph = Graph(np.array(list("abc"), dtype=object), np.array([[0, 1], [1, 0]]), PairSpace(3, directed=True))
        assert diagnose_graph(graph, rows=graph.edges) == []


class TestSplit:
    train, test = np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 2], [3, 4]])

    def test_a_clean_split_is_silent(self) -> None:
        both = np.concatenate([self.train, self.train[:, ::-1]])
        edges = {"train": self.train, "test": self.test, "message": both}
        non_edges = {"train": self.test, "validation": np.array([[0, 4]]), "test": np.array([[1, 4]])}
        assert diagnose_split(edges, non_edges) == []

    def test_d19_shared_edge(self) -> None:
        found = diagnose_split({"train": self.train, "test": np.array([[1, 2], [3, 4]])})
        assert ids(found) == ["D19"]
        assert "train and test edges share 1 pair(s), the first joins nodes 1 and 2" in found[0].message

    def test_d19_held_out_edge_in_the_message_graph(self) -> None:
        message = np.concatenate([self.train, self.test[:1]])
        found = diagnose_split({"train": self.train, "test": self.test, "message": message})
        assert ["test and message" in f.message for f in found] == [True]

    @pytest.mark.parametrize(
        ("non_edges", "message"),
        [
            ({"test": [[2, 0]]}, "test non-edges and the edges share 1"),
            ({"train": [[1, 2]]}, "train non-edges and the edges share 1"),
            ({"validation": [[0, 4]], "test": [[4, 0]]}, "validation and test non-edges share 1"),
        ],
    )
    def test_d19_non_edges(self, non_edges: dict[str, Any], message: str) -> None:
        parts = {name: np.array(part) for name, part in non_edges.items()}
        found = diagnose_split({"train": self.train, "test": self.test}, parts)
        assert found[0].id == "D19"
        assert message in found[0].message

    def test_d20_reversed_in_another_part_is_an_error(self) -> None:
        edges = {"train": self.train, "test": np.array([[2, 1]])}
        assert [(f.id, f.severity) for f in diagnose_split(edges)] == [("D19", "error"), ("D20", "error")]
        assert diagnose_split(edges, directed=True) == []

    def test_d20_reversed_in_the_same_part_is_a_warning(self) -> None:
        edges = {"train": np.concatenate([self.train, self.train[:1, ::-1]]), "test": self.test}
        found = only(diagnose_split(edges), "D20")
        assert (found.severity, found.statistic) == ("warning", pytest.approx(1 / 5))
        assert diagnose_split(edges, directed=True) == []

    def test_d21(self) -> None:
        found = diagnose_split({"train": self.train, "test": np.array([[4, 4], [0, 3]])})
        assert [(f.id, f.statistic) for f in found] == [("D21", 1.0)]
