"""What each command does, and how it answers what does not fit."""

import json
import os
import pathlib
import subprocess
import sys

import keras_hub
import pytest

from keras_restpg import prompts
from keras_restpg.cli import main as cli
from keras_restpg.rewards import LLMJudge
from keras_restpg.run import recipe
from tests.cli.process import keras_restpg
from tests.rewards import judges
from tests.rewards.records import example


def test_the_printed_recipe_is_the_default(tmp_path):
    done = keras_restpg("recipe")
    path = tmp_path / "recipe.toml"
    path.write_text(done.stdout)
    assert recipe.load(path) == recipe.Recipe()


ROOT = pathlib.Path(__file__).parents[2]
REFERENCES = [
    {"id": "1", "input": "x", "output": "the old garden gate", "task": "a"},
    {"id": "2", "input": "x", "output": "a train", "task": "b"},
]
OUTPUTS = [
    {"id": "1", "output": prompts.join_output("old gate", "the old gate")},
    {"id": "2", "output": "a train"},  # Has no final answer.
]
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


_WITHOUT_KERAS = """
import sys
from keras_restpg.cli.main import main
code = main(sys.argv[1:])
sys.exit("Keras was imported" if "keras" in sys.modules else code)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "none.toml: No such file"),
        (["run", "empty.toml", "--set", "trainin.steps=3"], "no 'trainin'"),
        (["run", "empty.toml"], "data.folder is not set"),
        (["run", "empty.toml", "--set", "data.folder=no"], "no: there is no"),
        (
            ["run", "empty.toml", "--set", "data.folder=.", "--out", "file"],
            "file is a file",
        ),
        (
            ["run", "empty.toml", "--set", "data.folder=."]
            + ["model.preset=./no"],
            "./no: there is no such folder",
        ),
        (
            ["run", "empty.toml", "--set", "data.folder=."]
            + ["retrieval.preset=./no"],
            "./no: there is no such folder",
        ),
        (["status", "none"], "holds no run"),
        (["status", "."], "holds no run"),
        (["write", ".", "x", "--documents", "none.txt"], "none.txt"),
        (["write", "none", "x", "--documents", "file.txt"], "no finished run"),
        (["write", ".", "x", "--documents", "file.txt"], "no finished run"),
        (["judge", "none.json", "r.jsonl"], "none.json"),
        (["judge", "r.jsonl", "none.json", "--preset", "x"], "none.json"),
        (["judge", "r.jsonl", "r.jsonl", "--preset", "/no/x"], "/no/x: there"),
        (["judge", "r.jsonl", "r.jsonl", "--out", "."], "is a folder"),
        (["data", "stats", "none"], "none: there is no such folder"),
        (["contriever", "convert", "none", "x"], "none: there is no"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_what_is_wrong_is_said_without_loading_keras(
    tmp_path, arguments, message
):
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / "file.txt").write_text("a text")
    (tmp_path / "r.jsonl").write_text(json.dumps(REFERENCES[0]))
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_KERAS, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert message in done.stderr
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trainin.steps=3", "no 'trainin'"),
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


# Three of four words in two chunks: METEOR is 10PR / (R + 9P) (1 - (2/3)^3 / 2)
METEOR = 7.5 / 9.75 * (1 - 4 / 27)
OVERLAP = {"rouge1": 6 / 7, "rougeL": 6 / 7, "meteor": METEOR}


def judge_command(tmp_path, *options):
    files = {"predictions.jsonl": OUTPUTS, "references.jsonl": REFERENCES}
    for name, rows in files.items():
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    paths = [str(tmp_path / name) for name in (*files, "scores.jsonl")]
    return ["judge", *paths[:2], "--reasoning", "--out", paths[2], *options]


def judged(tmp_path, capsys, *options):
    """The printed table, `{task: {column: text}}`, and the written rows."""
    assert cli.main(judge_command(tmp_path, *options)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "1 of 2 outputs have no final answer" in printed.pop()
    (_, *head), _, *lines = map(str.split, printed)
    table = {task: dict(zip(head, row, strict=True)) for task, *row in lines}
    written = (tmp_path / "scores.jsonl").read_text().splitlines()
    return table, list(map(json.loads, written))


def test_predictions_are_judged_by_overlap(tmp_path, capsys):
    table, rows = judged(tmp_path, capsys)
    first = {name: f"{value:.4f}" for name, value in OVERLAP.items()}
    half = {name: f"{value / 2:.4f}" for name, value in OVERLAP.items()}
    assert table == {
        "a": first | {"count": "1"},
        "b": dict.fromkeys(OVERLAP, "0.0000") | {"count": "1"},
        "all": half | {"count": "2"},
    }
    assert [(row.pop("id"), row.pop("task")) for row in rows] == [
        ("1", "a"),
        ("2", "b"),
    ]
    assert rows == [pytest.approx(OVERLAP), dict.fromkeys(OVERLAP, 0.0)]


def test_predictions_are_judged_by_a_preset(tmp_path, capsys):
    causal_lm, tokens = judges.gemma1()
    preset = str(tmp_path / "preset")
    preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(tokens)
    keras_hub.models.GemmaCausalLM(
        causal_lm.backbone, preprocessor
    ).save_to_preset(preset)
    table, rows = judged(tmp_path, capsys, "--preset", preset)
    judge = LLMJudge.from_preset(preset, "bfloat16")
    asked = example(prompt="x", expected="the old garden gate")
    (expected,) = judge.judge([asked], ["the old gate"])
    assert table["a"]["judge"] == f"{expected.score:.4f}"
    assert table["all"]["judge"] == f"{expected.score / 2:.4f}"
    assert float(table["a"]["meteor"]) == pytest.approx(METEOR, abs=1e-4)
    assert rows[0]["judge"] == expected.score
    assert tuple(rows[0]["probabilities"]) == expected.probabilities
    assert rows[0]["expected_score"] == expected.expected_score
    assert rows[1]["judge"] == 0
    assert rows[1]["reason"] == "no final answer"


def test_a_file_that_can_not_be_written_is_named(tmp_path, capsys):
    (tmp_path / "scores.jsonl").mkdir()
    assert cli.main(judge_command(tmp_path)) == 2
    assert "scores.jsonl" in capsys.readouterr().err


def test_a_preset_that_can_not_be_loaded_is_named(tmp_path, capsys):
    settings = tmp_path / "recipe.toml"
    settings.write_text("")
    folder = folder_of(tmp_path, json.dumps(ROW).encode())
    preset = tmp_path / "no-preset"
    preset.mkdir()
    code = cli.main(
        ["run", str(settings), "--out", str(tmp_path / "out"), "--set"]
        + [f"data.folder={folder}", "--set", "retrieval.method=bm25"]
        + ["--set", "reward.kind=rouge1", "--set", f"model.preset={preset}"]
    )
    assert code == 2
    assert "no-preset' can't be loaded" in capsys.readouterr().err


def test_a_home_folder_is_meant_by_its_sign(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    command = judge_command(tmp_path)
    short = [each.replace(str(tmp_path), "~") for each in command]
    assert any(each.startswith("~/") for each in short)
    assert cli.main(short) == 0
    assert (tmp_path / "scores.jsonl").exists()


def test_control_characters_of_a_file_are_escaped(tmp_path, capsys):
    evil = "a\x1b[2J\u202eb"
    row = {"id": "1", "input": "x", "output": "gate", "task": evil}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    assert cli.main(["judge", str(path), str(path)]) == 0
    table = capsys.readouterr().out
    assert "a\\x1b[2J\\u202eb" in table and "\x1b" not in table
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"output": "gate", evil: 1}))
    assert cli.main(["judge", str(other), str(path)]) == 2
    message = capsys.readouterr().err
    assert "a\\x1b[2J" in message and "\x1b" not in message
