"""A served run: what the page and the API show of one RUN, computed by the functions that the commands use."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import UnkeptPromise
from linkodds.evaluation.evaluation import Evaluation
from linkodds.formatting import interval_of, number_of, plain_text, quantity_text
from linkodds.links.evidence import Evidence
from linkodds.links.inference import score_pairs
from linkodds.probability.decision import Decision
from linkodds.probability.deployment import Deployment
from linkodds.report import render_report
from linkodds.report.report_data import report_data_of, threshold_of
from linkodds.report.verdict import METRICS, base_rates, best_baseline, verdict
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of, evaluate_run
from linkodds.runs.record import Run, load_run
from linkodds.search.pair_search import Ends
from linkodds.search.top_per_node import find_partners
from linkodds.search.walks import neighbor_matrix

FIGURES = (
    "average_precision",
    "average_precision_lift",
    "precision_at_100",
    "r_precision",
    "roc_auc",
    "calibration_slope",
    "observed_over_expected",
)
"""Of evaluation.json, the ones that stand side by side."""
_NUM_NEIGHBORS = 50
_DRAWN_PARTNERS = 8
_DRAWN_SHARED = 3  # of each partner
_DRAWN_AROUND = 12


@dataclass(frozen=True, eq=False)
class ServedRun:
    """One run, loaded once; a request reads it and never a file.

    Args:
        name: of its directory, as plain text.
        run: as loaded.
        deployment: its probabilities under the assumption that the server was started with.
        evaluation: what `linkodds evaluate` prints under that assumption.
        decision: the stored rule; None where its promise could not be kept.
        neighbors: recorded edges without direction, shape (nodes, nodes).
        folded: shape (nodes,), ids without case, for looking one up.
    """

    name: str
    run: Run
    deployment: Deployment
    evaluation: Evaluation
    decision: Decision | None
    neighbors: sp.csr_array
    folded: tuple[str, ...]

    @staticmethod
    def of(run: Run, name: str, assumption: MissingLinksAssumption) -> "ServedRun":
        """A run with all that its answers share.

        Raises:
            OptionError: an assumption that is out of range for this run.
        """
        try:
            decision = decision_of(run, None)
        except UnkeptPromise:
            decision = None
        return ServedRun(
            name=plain_text(name, 100),
            run=run,
            deployment=assumption.deployment(run),
            evaluation=evaluate_run(run, assumption),
            decision=decision,
            neighbors=neighbor_matrix(run.recorded),
            folded=tuple(str(each).casefold() for each in run.ids),
        )

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The verdict and the main figures: what stands side by side with other runs."""
        evaluation, said, best = self.evaluation, verdict(self.evaluation), best_baseline(self.evaluation)
        stored = self.run.decision
        return {
            "name": self.name,
            "model": plain_text(self.run.model, 60),
            "graph": {key: evaluation.graph[key] for key in _GRAPH},
            "verdict": {"headline": said.headline, "details": list(said.details), "tone": said.tone},
            "base_rates": base_rates(evaluation),
            "figures": [
                {
                    "key": key,
                    "name": METRICS[key][0],
                    "meaning": METRICS[key][1],
                    "value": number_of(evaluation.metrics[key]),
                    "interval": interval_of(evaluation.metrics[key]),
                    "text": quantity_text(evaluation.metrics[key]),
                }
                for key in FIGURES
                if key in evaluation.metrics
            ],
            "best_baseline": None if best is None else {"name": plain_text(best[0], 60), "average_precision": best[1]},
            "assumption": self.deployment.assumption,
            "decision": {
                "rule": plain_text(str(stored.rule), 60),
                "threshold_logit": stored.threshold_logit,
                "reason": None if stored.threshold_logit is not None else stored.reason,
            },
            "findings": [
                {key: plain_text(getattr(each, key), 2000) for key in ("id", "severity", "message", "remedy")}
                for each in evaluation.findings
            ],
        }

    def predict(self, pairs: Sequence[tuple[str, str]], rule: str | None) -> dict[str, Any]:
        """Rows as `linkodds predict` writes them, in the order given.

        Args:
            pairs: in the user's ids.
            rule: None applies the stored one.
        Returns:
            The assumption, the rule, and one row a pair; one with a problem has None for what it has not.
        Raises:
            OptionError: no such rule.
            UnkeptPromise: one whose promise the calibration edges cannot keep.
        """
        decision = self.decision if rule is None else decision_of(self.run, rule)
        source, target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        table = score_pairs(self.run, source, target, self.deployment)
        passes = None if decision is None else decision.passes(table.logits)
        rows = []
        for i, (u, v) in enumerate(pairs):
            row: dict[str, Any] = {"source": u, "target": v, "logit": None, "probability": None}
            row |= {"probability_low": None, "probability_high": None, "decision": None, "known": None, "problem": None}
            if table.is_unknown_id[i]:
                row["problem"] = "unknown id"
            elif table.is_inadmissible[i]:
                row["problem"] = "no pair of this graph"
            else:
                row |= {"logit": float(table.logits[i]), "known": bool(table.is_known[i])}
                row |= _probability(table.probabilities, table.bounds, i)
                row["decision"] = None if passes is None else bool(passes[i])
            rows.append(row)
        return {
            "assumption": self.deployment.assumption,
            "decision": plain_text(str(self.run.decision.rule if decision is None else decision.rule), 60),
            "reason": self.run.decision.reason if decision is None else None,
            "num_unknown": int(table.is_unknown_id.sum()),
            "num_inadmissible": int(table.is_inadmissible.sum()),
            "rows": rows,
        }

    def matches(self, query: str, limit: int) -> dict[str, Any]:
        """Nodes whose id is the text, begins with it or holds it, in this order; case counts only for the first.

        Returns:
            At most `limit` of them, and how many there are.
        """
        exact, folded = self.run.index.get(query), query.casefold()
        begins: list[int] = []
        holds: list[int] = []
        for i, each in enumerate(self.folded):
            if i != exact and folded in each:
                (begins if each.startswith(folded) else holds).append(i)
        found = [*([] if exact is None else [exact]), *begins, *holds]
        return {"num_matches": len(found), "matches": [self._node(i) for i in found[:limit]]}

    def node(self, index: int, num_partners: int) -> dict[str, Any]:
        """A node, its recorded neighbours, its likely partners with evidence, and the small network around them.

        In a directed graph the node is the source of its partners; they are those of `linkodds find --per-node`.

        Args:
            index: of the node.
            num_partners: at most.
        """
        run = self.run
        found = find_partners(
            run.scorer, run.recorded, per_node=num_partners, ends=Ends(np.array([index], dtype=np.int64), None)
        )
        probabilities, bounds = self.deployment.probability(found.logits), self.deployment.bounds(found.logits)
        lines = self._evidence.lines(np.column_stack([found.nodes, found.partners]))
        partners = [
            self._node(partner)
            | {"logit": float(found.logits[i]), "evidence": lines[i]}
            | _probability(probabilities, bounds, i)
            for i, partner in enumerate(found.partners.tolist())
        ]
        around = self._around(index)
        by_degree = around[np.argsort(-self._degree[around], kind="stable")]
        return {
            "node": self._node(index),
            "assumption": self.deployment.assumption,
            "num_neighbors": len(around),
            "neighbors": [self._node(i) for i in by_degree[:_NUM_NEIGHBORS].tolist()],
            "partners": partners,
            "network": self._network(index, found.partners[:_DRAWN_PARTNERS].tolist()),
        }

    @cached_property
    def thresholds(self) -> dict[str, Any]:
        """Every threshold with what it gives, as the control of the report reads it."""
        return threshold_of(self.run)

    @cached_property
    def report(self) -> bytes:
        """The run's report, made anew: the file beside it is not vouched for."""
        with _ONE_REPORT:
            return render_report(self.run, report_data_of(self.run)).encode("utf-8", errors="backslashreplace")

    def prepare(self) -> None:
        """Count what evidence for a pair rests on, so that the first who asks does not wait for it."""
        self._evidence.lines(self.run.split.train[:1])

    @cached_property
    def _evidence(self) -> Evidence:
        return Evidence(self.run.ids, self.run.split, self.run.scorer, self.run.feature_cosines, asked_often=True)

    @cached_property
    def _degree(self) -> NDArray[np.int64]:
        return np.diff(self.neighbors.indptr).astype(np.int64)

    def _node(self, index: int) -> dict[str, Any]:
        return {"index": index, "id": str(self.run.ids[index]), "degree": int(self._degree[index])}

    def _around(self, index: int) -> NDArray[np.int64]:
        ends = self.neighbors.indptr[index : index + 2]
        return self.neighbors.indices[ends[0] : ends[1]].astype(np.int64)

    def _network(self, index: int, partners: list[int]) -> dict[str, Any]:
        """The node, its partners, and the neighbours that they share, those with the fewest others first."""
        around = self._around(index)
        shared: list[int] = []
        for partner in partners:
            common = np.intersect1d(around, self._around(partner))
            shared += common[np.argsort(self._degree[common], kind="stable")][:_DRAWN_SHARED].tolist()
        between = list(dict.fromkeys(shared))[:_DRAWN_AROUND]
        drawn = [index, *partners, *(each for each in between if each not in partners)]
        among = sp.coo_array(self.neighbors[drawn][:, drawn])
        kinds = ["node", *["partner"] * len(partners)]
        kinds += ["shared"] * (len(drawn) - len(kinds))
        return {
            "nodes": [self._node(each) | {"kind": kind} for each, kind in zip(drawn, kinds, strict=True)],
            "edges": [[int(u), int(v)] for u, v in zip(among.row, among.col, strict=True) if u < v],
        }


_GRAPH = ("num_nodes", "num_edges", "num_pairs", "directed", "bipartite")
_ONE_REPORT = Lock()


def open_runs(paths: Sequence[Path], assumption: MissingLinksAssumption) -> tuple[ServedRun, ...]:
    """Load runs, each held against its hashes.

    Raises:
        BrokenRun: a directory that is no run, or a damaged one.
        OptionError: an assumption that is out of range for one of them.
    """
    return tuple(
        ServedRun.of(load_run(path), name, assumption) for path, name in zip(paths, _names(paths), strict=True)
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell them apart; three at most.

    Example:
        >>> _names([Path("/a/run"), Path("/b/run")]), _names([Path("/a/gae"), Path("/a/vgae")])
        (['a/run', 'b/run'], ['gae', 'vgae'])
    """
    whole = [path.resolve().parts[1:] for path in paths]
    names: list[str] = []
    for length in (1, 2, 3):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(names):
            break
    return names


def _probability(
    probabilities: NDArray[np.float64], bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None, i: int
) -> dict[str, float | None]:
    low, high = (None, None) if bounds is None else (float(bounds[0][i]), float(bounds[1][i]))
    return {"probability": float(probabilities[i]), "probability_low": low, "probability_high": high}
