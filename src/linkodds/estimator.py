"""LinkPredictor: the whole pipeline as a scikit-learn estimator."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from linkodds.config import FitConfig
from linkodds.edge_folds import EdgeRows
from linkodds.errors import OptionError
from linkodds.evaluation.evaluation import Evaluation
from linkodds.fitting.evaluation_setup import EvaluationSetup
from linkodds.fitting.pipeline import fit_graph
from linkodds.fitting.reattach_model import given_again, name_of, own_of
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.links.error_control import ControlledList, list_links
from linkodds.links.inference import PairTable, find_links, links_of_new_nodes, score_new_pairs, score_pairs
from linkodds.links.link_request import LinkRequest
from linkodds.links.link_search import NotExhaustive, Scope
from linkodds.links.new_edges import average_precision_of
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.families import asked_family, model_names, refusal
from linkodds.models.families.own_models import family_of_own
from linkodds.options import FeatureOptions, FitOptions, options_given, options_of, shows_options
from linkodds.probability.assumed_values import Assumed
from linkodds.reading.graph_options import ColumnOptions
from linkodds.reading.reading import read_pairs
from linkodds.reading.reading_options import ReadingOptions
from linkodds.report import report_data_of, write_report
from linkodds.runs.inductive import with_new_nodes
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of
from linkodds.runs.record import Run, at_path, load_run, write_results
from linkodds.runs.run_directory import PartialRun


class InvalidOption(OptionError, ValueError):
    """A parameter that `LinkPredictor` does not accept."""


@shows_options
@dataclass(eq=False, repr=False)
class LinkPredictor(ColumnOptions, FitOptions, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Calibrated link prediction: split, train, calibrate, decide and evaluate in one `fit`.

    Parameters are the options of `linkodds fit`, with the same names and defaults. Those of reading, `feature_scaling`
    among them, are for edges that `fit` reads itself. `checkpoint_every` is for fits that write files.

    Args:
        model: a name, as for `linkodds fit`; or one of your own: a `CustomEncoder` or a torch module, which is trained here,
            or a `CustomScorer` or a function of pairs, which is not (docs/own-models.md).
        options: the others, each a keyword.

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

    model: Any = "auto"

    def fit(self, graph: Graph, y: None = None) -> Self:  # noqa: ARG002  (scikit-learn passes y)
        """Learn from a graph; `y` is ignored, the labels are the graph's edges.

        Args:
            graph: a `Graph`, `EdgeRows`, or anything that `Graph.from_edges` reads.
            y: ignored.
        Raises:
            InvalidOption: a parameter out of its range.
            LinkoddsError: as `linkodds fit`, one clear message.
        """
        own = own_of(self.model)
        config = self._config(own)
        given = self._graph_of(graph)
        asked = options_given(self, ColumnOptions) | options_given(self, FeatureOptions)
        self.run_ = fit_graph(given, config, reading=given.reading_as(asked), own=own)
        return self

    def split_of(self, graph: Any) -> Split:
        """The split that `fit` makes of this graph: to train a scorer on its train edges alone, elsewhere, beforehand.

        Args:
            graph: as for `fit`.
        """
        own = own_of(self.model)
        config = self._config(own)
        given = self._graph_of(graph)
        features = None if given.features is None else given.features.matrix.shape[1]
        family = asked_family(config.model) if own is None else family_of_own(own)
        return EvaluationSetup.of(given, config, single=family.is_single(given.num_nodes, features)).split

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
        return self._table(pairs, MissingLinksAssumption()).logits

    def predict_proba(
        self,
        pairs: Any,
        *,
        new_nodes: Any = None,
        features: Any = None,
        edges: Any = None,
        prevalence: Assumed | None = None,
        expected_missing: Assumed | None = None,
        label_frequency: Assumed | None = None,
    ) -> NDArray[np.float64]:
        """Probabilities of no link and of a link, shape (pairs, 2), if the pair carries no recorded edge.

        They rest on an assumption about how many links are missing: by default as many as the test set held.
        `assumption` with the same arguments says it in a sentence.

        With `features` the pairs may name nodes that the run was not fitted with. Known nodes keep their embeddings.
        Calibration was on pairs of known nodes: nothing is guaranteed for new ones. Without a stated assumption a pair with
        a new node without edges is a link as often as any pair has an edge.

        Args:
            pairs: as for `decision_function`; with `features` also ids of new nodes.
            new_nodes: their ids; default those of `features`.
            features: of the new nodes: a table or file with ids in its first column, or an array with a row for each of
                `new_nodes`; scaled with the constants of the fit.
            edges: pairs of ids that are edges of new nodes; default none.
            prevalence: missing links among the pairs without an edge. It and the next two: a number, or (low, high),
                whose geometric mean of missing links is then taken.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Raises:
            OptionError: new nodes, and a model that knows nodes otherwise than by their features.
            DataError: nodes, features or edges that cannot be used.
        """
        assumption = MissingLinksAssumption(prevalence, expected_missing, label_frequency)
        present = self._table(pairs, assumption, new_nodes, features, edges).probabilities
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
        new_nodes: Any = None,
        features: Any = None,
        edges: Any = None,
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
            new_nodes: as for `predict_proba`, like the next two: with `features` the links of new nodes alone are listed, and
                nothing is guaranteed for them; with `top`, `decision` or `per_node`.
            features: of the new nodes.
            edges: of the new nodes.
            prevalence: as for `predict_proba`, like the next two.
            expected_missing: their number.
            label_frequency: share of all true links that the record holds.
        Raises:
            OptionError: options that exclude or need each other.
        Warns:
            NotExhaustive: the list was made of candidates; the message says what it lacks.
        """
        request = LinkRequest(
            top=top,
            decision=decision,
            fdr=fdr,
            unobserved=unobserved,
            mode=mode,
            precision=precision,
            scope=Scope(from_nodes, to_nodes, within_hops, per_node),
            of_new_nodes=any(each is not None for each in (new_nodes, features, edges)),
        )
        run, assumption = self._run(), MissingLinksAssumption(prevalence, expected_missing, label_frequency)
        if request.kind == "of new nodes":
            new = with_new_nodes(run, features, new_nodes, edges)
            return links_of_new_nodes(run, new, assumption, top=request.most, decision=decision, per_node=per_node)
        if request.kind == "best":
            return find_links(
                run, assumption.deployment(run), top=request.most, decision=decision, scope=request.scope, search=search
            )
        controlled = list_links(run, request, assumption=assumption, search=search)
        if (controlled.details.get("search") or {}).get("recall") is not None:
            warnings.warn(controlled.details["search_sentence"], NotExhaustive, stacklevel=2)
        return controlled.table

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
        scope = Scope(from_nodes, to_nodes, within_hops)
        request = LinkRequest(fdr=fdr, unobserved=unobserved, mode=mode, precision=precision, scope=scope)
        assumption = MissingLinksAssumption(prevalence, expected_missing, label_frequency)
        return list_links(self._run(), request, assumption=assumption, search=search)

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
            write_report(self._run(), report_data_of(self._run()), partial.path / "report.html")
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
        predictor = cls(**FitConfig.from_options(run.config["options"]).model_dump())
        for name in options_of(ColumnOptions):
            setattr(predictor, name, run.config["reading"].get(name))
        if model is not None:
            predictor.model = model
        predictor.run_ = run
        return predictor

    def _config(self, own: CustomEncoder | CustomScorer | None) -> FitConfig:
        given = options_given(self, FitOptions) | ({} if own is None else {"model": name_of(own)})
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        try:
            config = FitConfig.from_options(plain, caller="LinkPredictor")
        except OptionError as error:
            raise InvalidOption(str(error)) from error
        if config.model not in model_names():
            raise InvalidOption(f"The 'model' parameter of LinkPredictor: {refusal(config.model)}.")
        return config

    def _graph_of(self, given: Any) -> Graph:
        if isinstance(given, EdgeRows):
            return given.to_graph()
        if isinstance(given, Graph):
            return given
        options = ReadingOptions.from_options(options_given(self, ColumnOptions), caller="LinkPredictor")
        return Graph.read(given, options, self.feature_scaling)

    def _run(self) -> Run:
        check_is_fitted(self, "run_")
        return self.run_

    def _table(
        self,
        pairs: Any,
        assumption: MissingLinksAssumption,
        new_nodes: Any = None,
        features: Any = None,
        edges: Any = None,
    ) -> PairTable:
        run = self._run()
        source, target = read_pairs(pairs)
        if all(each is None for each in (new_nodes, features, edges)):
            table = score_pairs(run, source, target, assumption.deployment(run))
        else:
            new = with_new_nodes(run, features, new_nodes, edges)
            table, _ = score_new_pairs(run, new, source, target, assumption)
        table.refuse_blanks(source, target)
        return table
