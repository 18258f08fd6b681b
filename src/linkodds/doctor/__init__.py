"""The doctor: what is wrong with data, split, training or scores, with its cause and its cure.

| rule | looks at | finds |
|---|---|---|
| D01 | scores, history | sigmoid applied twice |
| D02 | scores | logits that are never below 0 |
| D03 | scores | at 0.5 all pairs are edges, or none |
| D04 | scores | good ranking, useless threshold |
| D05 | scores, run | probabilities made for another base rate |
| D06 | scores, run | over- or underconfident, or inverted |
| D08 | scores | precision measured on too few non-edges |
| D13 | scores, history, latents | numbers that overflow |
| D14 | features | constant columns |
| D16 | latents, history | posterior collapsed on the prior |
| D17 | history | a spike of the KL term |
| D19 | split | a pair in two sets |
| D20 | edge list, split | both directions of an undirected edge |
| D21 | edge list, split | self-loops |
| D26 | run | too few calibration nulls for the audit |

A rule is a function from what it looks at to a finding or None. It needs no torch.
"""

from linkodds.doctor.diagnosis import (
    SavedRun,
    diagnose_graph,
    diagnose_history,
    diagnose_latents,
    diagnose_run,
    diagnose_split,
    diagnose_table,
    examine,
    order,
)
from linkodds.doctor.graph_rules import constant_features
from linkodds.doctor.history_rules import is_spike
from linkodds.doctor.inputs import History, ScoreTable, read_history, read_table

__all__ = [
    "History",
    "SavedRun",
    "ScoreTable",
    "constant_features",
    "diagnose_graph",
    "diagnose_history",
    "diagnose_latents",
    "diagnose_run",
    "diagnose_split",
    "diagnose_table",
    "examine",
    "is_spike",
    "order",
    "read_history",
    "read_table",
]
