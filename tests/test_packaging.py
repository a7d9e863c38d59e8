"""The wheel holds the checkout's files; requirements are what is imported."""

import ast
import configparser
import importlib.util
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "keras_restpg"

# Required and not imported by the package itself.
NOT_IMPORTED = {
    "tensorflow-text": "KerasHub's tokenizers need it",
}
# Where a distribution's module has another name.
MODULES = {
    "faiss-cpu": "faiss",
    "keras-hub": "keras_hub",
    "ml-dtypes": "ml_dtypes",
    "python-docx": "docx",
    "rouge-score": "rouge_score",
}


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wheel = load_script("wheel")


@pytest.fixture
def sources(tmp_path):
    """What the package is built from, in a folder that a test may change."""
    folder = tmp_path / "source"
    wheel.copy_sources(folder)
    return folder


def compare(sources, folder):
    wanted = wheel.of_folder(sources)
    built = wheel.build_wheel(sources, folder, "--no-build-isolation")
    return wheel.difference(wheel.contents(built), wanted)


def test_the_wheel_holds_every_file_of_the_checkout(sources, tmp_path):
    template = sources / "keras_restpg/evaluation/page.html.j2"
    template.write_text("{{ title }}")

    assert compare(sources, tmp_path) == []


def test_a_room_without_init_is_missed(sources, tmp_path):
    (sources / "keras_restpg/model/__init__.py").unlink()

    lost = compare(sources, tmp_path)

    assert "missing: keras_restpg/model/prefix.py" in lost


def requirements():
    """Names of distributions: those required, and those of any extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    def names(text):
        lines = text.strip().splitlines()
        return {re.match(r"[\w-]+", line.strip()).group() for line in lines}

    extras = config["options.extras_require"].items()
    return names(config["options"]["install_requires"]), set().union(
        *(names(text) for extra, text in extras if extra != "dev")
    )


def imported():
    """Top-level modules, not Python's own, that the package imports."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module)
    found = {name.split(".")[0] for name in found}
    return found - set(sys.stdlib_module_names) - {"keras_restpg"}


def test_what_is_imported_is_required():
    required, optional = requirements()
    known = {MODULES.get(name, name) for name in required | optional}

    assert imported() - known == set()


def test_what_is_required_is_imported():
    required, _ = requirements()
    modules = imported()
    used = {name for name in required if MODULES.get(name, name) in modules}

    assert required - used == set(NOT_IMPORTED)
