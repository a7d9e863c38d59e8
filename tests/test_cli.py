"""The command line as a user meets it: a child process."""

import json
import os
import subprocess
import sys
import time

import pytest

from keras_restpg import cli, recipe


def keras_restpg(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "keras_restpg.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_help_comes_in_a_second():
    begun = time.monotonic()
    done = keras_restpg("--help")
    assert time.monotonic() - begun < 1.0
    assert done.returncode == 0 and "demo" in done.stdout


def test_the_printed_recipe_is_the_default(tmp_path):
    done = keras_restpg("recipe")
    path = tmp_path / "recipe.toml"
    path.write_text(done.stdout)
    assert recipe.load(path) == recipe.Recipe()


ROW = {
    "author": "a",
    "input": "Write",
    "output": "Text",
    "profile": [{"content": "Old", "summary": "Short"}],
}


def folder_of(tmp_path, text):
    for split in ("train", "val", "test"):
        path = tmp_path / f"topic_{split}.jsonl"
        path.write_bytes(text if split == "train" else json.dumps(ROW).encode())
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "topic_train.jsonl: the file is empty"),
        (b'{"input": "x"\n', "topic_train.jsonl, line 1: not JSON"),
        (b'{"input": "\xff"}', "topic_train.jsonl, line 1: byte 12"),
        (
            json.dumps({**ROW, "profile": []}).encode(),
            "topic_train.jsonl, line 1: the field 'profile'",
        ),
        (
            json.dumps({**ROW, "output": ""}).encode(),
            "topic_train.jsonl, line 1: the field 'output' is empty",
        ),
    ],
)
def test_bad_data_ends_with_one_message(tmp_path, capsys, text, message):
    settings = tmp_path / "recipe.toml"
    settings.write_text("")
    folder = folder_of(tmp_path, text)
    code = cli.main(
        ["run", str(settings), "--set", f"data.folder={folder}"]
        + ["--out", str(tmp_path / "out")]
    )
    assert code == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "none.toml: No such file"),
        (["status", "none"], "holds no run"),
        (["write", "none", "x", "--documents", "none.txt"], "none.txt"),
        (["judge", "none.json", "none.json"], "none.json"),
        (["data", "stats", "none"], "none: there is no such folder"),
        (["contriever", "convert", "none", "x"], "pytorch_model.bin"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trainin.steps=3", "no setting 'trainin'"),
        ("training.steps=0", "training.steps must be at least 1"),
        ("method=rlhf", "must be one of sft"),
        ("data.folder=", "data.folder is not set"),
        ("training.steps", "name=value"),
    ],
)
def test_bad_settings_are_named(tmp_path, capsys, setting, message):
    settings = tmp_path / "recipe.toml"
    settings.write_text("")
    assert cli.main(["run", str(settings), "--set", setting]) == 2
    assert message in capsys.readouterr().err


def test_a_backend_that_does_not_exist_is_named():
    done = keras_restpg("recipe", KERAS_BACKEND="mxnet")
    assert done.returncode == 2
    assert "must be one of jax" in done.stderr


def test_a_preset_that_can_not_be_loaded_is_named(tmp_path, capsys):
    settings = tmp_path / "recipe.toml"
    settings.write_text("")
    folder = folder_of(tmp_path, json.dumps(ROW).encode())
    preset = tmp_path / "no-preset"
    code = cli.main(
        ["run", str(settings), "--out", str(tmp_path / "out"), "--set"]
        + [f"data.folder={folder}", "--set", "retrieval.method=bm25"]
        + ["--set", "reward.kind=rouge1", "--set", f"model.preset={preset}"]
    )
    assert code == 2
    assert "no-preset' can't be loaded" in capsys.readouterr().err
