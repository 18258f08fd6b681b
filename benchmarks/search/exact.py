"""Whether searches find what brute force finds: 300 random graphs and embeddings, every option, ties included.

The questions are those of tests/test_search.py, more of them: undirected, directed and bipartite graphs, embeddings that
tie, nearly tie or have norms over several orders of magnitude, signs, scales, degree terms, surfaces over degrees and
baselines, top K, thresholds, ends, hops, partners of each node, tiles of 4 to 100,000 cells, one and two threads. Controls
that have to fail: bounds without room for rounding, logits ordered in float32, ties in the other order. Writes
benchmarks/results/search/exact.json, which speed.py puts on docs/search-speed.md; fails where an answer differs, or a control
does not.

    python benchmarks/search/exact.py
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import linkodds.search.tiles
from linkodds.search.top_per_node import find_partners

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "search" / "exact.json"
GRAPHS = 300


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    questions = load_questions()
    identical = dict.fromkeys(WAYS, 0)
    for seed in range(GRAPHS):
        rng = np.random.default_rng(1000 + seed)
        case = questions.random_case(rng)
        max_cells, per_node = int(rng.choice([4, 50, 1000, 100_000])), int(rng.integers(1, 6))
        for way, is_identical in WAYS.items():
            identical[way] += bool(is_identical(case, max_cells, per_node))
    rows = [{"what": way, "questions": GRAPHS, "identical": number} for way, number in identical.items()]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"graphs": GRAPHS, "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(row)
    if any((number == GRAPHS) == way.startswith("control") for way, number in identical.items()):
        sys.exit("an answer differs from brute force, or a control does not")


def load_questions():
    specification = importlib.util.spec_from_file_location("test_search", HERE.parents[1] / "tests" / "test_search.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["test_search"] = module
    specification.loader.exec_module(module)
    return module


def is_same(case, answer) -> bool:
    pairs, logits = case.brute_force()
    return np.array_equal(answer.pairs, pairs) and np.array_equal(answer.logits, logits)


def searched(case, max_cells: int):
    search = case.search(max_cells=max_cells)
    for _ in search.steps():
        pass
    return search.found()


def one_thread(case, max_cells: int, _: int) -> bool:
    with threadpool_limits(1):
        return is_same(case, searched(case, max_cells))


def two_threads(case, max_cells: int, _: int) -> bool:
    with threadpool_limits(2):
        return is_same(case, searched(case, max_cells))


def gone_on_with(case, max_cells: int, _: int) -> bool:
    stopped, resumed = case.search(max_cells=max_cells), case.search(max_cells=max_cells)
    for _ in zip(range(2), stopped.steps(), strict=False):
        pass
    resumed.resume(stopped.num_done, stopped.found().pairs)
    for _ in resumed.steps():
        pass
    return is_same(case, resumed.found())


def partners(case, max_cells: int, per_node: int) -> bool:
    found = find_partners(case.scorer, case.known, per_node=per_node, ends=case.ends, max_cells=max_cells)
    listed = zip(found.nodes.tolist(), found.partners.tolist(), found.logits.tolist(), strict=True)
    return list(listed) == case.partners_by_brute_force(per_node)


def without_rounding(case, max_cells: int, _: int) -> bool:
    before = linkodds.search.tiles._ROUNDING
    linkodds.search.tiles._ROUNDING = -before
    try:
        return is_same(case, searched(case, max_cells))
    finally:
        linkodds.search.tiles._ROUNDING = before


def in_float32(case, _: int, __: int) -> bool:
    """What is right, put in order by float32 logits."""
    pairs, logits = case.brute_force()
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits.astype(np.float32)))
    return np.array_equal(pairs[order], pairs)


def ties_reversed(case, _: int, __: int) -> bool:
    pairs, logits = case.brute_force()
    order = np.lexsort((-pairs[:, 1], -pairs[:, 0], -logits))
    return np.array_equal(pairs[order], pairs)


WAYS = {
    "pairs, one thread": one_thread,
    "pairs, two threads": two_threads,
    "pairs, stopped after two steps and gone on with": gone_on_with,
    "partners of each node": partners,
    "control: bounds with less room than rounding takes": without_rounding,
    "control: ordered by float32 logits": in_float32,
    "control: ties in the other order": ties_reversed,
}


if __name__ == "__main__":
    main()
