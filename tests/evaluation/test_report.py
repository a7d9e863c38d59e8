import base64
import copy
import dataclasses
import gzip
import html.parser
import json
import math
import re

import pytest

from keras_restpg.evaluation import report
from keras_restpg.evaluation.report import (
    kept_notes,
    kept_table,
    ran_tables,
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
from keras_restpg.tables import visible
from tests.rewards.records import scored

EVIL = "<script>alert('$x')</script>&\"$\ud800{{ 1 }}\x1b\x00\u202e"
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
RAN = {
    "settings": {"tau": 1.0, "sampling": {"num_samples": 32}},
    "parts": {
        "generator": {"name": "gemma", "weights": "9f86d0"},
        "optimizer": {"class_name": "Adam", "betas": [0.9, 0.99]},
        "teacher": None,
    },
    "environment": {"backend": "jax", "versions": {"keras": "3.15.0"}},
}


class Page(html.parser.HTMLParser):
    """A report's tables, as lists of rows, and its texts.

    The text of an element stands beside the tag of it.
    """

    def __init__(self, path):
        super().__init__()
        self.tables, self.texts, self.source = [], [], path.read_text("utf-8")
        self._tags = []
        self.feed(self.source)
        self.close()
        assert not self._tags

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "img"):
            return
        self._tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self._tags.pop() == tag

    def handle_data(self, data):
        if self._tags and self._tags[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif data.strip():
            self.texts.append((self._tags[-1] if self._tags else "", data))

    def of(self, tag):
        return [text for each, text in self.texts if each == tag]


def written(examples, reward=0.5, reason=""):
    """An output for each example, `{example id: ScoredSample}`."""
    return {
        e.id: ScoredSample(
            Sample(e.id, 0, f"for {e.id}", (), True, 0.0),
            Score(e.id, 0, reward, reason),
        )
        for e in examples
    }


def test_every_text_is_escaped_and_nothing_is_loaded_from_elsewhere(tmp_path):
    examples = [
        Example(f"{i}", EVIL, "u", EVIL, EVIL, (Document(EVIL),))
        for i in range(3)
    ]
    outputs = {
        key: dataclasses.replace(
            each,
            sample=dataclasses.replace(each.sample, text=EVIL),
            score=Score(key, 0, 0.0, EVIL),
        )
        for key, each in written(examples).items()
    }
    read = {example.id: example.documents for example in examples}
    results = [Result("sft", 0, outputs, read), Result("rest-em", 1, outputs)]
    with RunDirectory(tmp_path).open() as run:
        tasks = {EVIL: NUMBERS | {"why": EVIL}, "all": NUMBERS}
        run.log("metrics.jsonl", EXPECTATION | {"tasks": tasks})
        run.log("metrics.jsonl", EPOCH)
        for shard in ("00000", "00001", "00001"):
            run.log("metrics.jsonl", TAUGHT | {"shard": shard})
        table = reasoning_table({"": run})
        assert table[1] == ["", "8", "4", "12", "6", "2", "0", "0.050"]
        run.write_json("run.json", {"settings": {EVIL: EVIL}})
        run.write_json("seconds.json", {EVIL: 3})
        extra, notes = [[["a"], [EVIL]]], [EVIL]
        write_report(run, examples, results, extra=extra, notes=notes)
    page = Page(tmp_path / "report.html")
    source = page.source
    scripts = re.findall("<script.*", source)
    assert [each[:32] for each in scripts] == [
        '<script type="text/plain" id="da',
        "<script>// The browser of sample",
    ]
    assert source.count("&lt;script&gt;") == source.count("{{ 1 }}") > 12
    data = re.search('id="data">(.*?)</script>', source)[1]
    in_browser = gzip.decompress(base64.b64decode(data)).decode()
    assert in_browser.count(json.dumps(visible(EVIL))[1:-1]) > 12
    assert in_browser.count("{{ 1 }}") == in_browser.count(r"{{ 1 }}\\x1b")
    assert "The teacher's reasoning" in source
    assert source.count("data:image/png;base64,") == 6
    assert "http" not in source.replace("http-equiv", "")
    assert not set("\x1b\x00\u202e") & set(source)
    shown = "\\ud800{{ 1 }}\\x1b\\x00\\u202e"
    assert source.count(shown) == source.count("{{ 1 }}")
    assert [["a"], [EVIL.partition("\ud800")[0] + shown]] in page.tables


def test_the_documents_that_were_read_are_shown_of_every_task(tmp_path):
    profile = tuple(Document(f"text {i} " + "x" * 700) for i in range(9))
    examples = [
        Example(f"{task}{i}", task, "u", "p", f"y{task}", profile)
        for task in "abcde"
        for i in range(2)
    ]
    read = {"a0": profile[7:], "b0": (), "c0": profile[1:2]}
    first = Result("sft", 0, written(examples), read)
    second = Result("rest-em", 1, written(examples), read | {"c0": ()})
    with RunDirectory(tmp_path).open() as run:
        write_report(run, examples, [first, second])
    page = Page(tmp_path / "report.html")
    assert page.of("h3") == list("abcde")
    documents = [text for text in page.of("div") if text.startswith("text ")]
    assert [text[:6] for text in documents] == ["text 7", "text 8", "text 1"]
    assert all(len(t) == 600 and t.endswith("…") for t in documents)
    assert [text for text in page.of("b") if text.startswith("documents")] == [
        "documents in the prompt: 2",
        "documents in the prompt: none",
        "documents in the prompt of SFT: 1",
        "documents in the prompt of ReST-EM, iteration 1: none",
    ]
    assert sum("was not noted" in text for text in page.of("p")) == 2
    assert "yd" in page.of("div") and "for e0" in page.of("div")


def test_an_output_that_was_not_judged_says_why(tmp_path):
    examples = [Example("e", "t", "u", "p", "y", ())]
    outputs = written(examples, 0.0, "no answer sentence")
    with RunDirectory(tmp_path).open() as run:
        write_report(run, examples, [Result("sft", 0, outputs)])
    titles = Page(tmp_path / "report.html").of("b")
    assert "SFT, reward 0.00 (no answer sentence)" in titles


def test_what_ran_is_shown_and_not_what_the_recipe_asked_for(tmp_path):
    recipe = Recipe().with_settings(["seed=4711"])
    with RunDirectory(tmp_path).open() as run:
        run.files.write("recipe.toml", recipe.to_toml().encode())
        write_report(run, [], [])
        assert "4711" in "".join(Page(tmp_path / "report.html").of("pre"))
        run.write_json("run.json", RAN)
        write_report(run, [], [])
    page = Page(tmp_path / "report.html")
    assert page.of("h3") == ["Settings", "Parts", "Environment"]
    settings, parts, environment = page.tables[-3:]
    head = ["", "value"]
    assert settings == [head, ["tau", "1.0"], ["sampling.num_samples", "32"]]
    assert parts == [
        head,
        ["generator.name", "gemma"],
        ["generator.weights", "9f86d0"],
        ["optimizer.class_name", "Adam"],
        ["optimizer.betas", "[0.9, 0.99]"],
        ["teacher", "None"],
    ]
    assert environment[1:] == [["backend", "jax"], ["versions.keras", "3.15.0"]]
    assert "4711" not in page.source


def test_each_run_has_a_column_of_what_ran(tmp_path):
    with RunDirectory(tmp_path / "a").open() as run:
        run.write_json("run.json", RAN)
    with RunDirectory(tmp_path / "b").open() as other:
        other.write_json("run.json", {"settings": {"tau": 0.5, "k": 5}})
    assert ran_tables({"a": run, "b": other})["settings"] == [
        ["", "a", "b"],
        ["tau", "1.0", "0.5"],
        ["sampling.num_samples", "32", ""],
        ["k", "", "5"],
    ]


def test_thresholds_and_zero_rewards_are_told_of():
    lowered = {"tau": 0.6, "asked_tau": 1.0, "unjudged": 1234567}
    zero = {"tau": 1.0, "asked_tau": 1.0, "unjudged": 3, "why": "No number."}
    lines = [
        EXPECTATION | {"tasks": {t: NUMBERS | lowered for t in ("a", "all")}},
        EXPECTATION
        | {
            "iteration": 2,
            "tasks": {
                "a": NUMBERS | zero,
                "b": NUMBERS | lowered,
                "c": NUMBERS | {"tau": "x", "why": 5, "unjudged": [5]},
                "all": NUMBERS,
            },
        },
    ]
    runs = {"": Measured(lines)}
    assert kept_notes(runs) == [
        "iteration 1: no sample reached τ = 1; lowered to 0.6.",
        "iteration 2, a: No number.",
        "iteration 2, b: no sample reached τ = 1; lowered to 0.6.",
    ]
    head, first, second = kept_table(runs)
    column = head.index("unjudged")
    assert (first[1], first[column]) == ("0.6", "1234567")
    assert (second[1], second[column]) == ("", "")
    *_, damaged = kept_table(runs, by_task=True)
    assert (damaged[1], damaged[column]) == ("", "")


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
    with RunDirectory(tmp_path).open() as run:
        run.log("metrics.jsonl", EXPECTATION | {"tasks": e_step()})
        run.log("metrics.jsonl", EXPECTATION | {"tasks": alone, "iteration": 2})
        tables = [kept_table({"": run}), kept_table({"": run}, by_task=True)]
        write_report(run, [], [])
    every = ["1", "7", "2", "1", "2", "1", "1", "1", "0", "0.714", "1 of 3"]
    email = ["1", "6", "1", "1", "2", "1", "1", "1", "0", "0.667", "1 of 2"]
    review = ["1", "1", "1", "0", "0", "0", "0", "0", "0", "1.000", "0 of 1"]
    (head, *totals), (same, *by_task) = tables
    assert head == same
    assert head[1:5] == ["τ", "samples", "kept", "no answer"]
    assert totals == [["iteration 1", *every], ["iteration 2", *every]]
    assert by_task == [
        ["iteration 1, email", *email],
        ["iteration 1, review", *review],
        ["iteration 2, review", *review],
    ]
    page = Page(tmp_path / "report.html")
    assert all(table in page.tables for table in tables)


def test_a_run_without_results_has_a_report(tmp_path):
    with RunDirectory(tmp_path).open() as run:
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
    pictures = report._pictures(runs, [], [], None)
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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 10**5,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"settings": [1], "parts": 5, "environment": {"a": {}}}',
        b'{"settings": {"a": [[[[[[[[1]]]]]]]], "b": NaN, "": 1e999}}',
        b'{"settings":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    ],
)
def test_a_report_is_written_whatever_lies_in_the_files(tmp_path, data):
    names = ("run.json", "seconds.json", "metrics.jsonl", "recipe.toml")
    with RunDirectory(tmp_path).open() as run:
        for name in names:
            (tmp_path / name).write_bytes(data + b'\n{"kind": "epoch"}\n5\n')
        write_report(run, [], [])
        assert "REST-PG run" in Page(tmp_path / "report.html").of("h1")
        for name in names:
            (tmp_path / name).write_bytes(data)
        write_report(run, [], [])
        for name in names:
            (tmp_path / name).unlink()
            (tmp_path / name).mkdir()
        write_report(run, [], [])
    assert "REST-PG run" in Page(tmp_path / "report.html").of("h1")
