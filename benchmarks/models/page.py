"""docs/models.md and its figure, from what benchmarks/models/run.py has measured so far; nothing is measured here."""

import html
import json
import math
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from statistics import fmean, median
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from published import COUNTS, PUBLISHED, PUBLISHED_COUNTS, TARGETS

from linkodds.comparison.comparison_figure import metric_title
from linkodds.comparison.protocols import PROTOCOLS
from linkodds.comparison.repeats import differences, repeated

BASE_RATE, AUTO, PYG, STACK = "base-rate", "auto", "pyg-vgae", "stack"
AUTOENCODERS = ("signed-gae", "structural-gae")
MARKS = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "h")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7A828C", "#000000")
TIME_BUDGET = 60.0
"""Seconds of counted work for the training of a fit at the base rate; the protocols of papers have no budget."""
ALONE = 1.05
"""A process that took at most so many seconds by the clock for each of the processor had a core to itself."""
SHORT_AXIS = 10.0
"""A log axis over less than this factor has no two powers of ten to write."""
LEAST = {
    "auto / best baseline": 1.5,
    "auto / PyG's VGAE": 6.0,
    "autoencoder / stack": 0.95,
    "autoencoder / PyG's VGAE": 5.0,
}


class Table:
    """All results of one protocol: figures by graph, model and split."""

    def __init__(self, protocol: str, folder: Path) -> None:
        self.protocol = protocol
        self.metric = "average_precision" if protocol == BASE_RATE else PROTOCOLS[protocol].metrics[0]
        rows = [json.loads(path.read_text()) for path in sorted((folder / protocol).glob("*.json"))]
        self.rows = {(row["graph"], row["model"], row["split"]): row for row in rows}
        of_test: dict[tuple[str, int], str] = {}
        for (graph, model, split), row in self.rows.items():
            if of_test.setdefault((graph, split), row["test_edges"]) != row["test_edges"]:
                raise SystemExit(f"{protocol}: {model} was measured on other test edges of {graph}, split {split}")
        self.graphs = list(dict.fromkeys(row["graph"] for row in rows))
        self.models = list(dict.fromkeys(row["model"] for row in rows if row["model"] != "baselines"))
        first = next(iter(rows), None)
        is_fixed = protocol != BASE_RATE and PROTOCOLS[protocol].is_fixed
        self.test_share = 0.0 if first is None or is_fixed else first["num_test"] / first["num_train"]

    def splits(self, graph: str, *models: str) -> list[int]:
        """Those on which all of these were measured."""
        found = [{split for g, m, split in self.rows if (g, m) == (graph, model)} for model in models]
        return sorted(set.intersection(*found))

    def values(self, graph: str, model: str, splits: Sequence[int], metric: str = "") -> list[float | None]:
        return [self.rows[graph, model, split]["metrics"].get(metric or self.metric) for split in splits]

    def best_baseline(self, graph: str, splits: Sequence[int]) -> tuple[str, list[float]] | None:
        """The best on the test edges themselves, which flatters it."""
        found = [self.rows.get((graph, "baselines", split)) for split in splits]
        if not splits or None in found:
            return None
        values = {
            name: [row["baselines"][name]["metrics"][self.metric] or 0.0 for row in found]
            for name in found[0]["baselines"]
        }
        best = max(values, key=lambda name: fmean(values[name]))
        return best, values[best]

    def cell(self, values: Sequence[float | None], scale: float = 100, digits: int = 2) -> str:
        """The mean with half of its interval, or with one split in brackets."""
        found = repeated(values, test_share=self.test_share)
        if found.value is None:
            return "none"
        if found.low is None or found.high is None:
            return f"{scale * found.value:.{digits}f} ({len(values)})"
        return f"{scale * found.value:.{digits}f} ± {scale * (found.high - found.low) / 2:.{digits}f} ({len(values)})"


_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "linkodds", "font.family": "sans-serif", "font.size": 10}


def as_svg(figure: Figure, alternative: str) -> str:
    """The figure as SVG, the same bytes for the same figure, with a text for those who cannot see it."""
    with matplotlib.rc_context(_STYLE):
        figure.savefig(file := StringIO(), format="svg", metadata={"Date": None, "Creator": "linkodds"})
    head, start, rest = file.getvalue().partition("<svg ")
    attributes, end, body = rest.partition(">")
    return f'{head}{start}role="img" {attributes}{end}\n <title>{html.escape(alternative)}</title>{body}'


def write_page(results: Path, docs: Path) -> None:
    """Write models.md and models.svg.

    Args:
        results: one folder a protocol, one JSON a graph, split and model.
        docs: where the page goes.
    """
    tables = {name: Table(name, results) for name in (BASE_RATE, *PROTOCOLS)}
    figure, alternative = accuracy_against_time(list(tables.values()))
    (docs / "models.svg").write_text(as_svg(figure, alternative))
    lines = [
        "# Every model on real graphs",
        "",
        "Made by `benchmarks/models/run.py`; one file for each graph, split and model lies in `benchmarks/results/models/`. It",
        "goes on where it stopped, and what is not in a table was not measured yet. Choices are made on validation edges:",
        "epochs, penalties and what `auto` takes, by average precision at the base rate. No option was chosen on test edges.",
        "",
        "Cells are means, ± half of the 95 % interval (corrected resampled t, approximate; under `heart` over trainings on one",
        "split), and the number of splits in brackets. With one split there is no interval, and little is shown. The best baseline",
        "is the best of all on these very test edges, which flatters it. `pyg-vgae`: PyG's `VGAE` by its own example (32 and 16",
        "wide, learning rate 0.01, 200 epochs, its own loss), with features or the identity, whichever was better on validation.",
        "",
        *base_rate_lines(tables[BASE_RATE]),
    ]
    for name in PROTOCOLS:
        lines += protocol_lines(tables[name])
    lines += cost_lines(list(tables.values()))
    (docs / "models.md").write_text("\n".join(lines) + "\n")


def base_rate_lines(table: Table) -> list[str]:
    if not table.rows:
        return ["## At the base rate", "", "Not measured yet.", ""]
    lines = [
        "## At the base rate",
        "",
        "Test edges against all non-edges, average precision in percent. Training has a budget of 60 s of counted work.",
        "",
        "**Not measured again yet.** These tables are from before baselines had the degree term that the model may have, and before pairs",
        "of nodes that a split cut off were left out ([split credit](split-credit.md)): ratios to the best baseline flatter the model, and",
        "figures of sparse graphs (seal_power, seal_router, skipgnn_dti, bionev_ctd_dda, citeseer) are too high.",
        "",
    ]
    lines += ["| graph | best baseline | " + " | ".join(table.models) + " |", "|---" * (2 + len(table.models)) + "|"]
    for graph in table.graphs:
        splits = table.splits(graph, "baselines")
        best = table.best_baseline(graph, splits)
        cells = ["" if best is None else f"{best[0]} {table.cell(best[1])}"]
        for model in table.models:
            own = table.splits(graph, model)
            cells.append(table.cell(table.values(graph, model, own)) if own else "")
        lines.append(f"| {graph} | {' | '.join(cells)} |")
    lines += ["", "`auto` less the best baseline, paired by split:", "", "| graph | difference | |", "|---|---|---|"]
    for graph in table.graphs:
        splits = [split for split in table.splits(graph, AUTO) if (graph, "baselines", split) in table.rows]
        if (best := table.best_baseline(graph, splits)) is not None:
            gap = differences(table.values(graph, AUTO, splits), best[1], test_share=table.test_share)
            said = (
                "one split"
                if gap.low is None
                else "above 0"
                if gap.low > 0
                else "within noise"
                if (gap.high or 0) > 0
                else "below 0"
            )
            lines.append(f"| {graph} | {table.cell(gap.splits)} | {said} |")
    lines += ["", "Geometric means over the graphs where both were measured, of the ratios of average precisions:", ""]
    lines += ["| | measured | wanted | graphs |", "|---|---|---|---|"]
    for said, ratios in ratio_rows(table):
        if ratios:
            mean = math.exp(fmean(math.log(each) for each in ratios))
            least = LEAST[said.partition(":")[0]]
            lines.append(f"| {said} | {mean:.3f} {'' if mean >= least else '(not met)'} | {least:g} | {len(ratios)} |")
    return [*lines, ""]


def ratio_rows(table: Table) -> Iterator[tuple[str, list[float]]]:
    def ratios(ours: str, theirs: str | None) -> list[float]:
        found = []
        for graph in table.graphs:
            splits = table.splits(graph, ours, theirs or "baselines")
            if splits:
                best = table.best_baseline(graph, splits)
                other = table.values(graph, theirs, splits) if theirs else best[1] if best else []
                found.append(fmean(table.values(graph, ours, splits)) / fmean(other))
        return found

    yield "auto / best baseline", ratios(AUTO, None)
    yield "auto / PyG's VGAE", ratios(AUTO, PYG)
    for model in AUTOENCODERS:
        yield f"autoencoder / stack: {model}", ratios(model, STACK)
        yield f"autoencoder / PyG's VGAE: {model}", ratios(model, PYG)


def protocol_lines(table: Table) -> list[str]:
    protocol = PROTOCOLS[table.protocol]
    lines = [f"## `--protocol {protocol.name}`", "", f"{protocol.title}. Differs: {protocol.differs}."]
    if not table.rows:
        return [*lines, "", "Not measured yet.", ""]
    if protocol.name == "ncn":
        lines.append("Pubmed is without node features here; what papers print for it is with them.")
    lines += ["", f"{metric_title(table.metric)}, percent.", ""]
    lines += [
        "| graph | wanted of one | best baseline | " + " | ".join(table.models) + " | papers print |",
        "|---" * (4 + len(table.models)) + "|",
    ]
    for graph in table.graphs:
        target = TARGETS.get((protocol.name, graph))
        best = table.best_baseline(graph, table.splits(graph, "baselines"))
        cells = [
            "" if target is None else f"{100 * target[1]:.1f}",
            "" if best is None else f"{best[0]} {table.cell(best[1])}",
        ]
        for model in table.models:
            own = table.splits(graph, model)
            values = table.values(graph, model, own)
            is_met = bool(own) and None not in values and target is not None and fmean(values) >= target[1]
            cells.append(f"{'**' if is_met else ''}{table.cell(values)}{'**' if is_met else ''}" if own else "")
        lines.append(f"| {graph} | {' | '.join(cells)} | {PUBLISHED.get((protocol.name, graph), '')} |")
    lines += [
        "",
        "Bold: at least what is wanted. Papers: percent, as printed or as others quote them, each under its own draw of splits.",
        "",
    ]
    lines += not_reached_lines(table)
    if protocol.name == "ncn":
        lines += as_published_lines(table)
    if protocol.name == "seal":
        lines += counts_lines(table)
    if "connected_roc_auc" in protocol.metrics:
        lines += [
            "ROC AUC among the pairs whose ends the train edges connect: where many test edges are cut off, the AUC above also",
            "says who can tell that an end has lost its only edge.",
            "",
            "| graph | connected edges | connected non-edges | " + " | ".join(table.models) + " |",
            "|---" * (3 + len(table.models)) + "|",
        ]
        for graph in table.graphs:
            model = next((model for model in table.models if table.splits(graph, model)), None)
            if model is None:
                continue
            own = table.splits(graph, model)
            cells = [
                table.cell(table.values(graph, model, own, name)) for name in ("connected_edges", "connected_non_edges")
            ]
            for each in table.models:
                own = table.splits(graph, each)
                cells.append(table.cell(table.values(graph, each, own, "connected_roc_auc")) if own else "")
            lines.append(f"| {graph} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def not_reached_lines(table: Table) -> list[str]:
    """By how much the best model is short, where every model is."""
    short = []
    for graph in table.graphs:
        metric, target = TARGETS.get((table.protocol, graph), ("", 0.0))
        found = {model: table.values(graph, model, table.splits(graph, model), metric) for model in table.models}
        means = {model: fmean(values) for model, values in found.items() if values and None not in values}
        if means and target and max(means.values()) < target:
            best = max(means, key=lambda model: means[model])
            gap, num = 100 * (target - means[best]), len(found[best])
            short.append(f"{graph} by {gap:.2f} ({best}, {num} {'split' if num == 1 else 'splits'})")
    if not short:
        return []
    tried = " What was tried: [far pairs](far-pairs.md)." if table.protocol == "seal" else ""
    return [f"Not reached: {'; '.join(short)}.{tried}", ""]


def as_published_lines(table: Table) -> list[str]:
    """What the weights and the noise of the paper do to ncn, under its metric and at the base rate."""
    pair, metrics = ("ncn-as-published", "ncn"), (table.metric, "base_rate_average_precision")
    rows, gaps = [], {metric: [] for metric in metrics}
    for graph in table.graphs:
        if splits := table.splits(graph, *pair):
            found = {metric: [table.values(graph, model, splits, metric) for model in pair] for metric in metrics}
            for metric, (published, own) in found.items():
                gaps[metric] += [a - b for a, b in zip(published, own, strict=True)]
            rows.append(f"| {graph} | {' | '.join(table.cell(values) for both in found.values() for values in both)} |")
    if not rows:
        return []
    more, less = sum(gap > 0 for gap in gaps[metrics[0]]), sum(gap < 0 for gap in gaps[metrics[1]])
    return [
        "`ncn-as-published` is `ncn` with `--positive-weight balanced --zeros-per-edge 1 --dropout 0.7`: edges and zeros weigh as",
        "much as each other, as in its paper, with its dropout on the features of cora. Its other rates and widths are ours, and",
        "epochs are chosen by average precision at the base rate. By default every pair weighs the same. The same splits, percent:",
        "",
        "| graph | hits at 100, as published | hits at 100 | AP at the base rate, as published | AP at the base rate |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"As published it has more hits in {more} of {len(gaps[metrics[0]])} splits, and less average precision at the base rate in {less}.",
        "",
    ]


def counts_lines(table: Table) -> list[str]:
    """What needs no training, here and in the paper: whether the protocol is the same."""
    lines = [
        "Counts that the paper defines as we do, here / as printed there. Nothing is trained, so a difference beyond the draw of",
        "splits would be one of the protocol or of the graph:",
        "",
        "| graph | " + " | ".join(COUNTS) + " |",
        "|---" * (1 + len(COUNTS)) + "|",
    ]
    for graph, printed in PUBLISHED_COUNTS.items():
        rows = [table.rows[graph, "baselines", split]["baselines"] for split in table.splits(graph, "baselines")]
        if rows:
            ours = [table.cell([row[name]["metrics"][table.metric] for row in rows]) for name in COUNTS]
            lines.append(
                f"| {graph} | " + " | ".join(f"{a} / {b:.2f}" for a, b in zip(ours, printed, strict=True)) + " |"
            )
    lines += [
        "",
        "seal_ns is here without the 128 isolated nodes of its 1,589, which non-edges of the paper may have as ends: with them",
        "15 % of the non-edges would count nothing, and 93.3 and 62.3 be 94.3 and 68.1.",
    ]
    return [*lines, ""]


def cost_lines(tables: Sequence[Table]) -> list[str]:
    lines = [
        "## Seconds and memory",
        "",
        "![Accuracy against processor seconds, a panel a protocol](models.svg)",
        "",
        "The first metric over that of the best baseline of the same splits, against the seconds of the processor.",
        "One thread; seconds of the processor for the whole unit, reading left out and evaluation included, and the most memory that",
        "its process held, GB. Means over splits.",
        "",
        *budget_lines(tables[0]),
        "| protocol | graph | model | splits | first metric, % | seconds | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for table in tables:
        for graph in table.graphs:
            for model in table.models:
                if splits := table.splits(graph, model):
                    rows = [table.rows[graph, model, split] for split in splits]
                    seconds, memory = (fmean(row[key] for row in rows) for key in ("processor_seconds", "peak_bytes"))
                    lines.append(
                        f"| {table.protocol} | {graph} | {model} | {len(rows)} | {table.cell(table.values(graph, model, splits)).partition(' ')[0]} "
                        f"| {seconds:.1f} | {memory / 1e9:.1f} |"
                    )
    return lines


def budget_lines(table: Table) -> list[str]:
    """How long `auto` trained where nothing else ran on its core, against what it was given."""
    rows = [row for (_, model, _), row in table.rows.items() if model == AUTO]
    alone = [row for row in rows if row["seconds"] <= ALONE * row["processor_seconds"]]
    if not alone:
        return []
    seconds = [row["training_seconds"] for row in alone]
    return [
        f"`auto` is given {TIME_BUDGET:g} s of counted work for training at the base rate. By the clock it trained for "
        f"{max(seconds):.0f} s at most,",
        f"{median(seconds):.0f} s in the middle: {len(alone)} fits of {len({row['graph'] for row in alone})} graphs that had a "
        f"core to themselves (clock at most {ALONE:g} times the processor's",
        f"seconds); the other {len(rows) - len(alone)} shared it, which counted work does not see.",
        "",
    ]


def with_plain_ticks(axis: Axis) -> None:
    """Numbers as people write them, at tens where a log axis is long and at round places where it is short."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator() if high > SHORT_AXIS * low else MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def accuracy_against_time(tables: Sequence[Table]) -> tuple[Figure, str]:
    """The figure and its words: a point a graph and model, seconds and the ratio to the best baseline, log scales."""
    shown = [table for table in tables if table.models] or list(tables[:1])
    figure = Figure(figsize=(8, 2.4 * math.ceil(len(shown) / 2) + 0.8), layout="constrained")
    panels = figure.subplots(math.ceil(len(shown) / 2), 2, squeeze=False).ravel()
    models = list(dict.fromkeys(model for table in shown for model in table.models))
    words = []
    for axes, table in zip(panels, shown, strict=False):
        for place, model in enumerate(models):
            points = []
            for graph in table.graphs:
                splits = [split for split in table.splits(graph, model) if (graph, "baselines", split) in table.rows]
                if splits and (best := table.best_baseline(graph, splits)):
                    seconds = fmean(table.rows[graph, model, split]["processor_seconds"] for split in splits)
                    points.append(
                        (seconds, fmean(v or 0.0 for v in table.values(graph, model, splits)) / fmean(best[1]))
                    )
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, MARKS[place % len(MARKS)], color=COLOURS[place % len(COLOURS)], label=model, alpha=0.8)
                words.append(
                    f"{table.protocol}, {model}: {fmean(x):.3g} s, {math.exp(fmean(map(math.log, y))):.3g} times"
                )
        axes.axhline(1, color="#7A828C", linestyle="--", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            with_plain_ticks(axis)
        axes.set_title(f"{table.protocol}: {metric_title(table.metric)}", fontsize=10)
        axes.set_xlabel("processor seconds", fontsize=9)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    figure.supylabel("times the best baseline", fontsize=10)
    handles = dict(pair for axes in panels for pair in zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=9)
    return figure, "Mean seconds and geometric mean of the ratio to the best baseline. " + "; ".join(words)
