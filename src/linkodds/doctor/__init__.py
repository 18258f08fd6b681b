"""The doctor: what is wrong with data, split, training or scores, with its cause and its cure.

Each of its 34 rules (`RULES` names them, docs/doctor.md shows them) is a function from what it looks at to a finding or
None. It needs no torch.

| looks at | rules |
|---|---|
| labels and scores | D01 to D06, D08, D10 to D13, D24, D33, D34; with ids D19 to D21, D31; with the graph D22, D23, D28, D32 |
| a confusion matrix and what was reported with it | D03, D04, D07 to D10 |
| a training history, latent variables | D01, D13, D16 to D18, D25 |
| an edge list, features | D14, D20, D21 |
| the parts of a split | D19 to D21, D29 to D32 |
| a run | D03 to D06, D12, D13, D15 to D17, D19 to D28 |

D24, D26 and D27 of a run are found where it is measured, selected from and searched.
"""

from linkodds.doctor.confusion import ConfusionMatrix, read_confusion_matrix
from linkodds.doctor.diagnosis import (
    diagnose_confusion_matrix,
    diagnose_graph,
    diagnose_history,
    diagnose_latents,
    diagnose_run,
    diagnose_split,
    diagnose_table,
    diagnose_table_on_graph,
    diagnose_values,
)
from linkodds.doctor.graph_rules import constant_features
from linkodds.doctor.history_rules import History, is_spike
from linkodds.doctor.inputs import ScoreTable, read_table
from linkodds.doctor.model_rules import ModelScores, scores_rng
from linkodds.doctor.rules import RULES, conclude, order
from linkodds.doctor.targets import SavedRun, examine, read_history

__all__ = [
    "RULES",
    "ConfusionMatrix",
    "History",
    "ModelScores",
    "SavedRun",
    "ScoreTable",
    "conclude",
    "constant_features",
    "diagnose_confusion_matrix",
    "diagnose_graph",
    "diagnose_history",
    "diagnose_latents",
    "diagnose_run",
    "diagnose_split",
    "diagnose_table",
    "diagnose_table_on_graph",
    "diagnose_values",
    "examine",
    "is_spike",
    "order",
    "read_confusion_matrix",
    "read_history",
    "read_table",
    "scores_rng",
]
