"""Runs the notebooks, each in a kernel and an empty folder of its own.

python notebooks.py keep NOTEBOOK…     as they are; their outputs are kept
python notebooks.py check NOTEBOOK…    in a small form; their files stay as
                                       they are
"""

import os
import pathlib
import sys
import tempfile

import nbclient
import nbformat

# What the small form puts after the cell with the tag `parameters`.
SMALL = {
    "quickstart": "users, base_steps, steps = (64, 8, 8), 20, 8",
    "own_writing": "base_steps, steps = 10, 6",
}
# Seconds of a cell.
LONGEST = 600


def shortened(notebook, parameters):
    """The notebook with other parameters."""
    places = [
        place
        for place, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    ]
    notebook.cells.insert(places[0] + 1, nbformat.v4.new_code_cell(parameters))
    return notebook


def execute(notebook):
    """Runs all cells; ends with the first error."""
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(
            notebook,
            timeout=LONGEST,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            # What libraries in C say of this machine is no cell's output.
            extra_arguments=["--IPKernelApp.capture_fd_output=False"],
        ).execute()


def main(way, paths):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    for path in map(pathlib.Path, paths):
        print(f"--- {path}", flush=True)
        notebook = nbformat.read(path, as_version=4)
        if way == "check":
            execute(shortened(notebook, SMALL[path.stem]))
        else:
            execute(notebook)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [("keep" | "check") as way, *paths] if paths:
            main(way, paths)
        case _:
            sys.exit(__doc__)
