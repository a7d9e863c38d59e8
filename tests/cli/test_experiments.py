"""The commands around experiments, as far as they need no model."""

import json

import pytest

from keras_restpg.cli import main as cli

WORDS = "red blue tall small".split()


@pytest.fixture
def recipe(tmp_path):
    for split in ("train", "val", "test"):
        rows = [
            {
                "author": f"{split} {word}",
                "input": "Write",
                "output": f"it is {word} and {word} again",
                "profile": [{"content": f"so {word}", "summary": "Short"}],
            }
            for word in WORDS
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"topic_{split}.jsonl").write_text(lines)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"[data]\nfolder = {json.dumps(str(tmp_path))}\n"
        '[reward]\nkind = "rouge1"\n[model]\npreset = "scratch"\n'
        '[retrieval]\nmethod = "bm25"\n'
    )
    return path


def test_a_reward_is_checked_on_validation_users(recipe, capsys):
    assert cli.main(["check-judge", str(recipe), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "4 examples, 16 answers" in text
    assert "The reward tells own texts from others'." in text
    # Whatever is written reaches the highest score.
    blind = ["--set", "reward.cutoffs=[0.0, 0.01, 0.02, 0.03]", "--quiet"]
    assert cli.main(["check-judge", str(recipe), *blind]) == 1
    assert "0.50 (one half is a coin)" in capsys.readouterr().out


def test_sizes_are_told_without_a_model(recipe, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["experiment", "stats", "--recipe", str(recipe)]
    assert cli.main([*command, "--out", str(out)]) == 0
    assert "topic" in capsys.readouterr().out
    lines = (out / "stats/stats.csv").read_text().splitlines()
    assert lines[0].startswith("task,split,examples") and len(lines) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "none.toml"], "none.toml"),
        (["--demo", "quick"], "data.folder is not set"),
    ],
)
def test_what_is_missing_is_told(arguments, message, tmp_path, capsys):
    command = ["experiment", "stats", *arguments, "--out", str(tmp_path)]
    assert cli.main(command) == 2
    assert message in capsys.readouterr().err
