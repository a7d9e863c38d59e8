"""From settings to parts: what a recipe says reaches the part it names."""

import json

import pytest

from keras_restpg.errors import InputError
from keras_restpg.progress import Progress
from keras_restpg.rewards.http_settings import Connection, Request
from keras_restpg.run import build
from keras_restpg.run.recipe import Recipe


def recipe(*settings):
    return Recipe().with_settings(settings)


def test_a_judge_on_a_server(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_RESTPG_API_KEY", "a-key")
    made = recipe(
        *("reward.kind=http", "reward.url=http://h/v1", "reward.model=m"),
        *("reward.logprobs=false", "reward.concurrency=3"),
        "reward.extra_body={seed=7}",
    )
    judge = build.make_reward(made, tmp_path)
    assert judge.request == Request(logprobs=False, extra_body={"seed": 7})
    assert judge.client.connection == Connection(concurrency=3)
    assert judge.client.url == "http://h/v1/chat/completions"
    assert (tmp_path / "replies.sqlite3").exists()
    with pytest.raises(InputError, match="needs reward.url"):
        build.make_reward(recipe("reward.kind=http"))


def test_rouges_tokenizer():
    made = recipe("reward.kind=rouge1", "reward.tokenizer=words")
    assert build.make_reward(made).get_config()["tokenizer"] == "words"


def test_dates_are_read_as_the_recipe_says(tmp_path):
    profile = [
        {"title": "t", "abstract": "a", "year": date}
        for date in ("03/04/2020", "01/05/2020")
    ]
    row = {"name": "n", "input": "i", "output": "o", "profile": profile}
    for split in ("train", "val", "test"):
        (tmp_path / f"abstract_{split}.jsonl").write_text(json.dumps(row))
    settings = [f"data.folder={tmp_path}", "retrieval.method=most_recent"]
    with pytest.raises(InputError, match="line 1.*03/04/2020"):
        build.load_splits(recipe(*settings), Progress(quiet=True))
    made = recipe(*settings, "data.date_format=%d/%m/%Y")
    splits = build.load_splits(made, Progress(quiet=True))
    ((found, _),) = build.make_retriever(made).retrieve(splits["train"], k=2)
    assert found.date == "01/05/2020"
