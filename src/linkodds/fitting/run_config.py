"""Settings: what config.yaml holds, options as given and as resolved, versions, and facts for whoever opens the run."""

from typing import Any

import numpy as np
import polars as pl
import sklearn
import torch

from linkodds import __version__
from linkodds.config import TWO_LAYERS, USUAL_DEFAULTS, FitConfig, ModelOptions
from linkodds.fitting.averaging import MeanModel
from linkodds.fitting.model_selection import ModelCandidate
from linkodds.fitting.resuming import hash_of_features
from linkodds.fitting.tuning import TuningResult
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.models.autoencoders.propagation import choose_kernel
from linkodds.models.families import AUTO, family_of
from linkodds.models.training.training_loop import TrainedModel
from linkodds.reading.times import facts_of_times
from linkodds.scorers.pair_scoring import decoder_facts


def settings_of_fit(
    config: FitConfig,
    reading: dict[str, Any],
    graph: Graph,
    features: Features | None,
    split: Split,
    device: torch.device,
) -> dict[str, Any]:
    """What is known before anything is trained.

    Args:
        config: all options of the fit.
        reading: where the graph came from and how it was read.
        graph: what is learnt.
        features: that are in use.
        split: of its edges.
        device: where models are trained.
    """
    return {
        "format": "linkodds.run/1",
        "versions": {
            "linkodds": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "polars": pl.__version__,
        },
        "reading": reading,
        "options": config.model_dump(mode="json"),
        **({"given": sorted(config.model_fields_set)} if config.tune else {}),
        "graph": {
            "directed": graph.space.directed,
            "sides": list(graph.space.sides) if graph.space.sides else None,
            "feature_scaling": features.scaling if features else None,
            "features_hash": None if features is None else hash_of_features(features),
            **({} if graph.times is None else {"time": facts_of_times(graph.times)}),
            **({} if graph.weights is None else {"weights": graph.weights.facts()}),
            **({} if graph.others is None else {"relation": graph.others.facts()}),
        },
        "message_graph_hash": split.message_graph_hash(),
        "device": device.type,
        "num_threads": torch.get_num_threads(),
    }


def options_in_use(config: FitConfig, name: str) -> FitConfig:
    """The options of a fit as its model takes them.

    Args:
        config: of the fit.
        name: of the fitted model; auto is a mean of several, of which each takes its own.
    """
    return ModelOptions.resolve(config, USUAL_DEFAULTS, TWO_LAYERS) if name == AUTO else family_of(name).options(config)


def settings_of_winner(
    config: FitConfig, winner: ModelCandidate, split: Split, device: torch.device, tuned: TuningResult | None = None
) -> dict[str, Any]:
    """What is known when the model is there, to stand beside `settings_of_fit`.

    Args:
        config: all options of the fit.
        winner: with its degree term.
        split: that it was fitted on.
        device: where it was trained.
        tuned: the search that its options come from, if there was one.
    """
    fitted = winner.fitted
    facts: dict[str, Any] = {
        "model": winner.name,
        "folds": split.folds,
        "degree_term": winner.degree_term and winner.degree_term.to_json(),
    }
    if fitted is not None:
        in_use = config if tuned is None else tuned.selection.fitting.config
        as_given, taken = (each.model_dump(mode="json") for each in (config, options_in_use(in_use, fitted.name)))
        facts |= {
            "options_of_model": {name: value for name, value in taken.items() if value != as_given[name]},
            "objective": fitted.objective,
            "effective_odds": fitted.effective_odds,
            "best_epoch": fitted.best_epoch,
        }
    if tuned is not None:
        facts |= {"tuning": {"trials": len(tuned.trials), "options": dict(tuned.options)}}
    if isinstance(fitted, MeanModel):
        facts |= {"members": fitted.to_json()}
    if isinstance(fitted, TrainedModel):
        facts |= {
            "weight_decay": fitted.weight_decay,
            "uses_features": fitted.uses_features,
            "decoder": decoder_facts(fitted.scorer),
            "propagation": choose_kernel(device, torch.float32),
        }
    return facts
