"""Faults from outside, met by the real command line in a child process."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.rewards.test_http import SEVEN, Server
from tests.self_training.test_callback import outcome

WORDS = "warm cold old new red blue tall small".split()
SETTINGS = {
    "method": "rest-em",
    "iterations": 1,
    "model.preset": "scratch",
    "model.vocabulary_size": 500,
    "model.num_layers": 1,
    "model.hidden_dim": 32,
    "model.intermediate_dim": 32,
    "model.num_heads": 1,
    "model.head_dim": 8,
    "model.base_steps": 10,
    "retrieval.method": "bm25",
    "retrieval.k": 1,
    "sampling.num_samples": 4,
    "sampling.max_prompt_tokens": 192,
    "sampling.max_new_tokens": 16,
    "reward.kind": "rouge1",
    "selection.tau": 0.1,
    "selection.on_empty": "lower_tau",
    "training.steps": 40,
    "optimizer.warmup_steps": 2,
    "training.batch_size": 16,
    "optimizer.learning_rate": 0.01,
    "training.save_every": 10,
    "evaluation.validate_every": 20,
}


@pytest.fixture
def command(tmp_path):
    """Arguments of a run of a recipe on some writing."""
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        rows = [
            {
                "author": f"{split}-{i}",
                "input": f"write about {WORDS[(i + 3) % 8]}",
                "output": f"it is {WORDS[i % 8]}",
                "profile": [{"summary": "x", "content": WORDS[i % 8]}],
            }
            for i in range(count)
        ]
        text = "\n".join(map(json.dumps, rows))
        (data / f"topic_{split}.jsonl").write_text(text)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    values = {**SETTINGS, "data.folder": str(data)}
    sets = [f"--set={name}={value}" for name, value in values.items()]
    return ["run", str(recipe), *sets]


def start(arguments, out):
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "keras_restpg.cli.main"),
            *arguments,
            f"--out={out}",
            "--log-json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )


def finish(arguments, out):
    with start(arguments, out) as child:
        _, error = child.communicate(timeout=600)
    return child.returncode, error


@pytest.fixture
def whole(command, tmp_path):
    """The files of a run that nothing befell."""
    code, error = finish(command, tmp_path / "whole")
    assert code == 0, error
    return kept(tmp_path / "whole")


def kept(out):
    parts = ("samples", "scores", "weights", "state.json", "/test/")
    return {
        name: value
        for name, value in outcome(out).items()
        if any(part in name for part in parts)
    }


def wait_for(path, child):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(
    command, whole, tmp_path
):
    out = tmp_path / "stopped"
    with start(command, out) as child:
        wait_for(out / "state.json", child)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=300)
    assert child.returncode == 130, error
    assert "what was saved is kept" in error and "keras-restpg run" in error
    assert f"--out={out}" in error and "Traceback" not in error
    code, error = finish(command, out)
    assert code == 0, error
    assert kept(out) == whole


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of `size` that is grown at the end of the block."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("file systems can't be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_a_full_disk_stops_with_a_message_and_goes_on_with_more(
    command, whole, tmp_path, share
):
    needed = sum(
        path.stat().st_size
        for path in (tmp_path / "whole").rglob("*")
        if path.is_file()
    )
    disk = tmp_path / "disk"
    with small_disk(disk, int(share * needed)):
        code, error = finish(command, disk / "run")
        assert code == 2, error
        assert "Make space" in error and "Traceback" not in error
        grow = ["mount", "-o", f"remount,size={4 * needed}", disk]
        subprocess.run(grow, check=True)
        code, error = finish(command, disk / "run")
        assert code == 0, error
        assert kept(disk / "run") == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "delay", "message"),
    [
        ((200, SEVEN), 2.0, "timed out"),
        ((500, {"error": "down"}), 0.0, "500"),
        ((200, b"<html>nonsense"), 0.0, "reply is not JSON"),
    ],
    ids=["stalls", "fails", "talks nonsense"],
)
def test_a_judge_that_fails_stops_a_run_which_goes_on_later(
    command, tmp_path, reply, delay, message
):
    out = tmp_path / "judged"
    judged = [
        *command,
        "--set=reward.kind=http",
        "--set=reward.model=a-judge",
        "--set=evaluation.max_validation=0",
        "--set=reward.timeout=0.5",
        "--set=reward.retries=1",
        "--set=reward.on_doubt=unchecked",
    ]
    with Server(reply, delay=delay) as server:
        code, error = finish([*judged, f"--set=reward.url={server.url}"], out)
        assert code == 2, error
        assert "Traceback" not in error and server.url in error
        assert message in error
        assert len(server.requests) > 1
    samples = out / "iteration-1/samples/00000.jsonl"
    before = samples.read_bytes(), samples.stat().st_mtime_ns
    with Server((200, SEVEN)) as server:
        code, error = finish([*judged, f"--set=reward.url={server.url}"], out)
        assert code == 0, error
    assert (samples.read_bytes(), samples.stat().st_mtime_ns) == before
    scores = pathlib.Path(out, "iteration-1").glob("scores-*/00000.jsonl")
    found = [json.loads(line) for line in next(scores).open()]
    assert {each["reward"] for each in found} == {0.7}
