import json
import os

import pytest

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning, Sample, Score
from keras_restpg.run.recipe import Recipe, from_dict
from keras_restpg.run.status import status
from keras_restpg.store import RunDirectory
from keras_restpg.store.stage import BASE
from keras_restpg.store.state import write_state

RECIPE = from_dict(
    {
        "iterations": 2,
        "model": {"preset": "scratch"},
        "sampling": {"num_samples": 4},
        "data": {"tasks": ["review"], "max_train": 8},
    }
)


@pytest.fixture
def run(tmp_path):
    with RunDirectory(tmp_path).open() as run:
        run.files.write("recipe.toml", RECIPE.to_toml().encode())
        yield run


def lines(run):
    return status(run.files.url).splitlines()[1:]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        status(tmp_path)


def test_before_anything_is_done_all_is_left(run):
    assert status(run.files.url).splitlines() == [
        f"{run.files.url}: rest-pg, 2 iterations",
        "base: to do",
        "reasoning: 0 examples of at most 8",
        "sft to iteration-2: to do",
        "test and report: to do",
        "left: base, reasoning, sft to iteration-2, test and report",
        "not finished: run it again",
    ]


def test_what_comes_before_the_first_epoch_is_told(run):
    run.save_bytes(BASE, b"1")
    run.shards("reasoning", Reasoning).put("00000", [Reasoning("a", "b")])
    assert lines(run)[:2] == [
        "base: made",
        "reasoning: 1 examples of at most 8",
    ]
    run.claim("sft/weights", {"a": 1})
    assert lines(run)[1] == "reasoning: 1 examples"
    assert "left: sft to iteration-2, test and report" in lines(run)


def test_samples_judgements_epochs_and_times_are_told(run):
    write_state(run, {"epoch": 10, "epochs": 30})
    samples = [Sample("a", i, "x", (1,), True, -1.0) for i in range(3)]
    run.shards("iteration-1/samples", Sample).put("00000", samples)
    scores = [Score("a", i, 1.0) for i in range(2)]
    run.shards("iteration-1/scores-0a", Score).put("00000", scores)
    run.write_json("seconds.json", {"reasoning": 12.3, "sft: training": 60})
    assert lines(run)[2:] == [
        "sft: 10 of 10 epochs",
        "iteration-1: 3 samples of at most 32, 2 judged (scores-0a)",
        "iteration-2: to do",
        "test and report: to do",
        "time, reasoning: 12 s",
        "time, sft: training: 60 s",
        "time in all: 72 s",
        "left: base, reasoning, iteration-1, iteration-2, test and report",
        "not finished: run it again",
    ]
    run.claim("iteration-1/weights", {"a": 1})
    write_state(run, {"epoch": 13, "epochs": 30})
    text = "iteration-1: 3 samples, 2 judged (scores-0a), 3 of 10 epochs"
    assert text in lines(run)


def test_a_report_of_fewer_epochs_is_not_the_end(run):
    run.files.write("report.html", b"")
    assert lines(run)[-1] == "not finished: run it again"
    write_state(run, {"epoch": 29, "epochs": 30})
    assert lines(run)[-1] == "not finished: run it again"
    write_state(run, {"epoch": 30, "epochs": 30})
    assert lines(run)[-1] == "finished"
    run.files.remove("report.html")
    assert lines(run)[-2:] == [
        "left: base, reasoning, test and report",
        "not finished: run it again",
    ]


def test_methods_without_reasoning_have_none_to_do(tmp_path):
    recipe = Recipe().with_settings(["method=sft", "iterations=5"])
    with RunDirectory(tmp_path).open() as run:
        run.files.write("recipe.toml", recipe.to_toml().encode())
        assert lines(run)[:2] == ["sft: to do", "test and report: to do"]


def test_very_many_iterations_are_not_listed(tmp_path):
    recipe = Recipe().with_settings([f"iterations={2**62}"])
    with RunDirectory(tmp_path).open() as run:
        run.files.write("recipe.toml", recipe.to_toml().encode())
        assert f"sft to iteration-{2**62}: to do" in lines(run)


@pytest.mark.parametrize(
    "state",
    [[], 5, "x", {"epoch": "x"}, {"epoch": -1}, {"epochs": 1.5}, {"epoch": []}],
)
def test_a_damaged_state_is_named(run, state):
    run.write_json("state.json", state)
    with pytest.raises(InputError, match="state.json is damaged"):
        status(run.files.url)


@pytest.mark.parametrize(
    "seconds",
    [
        [],
        5,
        {"a": "x"},
        {"a": None},
        {"a": True},
        {"a": 10**400},
        {"\x1b[2J": 1},
        {"\ud800": 1},
    ],
)
def test_what_is_no_time_is_left_out(run, seconds):
    run.files.write("seconds.json", json.dumps(seconds).encode())
    assert not [line for line in lines(run) if line.startswith("time")]


@pytest.mark.parametrize(
    "name",
    [
        "recipe.toml",
        "state.json",
        "seconds.json",
        "report.html",
        "reasoning/manifest.jsonl",
        "iteration-1/samples/manifest.jsonl",
    ],
)
def test_a_pipe_or_a_link_is_named_at_once(run, tmp_path, name):
    path = tmp_path / name
    write_state(run, {"epoch": 4, "epochs": 12})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(InputError, match=f"{name} is neither a file nor"):
        status(tmp_path)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=f"{name} is a link"):
        status(tmp_path)


def test_names_of_files_command_no_terminal(run, tmp_path):
    write_state(run, {"epoch": 4, "epochs": 12})
    for name in ("scores-\x1b[2J", "scores-\u202e", "scores-a b"):
        (tmp_path / "iteration-1" / name).mkdir(parents=True)
    text = status(tmp_path, verify=True)
    assert "judged" not in text
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    "changed",
    [
        {"last": "../../x"},
        {"last": "recipe.toml"},
        {"best": {"sft": "lock/1"}},
        {"best": {"\x1b": "sft/weights/best-a.safetensors"}},
        {"weights": {"model/config.json": ""}},
        {"stages": {"../x": ""}},
        {"epoch": True},
    ],
)
def test_a_state_that_names_other_files_is_refused(run, changed):
    # With a checksum that fits, as somebody who knows how could make it.
    write_state(run, {"epoch": 4, "epochs": 12, **changed})
    with pytest.raises(InputError, match="state.json is damaged"):
        status(run.files.url)
