"""The notebooks: each runs from its first cell to its last, and prints what is stored in it.

Notebooks are stored with their outputs, so that the pages and a code host show the figures without running anything. Numbers
may differ as on the other pages (see test_docs.py). Where a cell says that other digits may come out elsewhere, it prints small
counts or the order of a list, in which one rounding of another processor can change a whole number: there only the words
have to be the same. Of a picture it is only asked that it is there.

To run notebooks and store what they print: python tests/test_notebooks.py NOTEBOOK.ipynb ...
"""

import base64
import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pytest
from nbclient import NotebookClient

import linkodds

_SPEC = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("test_docs.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
pages = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(pages)

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
OTHER_DIGITS = "# Other processors may print other digits here."
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUIET = {
    "PYTHONPATH": str(Path(linkodds.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


def executed(path: Path, folder: Path) -> Any:
    """The notebook with new outputs, run in a folder of its own."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with mock.patch.dict(os.environ, QUIET):
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def said(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def same(before: Any, now: Any) -> bool:
    """Whether a cell prints what is stored, or the same words where it says so."""
    if OTHER_DIGITS in now.source:
        return worded(said(before)) == worded(said(now))
    return bool(pages.same(said(before), said(now)))


def worded(text: str) -> str:
    """The text with # for every number, however long."""
    return re.sub(r"[ ]*[\d][\d,.]*", " #", text)


def pictures(cell: Any) -> list[bytes]:
    return [
        base64.b64decode(output.data["image/png"])
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result") and "image/png" in output.data
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter packages among themselves
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_is_stored(path: Path, tmp_path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    for before, now in zip(stored.cells, executed(path, tmp_path).cells, strict=True):
        if now.cell_type == "code":
            assert same(before, now), f"{path.name}: it prints\n{said(now)}\nand not\n{said(before)}"
            assert len(pictures(before)) == len(pictures(now))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_pictures_and_without_traces_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    drawn = [picture for cell in code for picture in pictures(cell)]
    assert len(drawn) >= 2
    assert path.stat().st_size < 500_000
    for cell in code:
        assert not [output for output in cell.outputs if output.output_type == "error"]
        assert not [output for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]
        assert cell.execution_count is None
        assert not cell.metadata
    assert "/tmp/" not in path.read_text(encoding="utf-8")


def test_numbers_are_compared_but_where_a_cell_says_that_they_differ() -> None:
    def cell(source: str, text: str) -> Any:
        return nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=text)])

    loose, strict = f"{OTHER_DIGITS}\nprint(x)", "print(x)"
    assert same(cell(strict, "8 of the 20, 0.500"), cell(strict, "8 of the 20, 0.501"))
    assert not same(cell(strict, "8 of the 20"), cell(strict, "7 of the 20"))
    assert same(cell(loose, "P0030 P0150 0.48: 8 shared"), cell(loose, "P0117 P0011 0.47: 10 shared"))
    assert not same(cell(loose, "8 of the 20"), cell(loose, "none of the 20"))


def test_the_four_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["drugs", "own-encoder", "proteins", "thread"]


def store(path: Path) -> None:
    """Run a notebook and keep what it prints and draws: no times, no counts of executions."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(path, Path(folder))
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [each for each in cell.outputs if "image/png" in each.get("data", {}) or each.get("name")]
            for output in cell.outputs:
                if "data" in output:
                    output.data = {"image/png": output.data["image/png"]}
                    output.metadata = {}
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        store(Path(argument))
