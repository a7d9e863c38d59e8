"""Type checkers see the whole package, so all of it is annotated."""

import ast
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "keras_restpg").rglob("*.py"))


def public(body, bound=0):
    """Public functions, and public or special methods of public classes.

    Each beside how many of its arguments are `self` or the class.
    """
    for node in body:
        name = getattr(node, "name", "_")
        if name.startswith("_") and not name.endswith("__"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, bound=1)
        else:
            free = any(
                getattr(each, "id", "") == "staticmethod"
                for each in node.decorator_list
            )
            yield node, 0 if free else bound


def lacking(function, bound):
    """What of a function has no annotation."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    every += [each for each in (given.vararg, given.kwarg) if each]
    names = [each.arg for each in every[bound:] if each.annotation is None]
    return names + ["return"] * (function.returns is None)


@pytest.mark.parametrize(
    "path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_public_functions_are_annotated(path):
    functions = public(ast.parse(path.read_text()).body)
    found = {
        f"{f.lineno}: {f.name}": lacking(f, bound) for f, bound in functions
    }

    assert {name: lacks for name, lacks in found.items() if lacks} == {}


def test_what_lacks_an_annotation_is_found():
    code = "def f(cls) -> int: ...\n"
    code += "class A:\n    def __call__(self, x, *y: int, _z=1): ..."
    function, method = public(ast.parse(code).body)

    assert lacking(*function) == ["cls"]
    assert lacking(*method) == ["x", "_z", "return"]


def test_pyright_checks_the_whole_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pyright = project["tool"]["pyright"]

    assert pyright["include"] == ["keras_restpg"]
    assert "exclude" not in pyright and "ignore" not in pyright
