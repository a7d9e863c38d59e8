"""The recipes of docs/judge_servers.md ask as their servers take it."""

import dataclasses
import pathlib
import re
import tomllib
import urllib.parse

import pytest

from keras_restpg.run import recipe
from keras_restpg.run.server import API_KEY, http_judge
from tests.rewards.forms import FORMS
from tests.rewards.servers import EXAMPLE, Server

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs/judge_servers.md").read_text()
SECTIONS = [part.split("\n", 1) for part in TEXT.split("\n## ")[1:]]
RECIPES = [
    (name, block)
    for name, text in SECTIONS
    for block in re.findall("```toml\n(.*?)```", text, re.DOTALL)
]


def test_all_servers_are_documented():
    assert [name for name, _ in SECTIONS] == list(FORMS)
    assert {name for name, _ in RECIPES} == set(FORMS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "block"), RECIPES)
def test_what_is_documented_is_what_the_server_takes(name, block, monkeypatch):
    monkeypatch.setenv(API_KEY, "a-key")
    address, header, taken, reply = FORMS[name]
    settings = recipe.from_dict(tomllib.loads(block)).reward
    host = urllib.parse.urlsplit(settings.url).netloc
    with Server((200, reply)) as server:
        here = server.url.removeprefix("http://")
        url = f"http://{settings.url.partition('://')[2]}"
        asked = dataclasses.replace(settings, url=url.replace(host, here, 1))
        found = http_judge(asked).judge([EXAMPLE], ["an answer"])[0]
    (path, body), sent = server.requests[0], server.headers[0]
    assert host + path == address
    assert sent[header] in ("a-key", "Bearer a-key")
    assert set(body) <= taken
    assert found.score == 0.7
    assert (found.probabilities is not None) == settings.logprobs
    if settings.logprobs:
        assert found.probabilities[3] == pytest.approx(0.6)
