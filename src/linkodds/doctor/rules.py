"""Names of the rules, what explains what, and the order in which findings are told."""

from collections.abc import Iterable

from linkodds.findings import Finding

RULES = {
    "D01": "sigmoid applied twice",
    "D02": "logits that are never below 0",
    "D03": "at 0.5 every pair is an edge, or none is",
    "D04": "good ranking, useless threshold",
    "D05": "probabilities made for another base rate",
    "D06": "over- or underconfident, or inverted",
    "D07": "a confusion matrix of shares",
    "D08": "precision measured on too few non-edges",
    "D09": "an F1 averaged over the non-edges",
    "D10": "an accuracy that a constant has",
    "D11": "decisions where scores are needed",
    "D12": "ties at an end of the scores",
    "D13": "numbers that overflow",
    "D14": "features that are constant",
    "D15": "embeddings that are all alike",
    "D16": "a posterior collapsed on the prior",
    "D17": "a spike in the loss",
    "D18": "a loss that stays at ln 2",
    "D19": "a pair in two sets",
    "D20": "an undirected edge in both directions",
    "D21": "self-loops",
    "D22": "a ranking by degree",
    "D23": "too good to be true",
    "D24": "too few sampled non-edges",
    "D25": "train edges rank far above test edges",
    "D26": "too few nulls for an error-controlled list",
    "D27": "more missing links than can be",
    "D28": "a base rate that does not fit the graph",
    "D29": "training non-edges that leave out the held-out edges alone",
    "D30": "training non-edges that the evaluation uses again",
    "D31": "non-edges that are self-loops or are listed twice",
    "D32": "held-out edges of nodes that training never saw",
    "D33": "a top of the list that holds another number than it promises",
    "D34": "one score for every pair",
}
"""What each rule finds; docs/doctor.md shows each."""
CAUSES = ("D19", "D29", "D30", "D13", "D34", "D11", "D01", "D02")
"""What explains other findings comes first."""
EXPLAINED_BY = {
    "D01": ("D34",),
    "D02": ("D01", "D11", "D34"),
    "D03": ("D01", "D02", "D34"),
    "D04": ("D01", "D02", "D03", "D11"),
    "D05": ("D01", "D02", "D11", "D34"),
    "D06": ("D01", "D02", "D11", "D34"),
    "D10": ("D01", "D02", "D03", "D04", "D05", "D07", "D34"),
    "D12": ("D01", "D11", "D34"),
    "D15": ("D13",),
    "D16": ("D13", "D15"),
    "D18": ("D01", "D13"),
    "D22": ("D19",),
    "D23": ("D19",),
    "D24": ("D08",),
    "D30": ("D29",),
    "D33": ("D01", "D02", "D05", "D06", "D11", "D34"),
}
"""A finding is left out where one of these is there; it would send the reader after an effect."""


def order(findings: Iterable[Finding]) -> list[Finding]:
    """Causes before effects, then errors before warnings before information, then by rule; no finding twice.

    Example:
        >>> found = [Finding(id, "error", "", "") for id in ("D08", "D01", "D19", "D08")]
        >>> [finding.id for finding in order(found)]
        ['D19', 'D01', 'D08']
    """
    severities = ("error", "warning", "info")

    def place(finding: Finding) -> tuple[int, int, str]:
        cause = CAUSES.index(finding.id) if finding.id in CAUSES else len(CAUSES)
        return cause, severities.index(finding.severity), finding.id

    return sorted(dict.fromkeys(findings), key=place)


def conclude(found: Iterable[Finding | None]) -> list[Finding]:
    """What was found, in order, without what another finding explains.

    Example:
        >>> found = [Finding("D04", "warning", "", ""), None, Finding("D01", "error", "", "")]
        >>> [finding.id for finding in conclude(found)]
        ['D01']
    """
    given = [finding for finding in found if finding is not None]
    there = {finding.id for finding in given if finding.severity != "info"}
    return order(finding for finding in given if there.isdisjoint(EXPLAINED_BY.get(finding.id, ())))
