"""Edge support: which models use the weights of edges and the edges of other kinds, and what is said where none does."""

from collections.abc import Sequence

from linkodds.config import FitConfig
from linkodds.errors import OptionError
from linkodds.findings import Finding
from linkodds.models.families import AUTO, asked_family, families
from linkodds.models.families.family import ModelFamily
from linkodds.reading.edge_weights import EdgeWeights, Role
from linkodds.reading.relations import OtherEdges


def models_using(role: Role, *, has_features: bool) -> tuple[str, ...]:
    """Models whose training looks at weights of a role.

    Args:
        role: confidence or strength.
        has_features: whether nodes have features: some models send those along edges, and nothing else.
    Example:
        >>> "signed-gae" in models_using("strength", has_features=True)
        True
    """
    if role == "confidence":
        return tuple(each.name for each in families() if each.uses_confidence)
    always, sometimes = (
        tuple(each.name for each in families() if each.uses_strength == when) for when in ("always", "with features")
    )
    return always + (sometimes if has_features else ())


def models_taking_kinds() -> tuple[str, ...]:
    """Models of ours whose messages go along edges of other kinds."""
    return tuple(each.name for each in families() if each.trains_encoder and each.takes_other_edges)


def refuse_ignored_weights(
    weights: EdgeWeights | None, config: FitConfig, family: ModelFamily, *, has_features: bool, decodes: bool = False
) -> None:
    """Raise where the options name something that would pass the weights over.

    Args:
        weights: of the graph.
        config: of the fit.
        family: of the model, or auto.
        has_features: whether nodes have features.
        decodes: whether a user's encoder has a decoder of its own, which learns from single pairs.
    Raises:
        OptionError: such a model, objective or calibrator; it says which take them.
    """
    if weights is None:
        return
    option, takes = f"--weight-as {weights.role}", models_using(weights.role, has_features=has_features)
    is_calibrated = weights.role == "confidence" and family.weighs_calibration and not decodes
    if family.name not in (AUTO, *takes) and not is_calibrated:
        raise OptionError(
            f"{option} is not for {family.name}: {family.why_ignores_weights(weights.role)}. Take {', '.join(takes)} or auto, "
            "or leave --weight out."
        )
    if weights.role == "confidence" and config.objective == "subgraph":
        raise OptionError(f"{option} is not for --objective subgraph; take all-pairs or sampled.")
    if weights.role == "confidence" and config.calibrator == "venn-abers":
        raise OptionError(
            f"{option} is not for --calibrator venn-abers, which counts edges; take platt, bias, beta or isotonic."
        )


def refuse_ignored_kinds(others: OtherEdges | None, family: ModelFamily, *, decodes: bool = False) -> None:
    """Raise where the model would pass the edges of other kinds over.

    Args:
        others: of the graph.
        family: of the model, or auto.
        decodes: whether a user's encoder has a decoder of its own, which is trained with single edges hidden.
    Raises:
        OptionError: such a model; it says which take them.
    """
    if others is None or family.name == AUTO or (family.takes_other_edges and not decodes):
        return
    raise OptionError(
        f"--relation is not for {family.name}: it takes no messages along edges of other kinds. Take "
        f"{', '.join(models_taking_kinds())} or auto; or leave --relation out and give the edges of {others.predicted!r} alone."
    )


def models_to_try(
    ladder: Sequence[str], weights: EdgeWeights | None, others: OtherEdges | None = None
) -> tuple[str, ...]:
    """The models of a ladder that look at what the edges carry; all of them where that is nothing.

    Example:
        >>> import numpy as np
        >>> weights = EdgeWeights(np.ones(1), np.arange(1), "strength", "count")
        >>> models_to_try(("stack", "signed-gae", "vgae"), weights), models_to_try(("stack",), None)
        (('vgae',), ('stack',))
    """
    if weights is not None:
        used = models_using(weights.role, has_features=False)
        ladder = [name for name in ladder if name in used]
    if others is not None:
        ladder = [name for name in ladder if name in models_taking_kinds()]
    return tuple(ladder)


def about_weights(weights: EdgeWeights, model: str) -> Finding:
    """What the weights did, and what counted every edge the same.

    Args:
        weights: of the graph.
        model: the one in use.
    """
    low, mean, high = weights.values.min(), weights.values.mean(), weights.values.max()
    message = f"Weights: column {weights.column!r} is the {weights.role} of edges ({low:.3g} to {high:.3g}, mean {mean:.3g}). "
    untrained = asked_family(model).untrained.format(name=model)
    if weights.role == "strength":
        message += "It weighs the messages that a model passes along edges. The loss, calibration,"
    elif untrained:
        message += f"It weighs the calibration alone, for {untrained}. Validation,"
    else:
        message += (
            "It weighs the loss (an edge of confidence c is c of an edge and 1 - c of a non-edge) and the calibration. "
        )
        message += "Messages,"
    message += " baselines, decisions and the evaluation count every recorded edge the same."
    return Finding("reading", "info", message, "Leave --weight out to count all edges the same.", float(mean))
