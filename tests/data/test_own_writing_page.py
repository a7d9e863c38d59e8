"""docs/own_writing.md's commands run as they are printed."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
HERE = f"""
python() {{ {sys.executable} "$@"; }}
keras-restpg() {{ {sys.executable} -m keras_restpg.cli.main "$@"; }}
"""


def test_the_page_runs_as_printed(tmp_path):
    page = ROOT / "docs" / "own_writing.md"
    script = subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme.py", page, "snippets"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", HERE + script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "{'train': 3, 'val': 1, 'test': 1}" in done.stdout
    assert "2024-03-01 2024-03-01.md Day 01" in done.stdout
