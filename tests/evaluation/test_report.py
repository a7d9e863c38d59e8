import copy
import dataclasses
import json
import math

import pytest

from keras_restpg.evaluation import report
from keras_restpg.evaluation.report import (
    kept_table,
    reasoning_table,
    write_report,
)
from keras_restpg.evaluation.results import Result
from keras_restpg.records import (
    Document,
    Example,
    Sample,
    Score,
    ScoredSample,
)
from keras_restpg.run.recipe import Recipe
from keras_restpg.self_training.diagnostics import diagnose
from keras_restpg.self_training.selection import select
from keras_restpg.store import RunDirectory
from tests.rewards.records import scored

EVIL = "<script>alert('$x')</script>&\"$\ud800"
NUMBERS = {
    "samples": 3,
    "mean_reward": 0.5,
    "accept_rate": 0.1,
    "kept": 1,
    "below": 0,
    "repeated": 0,
    "beyond": 0,
    "unparsable": 0,
    "unfinished": 0,
    "examples_without": 2,
    "examples": 3,
    "histogram": {"0.5": 3},
}
EXPECTATION = {
    "kind": "expectation",
    "iteration": 1,
    "tasks": {"email": NUMBERS, "all": NUMBERS},
}
EPOCH = {
    "kind": "epoch",
    "stage": "sft",
    "epoch": 0,
    "nll": 1.0,
    "val_reward": 0.3,
}
TAUGHT = {
    "kind": "reasoning",
    "shard": "00000",
    "examples": 4,
    "kept": 2,
    "generated": 6,
    "leaked": 3,
    "empty": 1,
    "too_long": 0,
    "mean_copied": 0.05,
}
SOUND = [EXPECTATION, EPOCH, TAUGHT]


def test_every_text_is_escaped_and_nothing_is_loaded_from_elsewhere(tmp_path):
    examples = [
        Example(f"{i}", EVIL, "u", EVIL, EVIL, (Document(EVIL),))
        for i in range(3)
    ]
    outputs = {
        e.id: ScoredSample(
            Sample(e.id, 0, EVIL, (), True, 0.0), Score(e.id, 0, 0.5)
        )
        for e in examples
    }
    results = [Result("sft", 0, outputs), Result("rest-em", 1, outputs)]
    with RunDirectory(tmp_path).open(Recipe()) as run:
        tasks = {EVIL: NUMBERS, "all": NUMBERS}
        run.log("metrics.jsonl", EXPECTATION | {"tasks": tasks})
        run.log("metrics.jsonl", EPOCH)
        for shard in ("00000", "00001", "00001"):
            run.log("metrics.jsonl", TAUGHT | {"shard": shard})
        table = reasoning_table({"": run})
        assert table[1] == ["", "8", "4", "12", "6", "2", "0", "0.050"]
        write_report(run, examples, results, extra=[[["a"], [EVIL]]])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5
    assert "The teacher's reasoning" in page
    assert page.count("data:image/png;base64,") == 6
    assert "src='http" not in page and "href" not in page


def e_step():
    """The diagnostics of samples that each met another end."""
    samples = [
        scored(1.0, index=0, text="a"),
        scored(1.0, index=1, text="a"),
        scored(1.0, index=2, text="b"),
        scored(0.3, index=3, finished=False),
        scored(0.0, example_id="f", reason="no answer sentence"),
        scored(0.7, example_id="f", index=1),
        scored(1.0, example_id="g"),
    ]
    tasks = {"e": "email", "f": "email", "g": "review"}
    found = diagnose(samples, select(samples, limit=1), tasks)
    return {task: dataclasses.asdict(each) for task, each in found.items()}


def test_what_was_kept_stands_by_iteration_and_task(tmp_path):
    alone = {task: e_step()[task] for task in ("all", "review")}
    with RunDirectory(tmp_path).open(Recipe()) as run:
        run.log("metrics.jsonl", EXPECTATION | {"tasks": e_step()})
        run.log("metrics.jsonl", EXPECTATION | {"tasks": alone, "iteration": 2})
        tables = [kept_table({"": run}), kept_table({"": run}, by_task=True)]
        write_report(run, [], [])
    every = ["7", "2", "1", "2", "1", "1", "1", "0.714", "1 of 3"]
    email = ["6", "1", "1", "2", "1", "1", "1", "0.667", "1 of 2"]
    review = ["1", "1", "0", "0", "0", "0", "0", "1.000", "0 of 1"]
    (head, *totals), (same, *by_task) = tables
    assert head == same
    assert head[1:4] == ["samples", "kept", "no answer"]
    assert totals == [["iteration 1", *every], ["iteration 2", *every]]
    assert by_task == [
        ["iteration 1, email", *email],
        ["iteration 1, review", *review],
        ["iteration 2, review", *review],
    ]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(report._table(table) in page for table in tables)


def test_a_run_without_results_has_a_report(tmp_path):
    with RunDirectory(tmp_path).open(Recipe()) as run:
        write_report(run, [], [])
    assert "REST-PG run" in (tmp_path / "report.html").read_text()


class Measured:
    """A run of which the measurements are given."""

    def __init__(self, lines=(), seconds=None):
        self.lines, self.seconds = lines, seconds

    def read_log(self, name):
        return json.loads(json.dumps(self.lines))

    def read_json(self, name, default=None):
        return self.seconds


def changed(line, path, value):
    """`line` with another value at a path of keys."""
    line = place = copy.deepcopy(line)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return line


BROKEN = [5, None, [], "x", {}, {"kind": []}, {"kind": "epoch"}]
BROKEN += [{"kind": "expectation"}, {"kind": "reasoning"}]
BROKEN += [
    changed(line, path, value)
    for value in (None, "x", [], {}, math.nan, math.inf, 10**400)
    for line, path in [
        (EPOCH, ["epoch"]),
        (EXPECTATION, ["iteration"]),
        (EXPECTATION, ["tasks"]),
        (EXPECTATION, ["tasks", "all"]),
        (EXPECTATION, ["tasks", "all", "kept"]),
        (EXPECTATION, ["tasks", "all", "mean_reward"]),
        (EXPECTATION, ["tasks", "all", "histogram", "0.5"]),
        (TAUGHT, ["kept"]),
        (TAUGHT, ["mean_copied"]),
    ]
]


def shown(lines):
    """What a report shows of measurements."""
    runs = {"": Measured(lines)}
    pictures = report._pictures(runs, [], [])
    return kept_table(runs), reasoning_table(runs), pictures


def test_damaged_lines_are_left_out():
    assert shown(BROKEN) == shown([])
    assert shown(BROKEN + SOUND + BROKEN) == shown(SOUND)
    assert len(shown(SOUND)[2]) == 4


def test_what_an_epoch_lacks_is_not_drawn():
    lines = [
        changed(EPOCH, ["nll"], "x"),
        changed(EPOCH, ["epoch"], 1) | {"val_reward": None},
        changed(EPOCH, ["epoch"], 3),
    ]
    runs = {"": Measured(lines)}
    assert report._by_epoch(runs, "nll") == {"sft": {2: 1.0, 4: 1.0}}
    assert report._by_epoch(runs, "val_reward") == {"sft": {1: 0.3, 4: 0.3}}


@pytest.mark.parametrize("seconds", [None, [], 5, {"a": "x", "b": None}])
def test_seconds_that_are_none_are_left_out(seconds):
    assert report._seconds({"": Measured(seconds=seconds)}) == [
        ["stage", "seconds"]
    ]


def test_a_report_is_written_whatever_lies_in_the_files(tmp_path):
    with RunDirectory(tmp_path).open(Recipe()) as run:
        (tmp_path / "metrics.jsonl").write_bytes(
            b'\xff\n{"kind": "epoch"}\n5\n'
        )
        (tmp_path / "seconds.json").write_bytes(b"{")
        write_report(run, [], [])
    assert "REST-PG run" in (tmp_path / "report.html").read_text()
