"""The README and the pages of docs/ say what there is."""

import importlib
import pathlib
import re

import pytest

from keras_restpg import __version__
from keras_restpg.cli.main import main
from keras_restpg.run.recipe import Recipe

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("", "data", "evaluation", "reasoning", "retrieval", "rewards")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def public(room):
    """Names of a package, without the rooms that are names of another."""
    package = importlib.import_module(f"keras_restpg.{room}".rstrip("."))
    names = set(package.__all__) - {"__version__", "prompts", "records"}
    return names - set(ROOMS)


def test_the_readme_is_short():
    assert len(text("README.md").splitlines()) < 200


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text(page))
    missing = [
        link
        for link in links
        if "://" not in link and not (ROOT / link).is_file()
    ]
    assert missing == []


def test_recipes_shows_every_setting():
    found = re.search(
        "<!-- recipe -->\n```toml\n(.*?)```", text("docs/recipes.md"), re.S
    )
    assert found
    assert found[1] == Recipe().to_toml(), (
        "Put what `keras-restpg recipe` prints into docs/recipes.md."
    )


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room):
    pages = "".join(p.read_text() for p in (ROOT / "docs/api").glob("*.md"))
    named = set(re.findall(r"^::: [\w.]*\.(\w+)$|`(\w+)`", pages, re.M))
    assert public(room) <= {name for pair in named for name in pair}


def test_every_command_is_in_the_table(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(
        r"^    ([\w-]+)(?:\s|$)", capsys.readouterr().out, re.M
    )
    told = re.findall(r"^\| `([\w-]+)", text("docs/commands.md"), re.M)
    assert set(told) - {"keras-restpg"} == set(commands)


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in text("CITATION.cff")
