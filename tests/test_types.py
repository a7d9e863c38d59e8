"""The files that type checkers check have annotations to check.

`[tool.pyright]` in pyproject.toml lists them; the list is meant to grow until
it is the package.
"""

import ast
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PYRIGHT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "pyright"
]


def files(paths):
    """The Python files that are, or are in, some paths."""
    for path in map(ROOT.joinpath, paths):
        yield from path.rglob("*.py") if path.is_dir() else [path]


CHECKED = sorted({*files(PYRIGHT["include"])} - {*files(PYRIGHT["exclude"])})


def public(body):
    """Public functions, and public or special methods of public classes."""
    for node in body:
        name = getattr(node, "name", "_")
        if name.startswith("_") and not name.endswith("__"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public(node.body)
        else:
            yield node


def lacking(function):
    """What of a function has no annotation."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    every += [each for each in (given.vararg, given.kwarg) if each]
    names = [each.arg for each in every if each.annotation is None]
    names = [name for name in names if name not in ("self", "cls")]
    return names + ["return"] * (function.returns is None)


@pytest.mark.parametrize(
    "path", CHECKED, ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_public_functions_are_annotated(path):
    functions = public(ast.parse(path.read_text()).body)
    found = {f"{f.lineno}: {f.name}": lacking(f) for f in functions}

    assert {name: lacks for name, lacks in found.items() if lacks} == {}


def test_what_lacks_an_annotation_is_found():
    code = "class A:\n    def __call__(self, x, *y: int, _z=1): ..."
    (method,) = public(ast.parse(code).body)

    assert lacking(method) == ["x", "_z", "return"]


@pytest.mark.parametrize("path", PYRIGHT["include"] + PYRIGHT["exclude"])
def test_listed_paths_exist(path):
    assert (ROOT / path).exists()
