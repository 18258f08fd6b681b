"""Lists of new links: restricted, interrupted and gone on with, in every format."""

import json
from pathlib import Path

import networkx as nx
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import MalformedFile, OptionError, RunError, UnknownNode
from linkodds.fitting.pipeline import fit_graph
from linkodds.links.inference import find_links, find_run, link_table
from linkodds.links.link_files import partial_path
from linkodds.links.link_search import ALL_PAIRS, LinkSearch, Scope
from linkodds.runs.missing_links import MissingLinksAssumption


@pytest.fixture(scope="module")
def run(communities):
    return fit_graph(communities, FitConfig(model="gae", hidden=8, dim=4, epochs=3, threads=1))


def listed(links: pl.DataFrame) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in links.select("source", "target").iter_rows()}


def test_a_search_that_was_interrupted_leaves_its_best_and_goes_on_from_there(communities, tmp_path):
    run = fit_graph(communities, FitConfig(model="adamic-adar", threads=1))  # no step can be skipped
    whole = find_links(run, MissingLinksAssumption().deployment(run), top=30)
    partial, deployment = tmp_path / "links.csv.partial", MissingLinksAssumption().deployment(run)

    def table(found):
        return link_table(run, found, deployment)

    calls = []

    def interrupt(share):
        calls.append(share)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LinkSearch(run, ALL_PAIRS, top=30, threshold=None, max_cells=400).run_to_end(partial, table, interrupt)
    first, _, rest = partial.read_text().split("\n", 2)
    assert first.startswith("# unfinished: ")
    assert "--resume" in first
    so_far = pl.read_csv(rest.encode())
    assert 0 < len(so_far) <= 30
    assert so_far.columns == whole.columns
    resumed = LinkSearch(run, ALL_PAIRS, top=30, threshold=None, max_cells=400)
    resumed.resume(partial)
    again = []
    assert table(resumed.run_to_end(partial, table, again.append)).equals(whole)
    everything = []
    LinkSearch(run, ALL_PAIRS, top=30, threshold=None, max_cells=400).run_to_end(None, None, everything.append)
    assert len(again) == len(everything) - 3  # what was done is not done again
    with pytest.raises(RunError, match="another run or other options"):
        LinkSearch(run, ALL_PAIRS, top=31, threshold=None, max_cells=400).resume(partial)
    (tmp_path / "odd").write_text("source,target\n")
    with pytest.raises(MalformedFile, match="no list of an unfinished search"):
        LinkSearch(run, ALL_PAIRS, top=30, threshold=None).resume(tmp_path / "odd")


def test_the_files_hold_the_same_links(run, tmp_path):
    whole = find_links(run, MissingLinksAssumption().deployment(run), top=10)
    for suffix in ("csv", "jsonl", "graphml"):
        said = []
        find_run(run, tmp_path / f"links.{suffix}", top=10, on_start=said.append)
        assert said[0].startswith(f"{run.split.space.num_pairs:,} pairs: at most about")
    assert not list(tmp_path.glob("*.partial"))
    rows = [json.loads(line) for line in (tmp_path / "links.jsonl").read_text().splitlines()]
    assert rows == whole.to_dicts()
    graph = nx.read_graphml(tmp_path / "links.graphml")
    edges = {frozenset((u, v)): data["logit"] for u, v, data in graph.edges(data=True)}
    assert not graph.is_directed()  # as the run's graph is
    assert edges == {frozenset((row["source"], row["target"])): row["logit"] for row in whole.to_dicts()}


def test_interrupted_while_writing_it_leaves_the_list_and_the_notes_of_before(run, tmp_path, monkeypatch):
    out, held = tmp_path / "links.csv", Path.write_bytes

    def interrupt(path, *given):
        if path.name == "links.csv.new":
            held(path, b"source,tar")
            raise KeyboardInterrupt
        return held(path, *given)

    for before in (False, True):
        if before:
            find_run(run, out, top=10)
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert set(files) == ({"links.csv", "links.csv.json"} if before else set())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", interrupt)
            with pytest.raises(KeyboardInterrupt):
                find_run(run, out, top=3)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_restricted_lists_hold_what_is_asked_for_and_all_of_it(run, communities, tmp_path):
    deployment = MissingLinksAssumption().deployment(run)
    everything = find_links(run, deployment, top=20_000)
    (tmp_path / "some.txt").write_text("node3\nnode77\n")
    some = {"node3", "node77"}
    from_some = find_links(run, deployment, top=20_000, scope=Scope(from_nodes=tmp_path / "some.txt"))
    assert listed(from_some) == {pair for pair in listed(everything) if pair & some}
    between = find_links(run, deployment, top=9, scope=Scope(["node3", "node77"], ["node3", "node77"]))
    assert listed(between) <= {frozenset(some)}
    graph = nx.Graph([tuple(communities.ids[edge]) for edge in communities.edges])
    near = find_links(run, deployment, top=20_000, scope=Scope(within_hops=2))
    apart = {pair for pair in listed(everything) if set(pair) <= set(graph) and nx.has_path(graph, *pair)}
    assert listed(near) == {pair for pair in apart if nx.shortest_path_length(graph, *pair) <= 2}
    each = find_links(run, deployment, scope=Scope(per_node=2))
    assert len(each) == 2 * communities.num_nodes
    assert each["source"].unique_counts().to_list() == [2] * communities.num_nodes
    best = everything.filter((pl.col("source") == "node3") | (pl.col("target") == "node3"))[:2]
    assert listed(each.filter(pl.col("source") == "node3")) == listed(best)


def test_the_evidence_names_the_distance_and_what_baselines_say(run, communities):
    links = find_links(run, MissingLinksAssumption().deployment(run), top=40)
    graph = nx.Graph([tuple(communities.ids[edge]) for edge in communities.edges])
    for row in links.to_dicts():
        hops = nx.shortest_path_length(graph, row["source"], row["target"])
        assert f"; distance {hops}; " in row["evidence"] or (hops > 3 and "distance above 3" in row["evidence"])
        assert "at or above it by degree " in row["evidence"]


def test_refusals(run, tmp_path):
    with pytest.raises(UnknownNode, match=r"--from-nodes: 1 of 2 ids .*'nobody'"):
        find_links(run, MissingLinksAssumption().deployment(run), top=3, scope=Scope(["node1", "nobody"]))
    with pytest.raises(OptionError, match="--within-hops takes 2 or more"):
        find_links(run, MissingLinksAssumption().deployment(run), top=3, scope=Scope(within_hops=1))
    with pytest.raises(OptionError, match="--per-node says how many"):
        find_links(run, MissingLinksAssumption().deployment(run), top=3, scope=Scope(per_node=2))
    with pytest.raises(RunError, match=r"there is no .*links.csv.partial"):
        find_run(run, tmp_path / "links.csv", top=3, resume=True)
    assert partial_path(tmp_path / "links.csv") == tmp_path / "links.csv.partial"
    assert not list(tmp_path.iterdir())
