"""The backend that a command uses, and what it prints before its own words."""

import json
import os
import re
import subprocess
import sys

import pytest

from keras_restpg.cli import startup
from tests.cli.process import keras_restpg

# What TensorFlow's libraries print while they are loaded, before any setting
# is read. Nothing else may stand on standard error.
_WHILE_LOADING = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\) is called .*"
    r"|I0000 .* port\.cc:\d+\] oneDNN custom operations are on\. .*"
    r"|I0000 .* cudart_stub\.cc:\d+\] Could not find cuda drivers .*"
    r"|normalizer\.cc\(\d+\) LOG\(INFO\) precompiled_charsmap is empty\. .*"
)
_BACKEND = """
from keras_restpg.cli import startup
startup.prepare()
import keras
print(keras.config.backend())
"""


def backend_of(home, **chosen):
    """The backend on a machine where Keras' own file names another one."""
    (home / "keras.json").write_text(json.dumps({"backend": "torch"}))
    kept = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", _BACKEND],
        capture_output=True,
        text=True,
        env={**kept, "KERAS_HOME": str(home), **chosen},
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("chosen", "backend"),
    [
        ({}, "jax"),
        ({"KERAS_BACKEND": ""}, "jax"),
        ({"KERAS_BACKEND": "tensorflow"}, "tensorflow"),
    ],
)
def test_jax_unless_the_environment_says_otherwise(tmp_path, chosen, backend):
    assert backend_of(tmp_path, **chosen) == backend


def test_a_backend_that_does_not_exist_is_named():
    done = keras_restpg("recipe", KERAS_BACKEND="mxnet")
    assert done.returncode == 2
    assert "must be one of jax" in done.stderr


@pytest.mark.parametrize("backend", startup.BACKENDS)
def test_a_command_prints_nothing_of_its_own(tmp_path, backend):
    row = {"id": "1", "input": "x", "output": "a gate"}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    for arguments in (["recipe"], ["judge", path, path, "--quiet"]):
        done = keras_restpg(*arguments, KERAS_BACKEND=backend)
        assert (done.returncode, done.stderr) == (0, "")


RECIPE = """
method = "sft"
[data]
folder = "data"
[model]
preset = "scratch"
vocabulary_size = 400
num_layers = 1
hidden_dim = 32
intermediate_dim = 32
num_heads = 1
head_dim = 8
base_steps = 1
[retrieval]
method = "bm25"
k = 1
[sampling]
max_prompt_tokens = 192
max_new_tokens = 8
[reward]
kind = "rouge1"
[optimizer]
warmup_steps = 1
[training]
steps = 2
batch_size = 2
[evaluation]
validate_every = 2
"""


def small_run(folder):
    """The path of a recipe and the data beside it."""
    (folder / "data").mkdir()
    for split in ("train", "val", "test"):
        rows = [
            {
                "author": f"{split}-{i}",
                "input": "write a thing",
                "output": f"it is {word}",
                "profile": [{"content": f"{word} again", "summary": word}],
            }
            for i, word in enumerate(("warm", "cold", "old", "new"))
        ]
        path = folder / "data" / f"topic_{split}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
    path = folder / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.backend
def test_a_run_prints_its_own_lines_alone(tmp_path):
    recipe = small_run(tmp_path)
    out = tmp_path / "out"
    done = keras_restpg("run", recipe, "--out", out, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [x for x in lines if not _WHILE_LOADING.fullmatch(x)] == []
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        assert "oneDNN" not in done.stderr
