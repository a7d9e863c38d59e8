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
    "_types",
    "_version",
    "backend",
    "decoding",
    "errors",
    "progress",
    "environment",
    "identity",
    "settings",
    "records",
    "seeds",
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
    with pytest.raises(AttributeError, match="no attribute 'Adafactor'"):
        _ = keras_restpg.Adafactor


LAZY = [
    path
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if "_lazy" in path.read_text()
]


def tables(path):
    """What an `__init__` loads on first use, and what type checkers see.

    Both as `{public name: the module that it comes from}`.
    """
    package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_PUBLIC":
            lazy = {
                name: package if name == module else f"{package}.{module}"
                for name, module in ast.literal_eval(node.value).items()
            }
        elif isinstance(node, ast.If) and node.test.id == "TYPE_CHECKING":
            # `as` makes a name public in a package with `py.typed`.
            seen = {
                alias.asname: line.module
                for line in node.body
                for alias in line.names
                if alias.asname == alias.name
            }
    return lazy, seen


def test_five_packages_load_names_on_first_use():
    rooms = [path.parent.name for path in LAZY]
    wanted = ["data", "evaluation", "keras_restpg", "retrieval", "rewards"]
    assert sorted(rooms) == wanted


@pytest.mark.parametrize("path", LAZY, ids=lambda p: p.parent.name)
def test_type_checkers_see_the_names_that_load_on_first_use(path):
    lazy, seen = tables(path)
    assert seen == lazy
