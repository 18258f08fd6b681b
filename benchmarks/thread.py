"""The program of the origin case at full size, and linkodds on the same graph: 3,163 nodes, 79.3 absent pairs for each edge.

Its program is dense, float64 and takes seconds an epoch, so it runs for fewer epochs than its 900; it says yes to every
pair from the first one on. Writes benchmarks/results/thread.json.

    python benchmarks/thread.py [--epochs N]
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from linkodds.config import FitConfig
from linkodds.doctor import History, ScoreTable, constant_features, diagnose_history, diagnose_table
from linkodds.graph import Graph
from linkodds.pairs import PairSpace
from linkodds.pipeline import fit_graph

HERE = Path(__file__).parent
NUM_NODES = 3163


def load_program():
    """The test that reproduces the program holds its code; it is not written twice."""
    path = HERE.parent / "tests" / "test_thread.py"
    spec = importlib.util.spec_from_file_location("test_thread", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    program = load_program()
    edges, num_nodes = program.origin_graph(NUM_NODES, np.random.default_rng(0))
    start = time.perf_counter()
    thread = program.train_thread_program(
        edges, num_nodes, given=1, hidden=256, dim=128, epochs=arguments.epochs, seed=42
    )
    seconds = time.perf_counter() - start
    predicted = thread.test_probabilities > 0.5
    tn, fp, fn, tp = confusion_matrix(thread.test_labels, predicted, normalize="true").ravel()
    upper = np.triu_indices(num_nodes, 1)
    is_edge, inputs = thread.targets[upper] == 1, thread.loss_inputs[upper]
    found = {
        "loss inputs": diagnose_table(ScoreTable(is_edge, inputs, "logit")),
        "history": diagnose_history(History.from_columns(thread.history)),
        "evaluation": diagnose_table(ScoreTable(thread.test_labels == 1, thread.test_probabilities, "probability")),
        "features": [constant_features(thread.features)],
    }
    ids = np.array([str(i) for i in range(num_nodes)], dtype=object)
    run = fit_graph(Graph(ids, edges, PairSpace(num_nodes)), FitConfig(model="vgae"))
    decisions = {each["rule"]: each for each in run.evaluation["decisions"]}
    result = {
        "num_nodes": num_nodes,
        "num_edges": len(edges),
        "program": {
            "epochs": arguments.epochs,
            "seconds_an_epoch": round(seconds / arguments.epochs, 2),
            "roc_auc": round(roc_auc_score(thread.test_labels, thread.test_probabilities), 4),
            "confusion_row_normalised": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
            "balanced_accuracy": (tp + tn) / 2,
            "weighted_f1": round(f1_score(thread.test_labels, predicted, average="weighted"), 4),
            "doctor": {name: [finding.id for finding in findings] for name, findings in found.items()},
        },
        "linkodds": {
            "model": "vgae",
            "epochs": run.evaluation["model"]["epochs"],
            "seconds_an_epoch": round(float(np.median(run.history["seconds"])), 4),
            "roc_auc": round(run.evaluation["metrics"]["roc_auc"]["value"], 4),
            "average_precision": round(run.evaluation["metrics"]["average_precision"]["value"], 4),
            "best_baseline": max(each["average_precision"] for each in run.evaluation["baselines"].values()),
            "observed_over_expected": round(run.evaluation["metrics"]["observed_over_expected"]["value"], 3),
            "calibration_slope": round(run.evaluation["metrics"]["calibration_slope"]["value"], 3),
            "decisions": {
                rule: {
                    "confusion": decisions[rule]["confusion"],
                    "balanced_accuracy": round(decisions[rule]["balanced_accuracy"]["value"], 4),
                    "precision": decisions[rule]["precision"]["value"],
                }
                for rule in ("balanced_accuracy", "f1")
            },
        },
    }
    (HERE / "results" / "thread.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
