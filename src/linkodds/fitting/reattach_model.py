"""Attach a user's code to a loaded run, once the code reproduces the saved logits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from linkodds.errors import OptionError
from linkodds.models.autoencoders.custom_encoder import CustomEncoder, decoder_as_scorer
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.families.own_models import family_of_own
from linkodds.runs.record import Run
from linkodds.scorers.function_scoring import FunctionScorer, LostScorer
from linkodds.scorers.scoring import DegreeAwareScorer, base_of

Own = CustomEncoder | CustomScorer
NUM_COMPARED = 1000


def own_of(model: Any) -> Own | None:
    """What `LinkPredictor(model=...)` means: a name, a user's encoder or scorer, a module, or a function of pairs.

    Raises:
        OptionError: none of these.
    Example:
        >>> own_of("gae"), own_of(nn.Identity()).name, own_of(lambda pairs: pairs[:, 0]).values
        (None, 'Identity', 'score')
    """
    if isinstance(model, str):
        return None
    if isinstance(model, CustomEncoder | CustomScorer):
        return model
    if isinstance(model, type):
        raise OptionError(
            f"model={model.__name__} is a class; give an instance, or CustomEncoder(lambda num_features, num_nodes: ...) that "
            "makes one."
        )
    if isinstance(model, nn.Module):
        return CustomEncoder(model)
    if callable(model):
        return CustomScorer(model)
    raise OptionError(
        f"model takes a name, a torch.nn.Module, CustomEncoder, CustomScorer or a function of pairs, not {model!r}."
    )


def name_of(own: Own) -> str:
    """What the config calls it."""
    return family_of_own(own).name


def given_again(run: Run, own: Own) -> Run:
    """The run with a scorer that scores: its author's code, the saved weights, and the same values as were saved.

    Args:
        run: as it was loaded.
        own: what was given to `fit`.
    Raises:
        OptionError: the run needs none, or what was given is something else: weights do not fit, or values differ from
            those that were saved.
    """
    lost = base_of(run.scorer)
    if not isinstance(lost, LostScorer):
        raise OptionError("this run holds all of its model; leave model out.")
    if run.model != name_of(own):
        raise OptionError(f"this run is of an {run.model}, {lost.name}; {own.name} is an {name_of(own)}.")
    if isinstance(own, CustomScorer):
        scorer = own.scorer(run.ids, run.split, run.features)
    else:
        assert lost.embeddings is not None
        source, target = lost.embeddings
        both = np.concatenate([source, target], axis=1) if run.split.space.directed else source
        scorer = _with_weights(own, run, both)
    table = run.predictions.head(NUM_COMPARED)
    pairs = np.array([[run.index[u], run.index[v]] for u, v in table.select("source", "target").iter_rows()])
    whole = replace(run.scorer, base=scorer) if isinstance(run.scorer, DegreeAwareScorer) else scorer
    logits, saved = whole.logits(pairs), table["logit"].to_numpy()
    differs = ~np.isclose(logits, saved, rtol=1e-4, atol=1e-5)
    if differs.any():
        k = int(np.argmax(differs))
        raise OptionError(
            f"{own.name} is not what this run was made with: for pair ({table['source'][k]!r}, {table['target'][k]!r}) it gives "
            f"{logits[k]:.6g}, and {saved[k]:.6g} was saved ({int(differs.sum())} of {len(saved)} differ)."
        )
    return replace(run, scorer=whole)


def _with_weights(own: CustomEncoder, run: Run, embeddings: NDArray[np.float32]) -> FunctionScorer:
    num_features = run.config["own"]["num_features"]
    module = own.build(run.split.space.num_nodes, num_features, torch.Generator().manual_seed(0)).module
    prefix = "encoder.module."
    weights: Mapping[str, NDArray[Any]] = {
        key.removeprefix(prefix): value for key, value in run.weights.items() if key.startswith(prefix)
    }
    try:
        module.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()})
    except RuntimeError as error:
        raise OptionError(f"{own.name} does not fit the weights of this run: {' '.join(str(error).split())}") from error
    return decoder_as_scorer(module, embeddings, run.split.space, str(own.name))
