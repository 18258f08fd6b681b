"""LinkPredictor: the whole pipeline as a scikit-learn estimator."""

import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from linkodds.config import FitConfig
from linkodds.edge_folds import EdgeRows, constraints
from linkodds.errors import DataError, OptionError, UnknownNode
from linkodds.evaluation.evaluation import Evaluation
from linkodds.fitting.evaluation_setup import EvaluationSetup
from linkodds.fitting.pipeline import fit_graph
from linkodds.fitting.reattach_model import given_again, name_of, own_of
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.links.error_control import ControlledList, list_links
from linkodds.links.inference import PairTable, find_links, links_of_new_nodes, score_new_pairs, score_pairs
from linkodds.links.link_search import NotExhaustive, Scope
from linkodds.links.new_edges import average_precision_of
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.probability.deployment import Assumed
from linkodds.reading.reading import read_pairs
from linkodds.report import write_report
from linkodds.runs.inductive import with_new_nodes
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of
from linkodds.runs.record import Run, at_path, load_run, write_results
from linkodds.runs.run_directory import PartialRun


class InvalidOption(OptionError, InvalidParameterError):  # type: ignore[misc]  # scikit-learn ships no types
    """A parameter that `LinkPredictor` does not accept; scikit-learn's own error too, in its words."""


_OF_READING = ("time", "weight", "weight_as", "relation", "predict_kind")
"""Parameters that say how edges are read."""


class LinkPredictor(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Calibrated link prediction: split, train, calibrate, decide and evaluate in one `fit`.

    Parameters are the options of `linkodds fit`, with the same names and defaults; `linkodds config` explains them. `model`
    may also be one of your own: an `CustomEncoder` or a torch module, which is trained here, or an `CustomScorer` or a function
    of pairs, which is not (docs/own-models.md). `time`, `weight`, `weight_as`, `relation` and `predict_kind` (`--predict` of
    the command line) are for edges that `fit` reads itself; of a `Graph` that was read with them they are used anyway.

    Attributes after fit:
        evaluation_: the `Evaluation`, its metrics with intervals at the true base rate.
        embeddings_: shape (nodes, dim), float32, rows in the order of `ids_`; the source embeddings in a directed
            graph; None for a baseline. With folds the vectors of all models stand side by side.
        ids_: shape (nodes,), the user's ids as text.
        run_: the `Run`, all of the above and more.

    Example:
        >>> import networkx as nx
        >>> graph = Graph.from_edges(nx.karate_club_graph())
        >>> predictor = LinkPredictor(model="resource-allocation", seed=1).fit(graph)
        >>> predictor.predict_proba([("0", "33")]).shape, predictor.evaluation_.model["name"]
        ((1, 2), 'resource-allocation')
    """

    def __init__(
        self,
        model: Any = "auto",
        *,
        decoder: str = "auto",
        objective: str = "auto",
        positive_weight: str = "auto",
        zeros_per_edge: int = 5,
        subgraph_nodes: int = 5000,
        subgraph_by: str = "degree",
        subgraph_alpha: float = 1.0,
        batch_edges: int = 8192,
        hidden: int | None = None,
        dim: int | None = None,
        learning_rate: float | None = None,
        schedule: str = "constant",
        dropout: float = 0.5,
        beta: float = 0.05,
        warm_up: int = 0,
        free_bits: float = 0.0,
        weight_decay: float | None = None,
        epochs: int = 300,
        patience: int | None = None,
        validate_every: int | None = None,
        time_budget: float | None = None,
        tune: int | None = None,
        split: tuple[float, float, float, float] = (0.8, 0.05, 0.05, 0.1),
        folds: int | None = None,
        calibrator: str = "auto",
        degree_calibration: str = "auto",
        decision: str = "f1",
        design: str = "auto",
        max_pairs: int = 1_000_000_000,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        time: str | int | None = None,
        weight: str | int | None = None,
        weight_as: str | None = None,
        relation: str | int | None = None,
        predict_kind: str | None = None,
    ) -> None:
        self.model = model
        self.decoder = decoder
        self.objective = objective
        self.positive_weight = positive_weight
        self.zeros_per_edge = zeros_per_edge
        self.subgraph_nodes = subgraph_nodes
        self.subgraph_by = subgraph_by
        self.subgraph_alpha = subgraph_alpha
        self.batch_edges = batch_edges
        self.hidden = hidden
        self.dim = dim
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.dropout = dropout
        self.beta = beta
        self.warm_up = warm_up
        self.free_bits = free_bits
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.patience = patience
        self.validate_every = validate_every
        self.time_budget = time_budget
        self.tune = tune
        self.split = split
        self.folds = folds
        self.calibrator = calibrator
        self.degree_calibration = degree_calibration
        self.decision = decision
        self.design = design
        self.max_pairs = max_pairs
        self.seed = seed
        self.device = device
        self.threads = threads
        self.time = time
        self.weight = weight
        self.weight_as = weight_as
        self.relation = relation
        self.predict_kind = predict_kind

    def fit(self, graph: Graph, y: None = None) -> Self:  # noqa: ARG002  (scikit-learn passes y)
        """Learn from a graph; `y` is ignored, the labels are the graph's edges.

        Args:
            graph: a `Graph`, `EdgeRows`, or anything that `Graph.from_edges` reads.
            y: ignored.
        Raises:
            InvalidOption: a parameter out of its range, in scikit-learn's words.
            LinkoddsError: as `linkodds fit`, one clear message.
        """
        own = self._validated()
        given = self._graph_of(graph)
        self.run_ = fit_graph(given, self._config(own), reading=self._reading(given), own=own)
        return self

    def parts(self, graph: Any) -> Split:
        """The split that `fit` makes of this graph: to train a scorer on its train edges alone, elsewhere, beforehand.

        Args:
            graph: as for `fit`.
        """
        own = self._validated()
        given = self._graph_of(graph)
        features = None if given.features is None else given.features.matrix.shape[1]
        single = isinstance(own, CustomScorer) or (own is not None and own.decodes(given.num_nodes, features))
        return EvaluationSetup.of(given, self._config(own), single=single).split

    def score(self, X: Any, y: None = None) -> float:  # noqa: ARG002
        """Average precision of edges that the fit did not have, against all pairs that are neither these nor its own.

        An edge with a node that the fit did not know is one that it cannot find, and counts as such.

        Args:
            X: `EdgeRows` or pairs of ids; those that are edges of the fit are left out.
            y: ignored.
        Raises:
            DataError: no edge is left.
        """
        return average_precision_of(self._run(), X.ids() if isinstance(X, EdgeRows) else X)

    def __sklearn_tags__(self) -> Any:
        """Edges are the rows, and there are no labels: nothing for scikit-learn to validate."""
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        tags.target_tags.required = False
        tags.input_tags.string = True
        return tags

    @property
    def evaluation_(self) -> Evaluation:
        """What the test edges showed."""
        return self._run().evaluation

    @property
    def embeddings_(self) -> NDArray[np.float32] | None:
        """Shape (nodes, dim), float32, or (nodes, folds * dim) for a mean of models; None for a baseline."""
        embeddings = self._run().embeddings
        return None if embeddings is None else embeddings[0]

    @property
    def ids_(self) -> NDArray[np.object_]:
        """Shape (nodes,), text."""
        return self._run().ids

    def decision_function(self, pairs: Any) -> NDArray[np.float64]:
        """Logits, shape (pairs,), float64, uncalibrated and in the order given; a degree term in use is part of them.

        Args:
            pairs: shape (pairs, 2), ids; or a table or file with two columns of them.
        Raises:
            UnknownNode: an id that the graph does not have.
            DataError: a node with itself, or two nodes of one side of a bipartite graph.
        """
        return self._scores(pairs, MissingLinksAssumption())[0]

    def predict_proba(
        self,
        pairs: Any,
        *,
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> NDArray[np.float64]:
        """Probabilities of no link and of a link, shape (pairs, 2), if the pair carries no recorded edge.

        They rest on an assumption about how many links are missing: by default as many as the test set held.
        `assumption` with the same arguments says it in a sentence.

        Args:
            pairs: as for `decision_function`.
            prevalence: missing links among the pairs without an edge. It and the next two: a number, or (low, high),
                whose geometric mean of missing links is then taken.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        """
        present = self._scores(pairs, MissingLinksAssumption(prevalence, expected_missing, label_frequency))[1]
        return np.column_stack([1 - present, present])

    def assumption(
        self,
        *,
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> str:
        """The sentence behind the probabilities that `predict_proba` and `find_links` give for these arguments.

        Args:
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: number of missing links.
            label_frequency: share of all true links that the record holds.
        """
        return MissingLinksAssumption(prevalence, expected_missing, label_frequency).deployment(self._run()).assumption

    def predict(self, pairs: Any) -> NDArray[np.int64]:
        """The stored decision, shape (pairs,): 1 where the logit reaches its threshold.

        Raises:
            OptionError: the rule's promise could not be kept, so that there is no threshold.
        """
        return decision_of(self._run(), None).passes(self.decision_function(pairs)).astype(np.int64)

    def predict_proba_of_new(
        self,
        pairs: Any,
        *,
        features: Any,
        nodes: Any = None,
        edges: Any = None,
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> NDArray[np.float64]:
        """As `predict_proba`, for pairs that may name nodes that the run was not fitted with, known by their features.

        Known nodes keep their embeddings. Calibration was on pairs of known nodes: nothing is guaranteed for new ones.
        Without a stated assumption a pair with a new node without edges is a link as often as any pair has an edge.

        Args:
            pairs: as for `decision_function`; ids of known or new nodes.
            features: of the new nodes: a table or file with ids in its first column, or an array with a row for each of
                `nodes`; scaled with the constants of the fit.
            nodes: the new ids; default those of `features`.
            edges: pairs of ids that are edges of new nodes; default none.
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Raises:
            OptionError: a model that knows nodes otherwise than by their features.
            DataError: nodes, features or edges that cannot be used.
        """
        run = self._run()
        new = with_new_nodes(run, features, nodes, edges)
        source, target = read_pairs(pairs)
        assumption = MissingLinksAssumption(prevalence, expected_missing, label_frequency)
        table, _ = score_new_pairs(run, new, source, target, assumption)
        _refuse_blanks(table, source, target)
        return np.column_stack([1 - table.probabilities, table.probabilities])

    def find_links_of_new(self, top: int = 100, *, features: Any, nodes: Any = None, edges: Any = None) -> pl.DataFrame:
        """The best links of new nodes, as `find_links` has them; nothing is guaranteed for them.

        Args:
            top: how many at most.
            features: as for `predict_proba_of_new`, like the next two.
            nodes: the new ids.
            edges: of new nodes.
        """
        run = self._run()
        return links_of_new_nodes(run, with_new_nodes(run, features, nodes, edges), top=top)

    def find_links(
        self,
        top: int | None = None,
        *,
        decision: str | None = None,
        fdr: float | None = None,
        unobserved: Any = None,
        mode: str | None = None,
        precision: float | None = None,
        from_nodes: Any = None,
        to_nodes: Any = None,
        within_hops: int | None = None,
        per_node: int | None = None,
        search: str = "auto",
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> pl.DataFrame:
        """New links as a table in the user's ids: source, target, logit, probability, q_value, evidence.

        With `fdr` or `precision` it is the table of `list_links`, which also says what is promised; else the best pairs. If
        an interval is assumed, probability_low and probability_high stand beside probability, which is that of the
        geometric mean of the missing links. `assumption` says in a sentence what the probabilities rest on.

        Args:
            top: how many at most; by default 100, or all that pass `decision`.
            decision: a rule that the links have to pass.
            fdr: as for `list_links`, like the next three; not together with `top` or `decision`.
            unobserved: the pairs whose status nobody has looked at.
            mode: "masked" or "discover".
            precision: expected share of true links.
            from_nodes: one end is among these ids (a list, or a file with one id a line); the source where edges have one.
            to_nodes: the other end is among these.
            within_hops: at most so many recorded edges lead from one end to the other.
            per_node: so many best partners of each node (of `from_nodes`), instead of the best of all pairs.
            search: "exhaustive" looks at all pairs; "candidates" at those that short walks and node vectors point to;
                "auto" takes these where all pairs would take more than five minutes.
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Raises:
            OptionError: options that exclude or need each other.
        Warns:
            NotExhaustive: the list was made of candidates; the message says what it lacks.
        """
        if any(each is not None for each in (fdr, unobserved, mode, precision)):
            if top is not None or decision is not None or per_node is not None:
                raise OptionError("fdr or precision says how long the list is; leave top, decision and per_node out.")
            controlled = self.list_links(
                fdr=fdr,
                unobserved=unobserved,
                mode=mode,
                precision=precision,
                from_nodes=from_nodes,
                to_nodes=to_nodes,
                within_hops=within_hops,
                search=search,
                prevalence=prevalence,
                expected_missing=expected_missing,
                label_frequency=label_frequency,
            )
            if (controlled.details.get("search") or {}).get("recall") is not None:
                warnings.warn(controlled.details["search_sentence"], NotExhaustive, stacklevel=2)
            return controlled.table
        run = self._run()
        deployment = MissingLinksAssumption(prevalence, expected_missing, label_frequency).deployment(run)
        if top is None and decision is None and per_node is None:
            top = 100
        scope = Scope(from_nodes, to_nodes, within_hops, per_node)
        return find_links(run, deployment, top=top, decision=decision, scope=scope, search=search)

    def list_links(
        self,
        *,
        fdr: float | None = None,
        unobserved: Any = None,
        mode: str | None = None,
        precision: float | None = None,
        from_nodes: Any = None,
        to_nodes: Any = None,
        within_hops: int | None = None,
        search: str = "auto",
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> ControlledList:
        """New links with a stated error: the table, what is promised of it and under which condition.

        Args:
            fdr: accepted share of false links: with `unobserved`, on average over repetitions; or with `mode="discover"`.
            unobserved: the pairs whose status nobody has looked at; all others without an edge count as looked at.
            mode: "masked" (the default with `unobserved`) or "discover" (expected, not guaranteed).
            precision: in place of `fdr`: the share of true links that is expected, not guaranteed.
            from_nodes: as for `find_links`, like the next three; not together with `unobserved`.
            to_nodes: the other end.
            within_hops: recorded edges from one end to the other.
            search: "auto", "exhaustive" or "candidates".
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Raises:
            OptionError: options that exclude or need each other.
            InsufficientCalibration: too few other pairs for so many unobserved ones.
            UnkeptPromise: no list of 20 pairs is expected to be that precise.
        """
        assumption = MissingLinksAssumption(prevalence, expected_missing, label_frequency)
        return list_links(
            self._run(),
            fdr=fdr,
            unobserved=unobserved,
            mode=mode,
            precision=precision,
            assumption=assumption,
            scope=Scope(from_nodes, to_nodes, within_hops),
            search=search,
        )

    def to_anndata(self, links: pl.DataFrame | None = None) -> Any:
        """The run as AnnData: nodes are observations, `obsm["X_linkodds"]` their embeddings, `obsp["recorded"]` the edges.

        Args:
            links: as `find_links` gives them, for `obsp["probability"]` and `obsp["logit"]`; None: none. Their probabilities
                are taken to rest on the assumption of the defaults.
        Raises:
            OptionError: AnnData is not installed.
        """
        from linkodds.links.exporting import anndata_of

        return anndata_of(self._run(), links, self.assumption())

    def export(
        self,
        path: Path | str,
        top: int = 100,
        *,
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> list[Path]:
        """Write a file for another program, as `linkodds export` does: .h5ad, .graphml, .cyjs, .cx2 or .faiss.

        Args:
            path: the suffix says how; a file that is there is replaced.
            top: new links in it, the best of all pairs; an index has none.
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Returns:
            The files: an index comes with a second one, which holds the ids and what to ask it with.
        """
        from linkodds.links.exporting import export_run

        deployment = MissingLinksAssumption(prevalence, expected_missing, label_frequency).deployment(self._run())
        return list(export_run(self._run(), Path(path), deployment, top=top).paths)

    def save(self, path: Path | str, *, force: bool = False) -> Path:
        """Write the run directory, as `linkodds fit --out` does.

        Raises:
            RunExists: it is there and `force` is False.
        """
        with PartialRun(Path(path), force=force) as partial:
            write_results(partial, self._run())
            write_report(self._run(), partial.path / "report.html")
            saved = partial.commit()
        self.run_ = at_path(self._run(), saved)
        return saved

    @classmethod
    def load(cls, path: Path | str, *, model: Any = None) -> Self:
        """Open a run directory, one that the command line made included.

        Args:
            path: of the run.
            model: what was given to `fit` where that was a scorer or a decoder of your own: no file holds code. Without it
                such a run has its evaluation and report, and scores no further pair.
        Raises:
            BrokenRun: it is incomplete, changed, or of another version.
            OptionError: `model` is not what the run was made with.
        """
        run = load_run(path)
        if model is not None and (own := own_of(model)) is not None:
            run = given_again(run, own)
        names = cls().get_params()
        options = FitConfig.from_options(run.config["options"]).model_dump()
        predictor = cls(**{name: value for name, value in options.items() if name in names})
        for name in _OF_READING:
            setattr(predictor, name, run.config["reading"].get(name))
        if model is not None:
            predictor.model = model
        predictor.run_ = run
        return predictor

    def _validated(self) -> CustomEncoder | CustomScorer | None:
        """The user's own model, if it is one, once all parameters are what they may be."""
        allowed = {name: kinds for name, kinds in constraints().items() if name in self.get_params(deep=False)}
        allowed["model"] += [CustomEncoder, CustomScorer, callable]
        try:
            validate_parameter_constraints(allowed, self.get_params(deep=False), caller_name=type(self).__name__)
        except InvalidParameterError as error:
            raise InvalidOption(str(error)) from error
        return own_of(self.model)

    def _config(self, own: CustomEncoder | CustomScorer | None) -> FitConfig:
        given = self._given() | ({} if own is None else {"model": name_of(own)})
        return FitConfig.from_options(
            {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        )

    def _given(self) -> dict[str, Any]:
        """Options that differ from their defaults; `tune` searches the others."""
        defaults = type(self)().get_params()
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in _OF_READING and (type(value) is not type(defaults[name]) or value != defaults[name])
        }

    def _graph_of(self, given: Any) -> Graph:
        if isinstance(given, EdgeRows):
            return given.to_graph()
        if isinstance(given, Graph):
            return given
        return Graph.from_edges(given, **{name: getattr(self, name) for name in _OF_READING})

    def _reading(self, graph: Graph) -> dict[str, str]:
        """How the edges of a graph were read, as config.yaml keeps it; what was asked for has to be there."""
        read = {} if graph.times is None else {"time": graph.times.column}
        if graph.weights is not None:
            read |= {"weight": graph.weights.column, "weight_as": graph.weights.role}
        if graph.others is not None:
            read |= {"relation": graph.others.column, "predict_kind": graph.others.predicted}
        for name in _OF_READING:
            asked = getattr(self, name)
            if asked is not None and str(asked) != read.get(name):
                raise OptionError(
                    f"{name}={asked!r}: this graph was not read so. Read it with Graph.from_edges(..., {name}={asked!r})."
                )
        return read

    def _run(self) -> Run:
        check_is_fitted(self, "run_")
        return self.run_

    def _scores(
        self, pairs: Any, assumption: MissingLinksAssumption
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        run = self._run()
        source, target = read_pairs(pairs)
        table = score_pairs(run, source, target, assumption.deployment(run))
        _refuse_blanks(table, source, target)
        return table.logits, table.probabilities


def _refuse_blanks(table: PairTable, source: NDArray[np.object_], target: NDArray[np.object_]) -> None:
    for bad, error, why in (
        (table.is_unknown_id, UnknownNode, "an id that this graph does not have"),
        (table.is_inadmissible, DataError, "no pair of this graph: a node with itself, or two nodes of one side"),
    ):
        if bad.any():
            first = int(np.argmax(bad))
            raise error(
                f"pair {first} ({source[first]!r}, {target[first]!r}): {why}. {int(bad.sum())} such pair(s) in all."
            )
