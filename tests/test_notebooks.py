"""The notebooks are kept as they were run: whole, and with no error."""

import importlib.util
import json
import pathlib
import re

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Folders of one machine, and what should not have been said.
MACHINE = re.compile(
    r"(?<![\w.:/])(/home|/root|/tmp|/work|/Users|/mnt)\b|[A-Z]:\\\\Users"
)
WARNING = re.compile(r"warning|traceback|deprecated", re.IGNORECASE)


def load_script():
    path = ROOT / ".ci/notebooks.py"
    spec = importlib.util.spec_from_file_location("notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook):
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks_and_each_has_a_small_form():
    assert {path.stem for path in NOTEBOOKS} == set(load_script().SMALL)


def test_it_is_valid_and_was_run_from_top_to_bottom(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]

    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    assert any(
        output.output_type == "display_data" for output in outputs(notebook)
    )


def test_its_outputs_hold_no_error_and_no_warning(notebook):
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert not WARNING.search(json.dumps(output.get("text", "")))


def test_it_names_no_folder_of_a_machine(notebook):
    assert not MACHINE.search(nbformat.writes(notebook))


def test_the_small_form_sets_names_of_the_parameters_cell(notebook, request):
    """A name that is not there would change nothing."""
    stem = request.node.callspec.id
    small = load_script().SMALL[stem]
    cells = load_script().shortened(notebook, small).cells
    place = next(i for i, cell in enumerate(cells) if cell.source == small)

    for name in small.partition("=")[0].split(","):
        assert re.search(rf"\b{name.strip()}\b.*=", cells[place - 1].source)
