"""Data goes one way: a room imports only from rooms to its left."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "keras_restpg"
# What every room may import.
COMMON = {
    "_lazy",
    "_version",
    "backend",
    "errors",
    "progress",
    "environment",
    "identity",
    "settings",
    "records",
    "store",
    "tables",
}
ROOMS = [
    "data",
    "prompts",
    "model",
    "retrieval",
    "rewards",
    "reasoning",
    "training",
    "self_training",
    "evaluation",
    "run",
    "demo",
    "cli",
]
BACKENDS = {"jax", "jaxlib", "tensorflow", "torch"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room(path):
    name = path.relative_to(PACKAGE).parts[0]
    return name.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.name))
def test_a_room_imports_only_from_its_left(path):
    here = room(path)
    if here == "__init__":
        return
    for module in imported(path):
        parts = module.split(".")
        if parts[0] != "keras_restpg" or len(parts) < 2:
            continue
        there = parts[1]
        if here in COMMON:
            assert there in COMMON, f"{path.name} imports {module}"
        elif there not in COMMON:
            assert there in ROOMS, f"{path.name} imports {module}"
            left = ROOMS.index(there) <= ROOMS.index(here)
            assert left, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.name))
def test_backends_are_imported_in_their_room_alone(path):
    if room(path) == "backend":
        return
    used = {module.split(".")[0] for module in imported(path)} & BACKENDS
    # Reading PyTorch's own file format needs PyTorch.
    if path.name == "contriever.py":
        used -= {"torch"}
    assert not used


def test_importing_the_package_loads_no_backend():
    code = (
        "import sys, keras_restpg, keras_restpg.cli.main\n"
        "heavy = {'jax', 'tensorflow', 'torch', 'keras', 'numpy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_every_public_name_exists():
    import keras_restpg

    for name in keras_restpg.__all__:
        assert getattr(keras_restpg, name) is not None
