"""`evaluate --scores`: what can be said of a file of somebody's scores."""

import json
from pathlib import Path
from typing import get_args

from linkodds.cli.app import printable, say


def evaluate_scores(
    scores: Path,
    edges: Path,
    *,
    held_out: Path | None,
    scored: str | None,
    nodes: Path | None,
    directed: bool,
    out: Path | None,
    decision: str | None,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Read, see which pairs are scored, evaluate, print; see `linkodds.comparison.score_file`.

    Raises:
        OptionError: what the file cannot show was asked for.
    """
    from linkodds.comparison.score_file import (
        Scored,
        evaluate_file,
        evaluate_list,
        evaluate_sample,
        read_scores,
        texts,
        what_is_scored,
    )
    from linkodds.config import FitConfig
    from linkodds.errors import OptionError
    from linkodds.graph.graph import Graph
    from linkodds.runs.run_directory import PartialRun

    if scored not in (None, *get_args(Scored)):
        raise OptionError(f"--scored takes all, uniform or top, not {scored!r}.")
    graph = Graph.from_edges(edges, nodes=nodes, directed=directed)
    file = read_scores(scores, graph, held_out)
    kind = what_is_scored(file, scored)  # type: ignore[arg-type]
    options = {"seed": seed, **({} if decision is None else {"decision": decision})}
    config = FitConfig.from_options(options)
    if kind != "all" and out is not None:
        raise OptionError(
            f"--out takes a score for every candidate: a run looks at all pairs, and {scores.name} has some."
        )
    if force and out is None:
        raise OptionError("--force replaces the run that --out names; give both or none.")
    if kind == "top":
        if held_out is None:
            raise OptionError("--scored top needs --held-out FILE: else nobody can tell which edges the list missed.")
        listed = evaluate_list(file)
        if as_json:
            print(json.dumps(listed, indent=2, allow_nan=False))
            return
        print(printable("\n".join(texts(listed))))
        for finding in listed["findings"]:
            say(finding["message"])
        return
    if kind == "all":
        partial = None if out is None else PartialRun(out, force=force)
        evaluation = evaluate_file(file, config, partial=partial, progress=say).evaluation
    else:
        evaluation = evaluate_sample(file, config)
    if as_json:
        print(json.dumps(evaluation.to_json(), indent=2, allow_nan=False))
        return
    from rich.console import Console

    from linkodds.report.summary import print_summary

    print_summary(evaluation, Console())
    if out is not None:
        say(f"report: {out / 'report.html'}")
