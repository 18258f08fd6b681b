"""What the tables print beside the measured figures: bars, and what papers report under the same protocol.

Only figures that were read stand here, those of `seal` in a secondary source; what is remembered is not printed.
"""

TARGETS = {
    ("kipf", "cora"): ("roc_auc", 0.972),
    ("kipf", "citeseer"): ("roc_auc", 0.984),
    ("ncn", "cora"): ("hits_at_100", 0.891),
    ("ncn", "citeseer"): ("hits_at_100", 0.924),
    ("heart", "citeseer"): ("mrr", 0.253),
    ("seal", "seal_usair"): ("roc_auc", 0.984),
    ("seal", "seal_ns"): ("roc_auc", 0.989),
    ("seal", "seal_pb"): ("roc_auc", 0.954),
    ("seal", "seal_yeast"): ("roc_auc", 0.982),
    ("seal", "seal_celegans"): ("roc_auc", 0.924),
    ("seal", "seal_power"): ("roc_auc", 0.955),
    ("seal", "seal_router"): ("roc_auc", 0.975),
}
"""(protocol, graph) -> the metric and what the best model has to reach on test."""

PUBLISHED = {
    ("kipf", "cora"): "GAE 91.0, VGAE 91.4; without features 84.3, 84.0; WalkPool 95.9",
    ("kipf", "citeseer"): "GAE 89.5, VGAE 90.8; without features 78.7, 78.9; WalkPool 95.94",
    ("ncn", "cora"): "NCN 89.05 ± 0.96; Optimized-GAE 88.17 ± 0.93",
    ("ncn", "citeseer"): "NCN 91.56 ± 1.43; Optimized-GAE 92.40 ± 1.23",
    ("ncn", "pubmed"): "with features: NCN 79.05 ± 1.16; Optimized-GAE 80.09 ± 1.72",
    ("heart", "citeseer"): "BUDDY 22.84 ± 0.36",
    ("seal", "seal_usair"): "SEAL 96.62 ± 0.72; WLK 96.63 ± 0.73",
    ("seal", "seal_ns"): "SEAL 98.85 ± 0.47; WLNM 98.61",
    ("seal", "seal_pb"): "SEAL 94.72 ± 0.46; WLK 93.83",
    ("seal", "seal_yeast"): "SEAL 97.91 ± 0.52; WLK 95.86",
    ("seal", "seal_celegans"): "SEAL 90.30 ± 1.35; PageRank 90.32 ± 1.49",
    ("seal", "seal_power"): "SEAL 87.61 ± 1.57; WLNM 84.76",
    ("seal", "seal_router"): "SEAL 96.38 ± 1.45; WLNM 94.41",
}
"""(protocol, graph) -> percent, as printed; ± is their standard deviation."""

COUNTS = ("common-neighbors", "degree", "adamic-adar", "resource-allocation")
"""Baselines that the paper of `seal` defines as we do."""

PUBLISHED_COUNTS = {
    "seal_usair": (93.80, 88.84, 95.06, 95.77),
    "seal_ns": (94.42, 68.65, 94.45, 94.45),
    "seal_pb": (92.04, 90.14, 92.36, 92.46),
    "seal_yeast": (89.37, 82.20, 89.43, 89.45),
    "seal_celegans": (85.13, 74.79, 86.95, 87.49),
    "seal_power": (58.80, 44.33, 58.79, 58.79),
    "seal_router": (56.43, 47.58, 56.43, 56.43),
}
"""Their ROC AUC there, percent, in the order of COUNTS."""
