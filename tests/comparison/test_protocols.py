"""Protocols: what they hold out, what they rank against, and metrics against slow obvious ones."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from linkodds.comparison.protocols import PROTOCOLS, deal, read_heart
from linkodds.errors import DataError, OptionError
from linkodds.graph.graph import Graph
from linkodds.pairs import Pairs
from linkodds.scorers.baselines import baseline_scorer

DEALT = ("kipf", "ncn", "seal")


@pytest.mark.parametrize("name", DEALT)
class TestDealing:
    def test_parts_are_the_edges_once_and_non_edges_none_of_them(self, communities: Graph, name: str) -> None:
        protocol = PROTOCOLS[name]
        trial = deal(communities, protocol, np.random.SeedSequence(3))
        parts = trial.split.train, trial.split.validation, trial.split.test
        keys = communities.space.keys(np.concatenate(parts))
        assert sorted(keys) == communities.space.keys(communities.edges).tolist()
        assert len(trial.split.calibration) == 0
        assert protocol.shares is not None
        assert [len(part) for part in parts[1:]] == [round(share * communities.num_edges) for share in protocol.shares]
        zeros = np.concatenate([trial.validation_non_edges, trial.test_non_edges])
        assert [len(trial.validation_non_edges), len(trial.test_non_edges)] == [len(part) for part in parts[1:]]
        assert not communities.space.contains(communities.edges, zeros).any()
        assert len(np.unique(zeros, axis=0)) == len(zeros)

    def test_the_seed_is_all_that_matters(self, communities: Graph, name: str) -> None:
        one, same, other = (deal(communities, PROTOCOLS[name], np.random.SeedSequence(seed)) for seed in (1, 1, 2))
        assert np.array_equal(one.split.test, same.split.test)
        assert np.array_equal(one.test_non_edges, same.test_non_edges)
        assert not np.array_equal(one.split.test, other.split.test)

    def test_figures_against_slow_ones(self, communities: Graph, name: str) -> None:
        trial = deal(communities, PROTOCOLS[name], np.random.SeedSequence(0))
        scorer = baseline_scorer("common-neighbors", trial.split)  # many ties
        edges, others = scorer.logits(trial.split.test), scorer.logits(trial.test_non_edges)
        label, logit = np.repeat([1, 0], [len(edges), len(others)]), np.concatenate([edges, others])
        found = trial.figures(scorer, "test")
        assert found["roc_auc"] == pytest.approx(roc_auc_score(label, logit))
        assert found["balanced_average_precision"] == pytest.approx(average_precision_score(label, logit))
        if len(others) < 100:
            assert found["hits_at_100"] is None
        else:  # as OGB: a tie with the hundredth is a miss
            assert found["hits_at_100"] == np.mean(edges > np.sort(others)[-100])


class Told:
    """Logits by the table."""

    def __init__(self, table: dict[tuple[int, int], float]) -> None:
        self.table = table

    def logits(self, pairs: Pairs) -> np.ndarray:
        return np.array([self.table.get((int(u), int(v)), 0.0) for u, v in pairs])

    def block(self, rows: slice, columns: slice) -> np.ndarray:
        raise NotImplementedError


def test_auc_among_connected_pairs_leaves_the_others_out() -> None:
    """Two paths of 30 nodes. Pairs across are cut off: their logits, all wrong, count in the AUC and not in this one."""
    path = np.array([[i, i + 1] for i in range(29)])
    ids = np.array([str(i) for i in range(60)], dtype=object)
    graph = Graph.from_edges(ids[np.concatenate([path, path + 30])].tolist(), nodes=ids.tolist())
    trial = deal(graph, PROTOCOLS["seal"], np.random.SeedSequence(1))
    labels = np.cumsum(
        [i == 30 or not graph.space.contains(trial.split.train, np.array([[i - 1, i]]))[0] for i in range(60)]
    )

    def connected(pairs: Pairs) -> np.ndarray:
        return labels[pairs[:, 0]] == labels[pairs[:, 1]]

    found = trial.figures(baseline_scorer("degree", trial.split), "test")
    assert found["connected_edges"] == connected(trial.split.test).mean() == 0  # each edge of a path is a bridge
    assert found["connected_non_edges"] == connected(trial.test_non_edges).mean()
    assert found["connected_roc_auc"] is None


class TestHeart:
    @pytest.fixture
    def folder(self, tmp_path: Path, communities: Graph) -> Path:
        """Files as HeaRT has them, with a self-loop among the train edges, reversed."""
        rng = np.random.default_rng(0)
        test, valid, train = np.split(rng.permutation(communities.edges), [2, 4])
        loops = np.concatenate([train[:, ::-1], [[5, 5]]])
        for name, edges in (("train", loops), ("valid", valid), ("test", test)):
            lines = ["source,target", *(",".join(communities.ids[edge]) for edge in edges)]
            np.savetxt(tmp_path / f"{name}_pos.csv.gz", lines, fmt="%s")
        for name in ("valid", "test"):
            np.savez(
                tmp_path / f"heart_{name}_neg.npz", neg=communities.ids[rng.integers(75, 150, (2, 4, 2))].astype(str)
            )
        return tmp_path

    def test_ranks_are_the_mean_of_the_best_and_the_worst(self, communities: Graph, folder: Path) -> None:
        trial = read_heart(communities, folder)
        assert len(trial.split.train) == communities.num_edges - 4  # without the loop
        first, second = (tuple(edge) for edge in trial.split.test.tolist())
        above = tuple(trial.test_non_edges[0, 0])
        table = {first: 1.0, second: 0.0}
        table[above] = 2.0
        ranks = []
        for edge, others in zip((first, second), trial.test_non_edges, strict=True):
            logits = np.array([table.get(tuple(pair), 0.0) for pair in others])
            mine = table[edge]
            ranks.append(((1 + np.sum(logits > mine)) + (1 + np.sum(logits >= mine))) / 2)
        found = trial.figures(Told(table), "test")  # type: ignore[arg-type]
        assert ranks[0] == 2
        assert found == {"mrr": pytest.approx(np.mean(1 / np.array(ranks))), "hits_at_10": 1.0}

    def test_files_that_do_not_fit_are_refused(self, communities: Graph, folder: Path) -> None:
        more = Graph.from_edges([*communities.ids[communities.edges].tolist(), ("node0", "new")])
        with pytest.raises(DataError, match="Give the graph that the files are of"):
            read_heart(more, folder)
        np.savez(folder / "heart_test_neg.npz", neg=np.zeros((3, 4, 2), dtype=int))
        with pytest.raises(DataError, match="2 edges to rank"):
            read_heart(communities, folder)
        (folder / "heart_test_neg.npz").unlink()
        with pytest.raises(OptionError, match=r"has no heart_test_neg\.npz"):
            read_heart(communities, folder)

    def test_counting_on_citeseer_gives_the_known_figures(self, real_data: Path) -> None:
        """Golden numbers: without randomness, so whatever moves them is a change of files, ids, ties or ranks."""
        graph = Graph.from_edges(real_data / "citeseer" / "edges.csv.gz", nodes=[str(i) for i in range(3327)])
        trial = read_heart(graph, real_data / "citeseer" / "splits" / "heart")
        for name, mrr, hits in (("adamic-adar", 0.1082, 0.2220), ("resource-allocation", 0.1084, 0.2286)):
            found = trial.figures(baseline_scorer(name, trial.split), "test")
            assert found == {"mrr": pytest.approx(mrr, abs=5e-5), "hits_at_10": pytest.approx(hits, abs=5e-5)}
