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

    def test_d19_names_a_pair_by_the_users_ids(self) -> None:
        ids_of_nodes = np.array(["9", "10", "11", "12", "13"], dtype=object)
        found = diagnose_split({"train": self.train, "test": np.array([[2, 1], [3, 4]])}, ids=ids_of_nodes)
        assert "the first joins nodes 10 and 11:" in found[0].message


def some_split(num_nodes: int = 40, seed: int = 0) -> tuple[dict[str, Any], Any]:
    """A random graph with 30 % of its edges held out, and all other pairs, in a random order."""
    rng = np.random.default_rng(seed)
    pairs = np.column_stack(np.triu_indices(num_nodes, 1))
    pairs = pairs[rng.permutation(len(pairs))]
    return {"train": pairs[:140], "test": pairs[140:200]}, pairs[200:]


class TestNonEdges:
    def test_d29_training_non_edges_of_the_full_graph(self) -> None:
        edges, non_edges = some_split()
        found = diagnose_split(edges, {"train": non_edges, "test": non_edges[:60]})
        assert [(f.id, f.severity, f.statistic) for f in found] == [("D29", "error", 1.0)]  # D30 is its effect
        assert "left out 60, of which 60 (100%)" in found[0].message

    def test_d29_and_d30_are_silent_where_training_knows_no_held_out_edge_from_a_non_edge(self) -> None:
        edges, non_edges = some_split()
        everything = np.concatenate([non_edges, edges["test"]])  # all pairs that are no train edge
        assert diagnose_split(edges, {"train": everything, "test": non_edges[:60]}) == []
        half = everything[np.random.default_rng(1).permutation(len(everything))[: len(everything) // 2]]
        assert diagnose_split(edges, {"train": half, "test": non_edges[:60]}) == []

    def test_d29_is_silent_where_as_many_non_edges_were_left_out(self) -> None:
        edges, non_edges = some_split()
        assert diagnose_split(edges, {"train": non_edges[60:], "test": non_edges[:60]}) == []

    def test_d29_counts_pairs_across_the_sides_of_a_bipartite_graph(self) -> None:
        u, v = np.divmod(np.random.default_rng(0).permutation(600), 30)
        pairs = np.column_stack([u, 100 + v])
        edges = {"train": pairs[:80], "test": pairs[80:100]}
        assert [f.id for f in diagnose_split(edges, {"train": pairs[100:]})] == ["D29"]

    def test_d30_says_what_it_is_worth(self) -> None:
        edges, non_edges = some_split()
        shared = diagnose_split(edges, {"train": non_edges[:100], "test": non_edges[70:130]})
        assert [(f.id, f.severity, f.statistic) for f in shared] == [("D30", "error", 0.5)]
        assert "30 of 60 test non-edges (50.0%)" in shared[0].message
        assert "ROC AUC of 0.750" in shared[0].message  # half of them are told for sure, the others by a coin

    def test_d30_finds_pairs_in_the_other_order(self) -> None:
        edges, non_edges = some_split()
        turned = {"train": non_edges[:100], "test": non_edges[70:130, ::-1]}
        assert [f.id for f in diagnose_split(edges, turned)] == ["D30"]
        assert diagnose_split(edges, turned, directed=True) == []

    def test_d31_counts_loops_doubles_and_both_orders(self) -> None:
        edges, non_edges = some_split()
        extra = np.array([[5, 5], non_edges[0], non_edges[1][::-1]])
        found = diagnose_split(edges, {"test": np.concatenate([non_edges[:60], extra])})
        assert [(f.id, f.severity, f.statistic) for f in found] == [("D31", "warning", 3.0)]
        assert "1 self-loop(s) and 2 row(s) that repeat a pair, 1 of them in both orders" in found[0].message
        directed = only(diagnose_split(edges, {"test": np.concatenate([non_edges[:60], extra])}, directed=True), "D31")
        assert directed.statistic == 2.0

    @pytest.mark.parametrize(("num_twice", "severity"), [(5, "info"), (6, "warning")])
    def test_d31_few_doubles_are_for_information(self, num_twice: int, severity: str) -> None:
        """580 rows and 5 or 6 doubles: 0.85 % and 1.02 %."""
        edges, non_edges = some_split()
        rows = np.concatenate([non_edges[:580], non_edges[:num_twice]])
        assert [(f.id, f.severity) for f in diagnose_split(edges, {"test": rows})] == [("D31", severity)]

    def test_d32_holds_the_non_edges_beside_the_edges(self) -> None:
        edges, non_edges = some_split()
        test = edges["test"].copy()
        test[:12, 1] = 100 + np.arange(12)
        found = diagnose_split({**edges, "test": test}, {"test": non_edges[:60]})
        assert [(f.id, f.statistic) for f in found] == [("D32", 12 / 60)]
        assert "12 of 60 test edges (20%)" in found[0].message
        assert "0% of the test non-edges do" in found[0].message
        seen = np.column_stack([np.arange(12), 100 + np.arange(12)])
        message = np.concatenate([edges["train"], seen])
        assert diagnose_split({**edges, "test": test, "message": message}) == []
