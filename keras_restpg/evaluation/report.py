"""`report.html`: one file with the tables, pictures and texts of runs.

It needs no network and no server: the samples lie in it, compressed, and
`report.js` shows them; without JavaScript an example of each task is there.

Texts of documents and models are escaped by the template (`report.html.j2`),
and their control characters shown. What the run directory holds of damaged
lines and files is left out: no report fails at the end of a run for them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.resources
import json
import random
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import jinja2

from keras_restpg._types import Table
from keras_restpg.errors import InputError
from keras_restpg.evaluation import figures
from keras_restpg.evaluation.figures import Panels
from keras_restpg.evaluation.results import NAMES, method_of, tasks_of
from keras_restpg.evaluation.reward_check import JudgeCheck
from keras_restpg.evaluation.tables import ScoreTable, main_table
from keras_restpg.records import ALL, Example
from keras_restpg.tables import flat, visible

if TYPE_CHECKING:
    from keras_restpg.evaluation.results import Result
    from keras_restpg.store import RunDirectory

# The numbers that are shown of an E-step's samples and of a teacher's texts.
_SAMPLED = ("samples", "kept", "unparsable", "below", "repeated", "beyond")
_SAMPLED += ("unfinished", "mean_reward", "examples_without", "examples")
_TAUGHT = (
    "examples",
    "kept",
    "generated",
    "leaked",
    "empty",
    "too_long",
    "mean_copied",
)
# More than anything that is measured here.
_TOO_LARGE = 1e15
# Characters that are shown of a document, and of a setting or a sentence.
_DOCUMENT, _SETTING = 600, 300
# Outputs that a browser still opens at once.
_OUTPUTS = 50_000
_SHORT = reprlib.Repr()
_SHORT.maxlist, _SHORT.maxstring = 20, 100


def write_report(
    run: RunDirectory,
    examples: Sequence[Example],
    results: Sequence[Result],
    runs: Mapping[str, RunDirectory] | None = None,
    extra: Iterable[Table] = (),
    notes: Iterable[str] = (),
    main: ScoreTable | None = None,
    curves: Panels | None = None,
) -> None:
    """Writes `report.html` into a run directory.

    Args:
        run: a `RunDirectory`.
        examples: the test examples.
        results: list of `Result` on them.
        runs: `{label: RunDirectory}` whose measurements are shown; None:
            `run` itself.
        extra: tables, each a list of rows with the head first.
        notes: sentences under the main table.
        main: its `ScoreTable`; None: that of the results.
        curves: `{task: {label: {iteration: (mean, low, high)}}}`; None: those
            of the results.
    """
    runs = {"": run} if runs is None else runs
    if results:
        table = main_table(results, examples)
        main = main or table
        curves = curves or _curves(results, table)
    recipe = _read(run.files.read, "recipe.toml") or b""
    script = _file("report.js")
    page = _template().render(
        main=main,
        ran_on=ran_on(runs, examples),
        notes=notes,
        from_scratch=any(_measured(run, "base", ("nll",))),
        extra=extra,
        ran=ran_tables(runs),
        recipe=recipe.decode("utf-8", "replace"),
        checks=_checks(runs),
        pictures=_pictures(runs, examples, results, curves),
        kept=kept_table(runs),
        kept_by_task=kept_table(runs, by_task=True),
        kept_notes=kept_notes(runs),
        reasoning=reasoning_table(runs),
        cases=_cases(examples, results) if results else [],
        browser=_browser(examples, results) if results else None,
        shown=min(len(examples), _OUTPUTS // max(len(results), 1)),
        examples=examples,
        seconds=_seconds(runs),
        script=_Raw(script),
        script_hash=base64.b64encode(
            hashlib.sha256(script.encode()).digest()
        ).decode(),
    )
    run.files.write("report.html", page.encode())


class _Raw:
    """What stands in the page as it is."""

    def __init__(self, text):
        self.text = text

    def __html__(self):
        return self.text


def _browser(examples, results):
    """What `report.js` shows: JSON, gzipped, in base64.

    Where it would be too much to open, examples are drawn.
    """
    most = _OUTPUTS // len(results)
    if len(examples) > most:
        places = sorted(random.Random(0).sample(range(len(examples)), most))
        examples = [examples[place] for place in places]
    documents = {}

    def numbers(read):
        return read and [
            documents.setdefault(_cut(d.text, _DOCUMENT), len(documents))
            for d in read
        ]

    shown = [
        {
            **{n: visible(getattr(e, n)) for n in ("id", "task", "user")},
            "prompt": visible(e.prompt),
            "expected": visible(e.expected),
            "read": [
                [visible(titles), None if read is None else numbers(read) or []]
                for read, titles in _documents(e, results)
            ],
        }
        for e in examples
    ]
    outputs = [[_output(result, e) for e in examples] for result in results]
    found = {
        "models": [visible(result.title) for result in results],
        "documents": [visible(text) for text in documents],
        "examples": shown,
        "outputs": outputs,
    }
    data = json.dumps(found, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _output(result, example):
    """The answer, its reward, why that is 0, and the reasoning before it."""
    output = result.outputs[example.id]
    answer = result.answer(example)
    return [
        visible(output.sample.text if answer is None else answer),
        round(output.score.reward, 4),
        visible(output.score.reason),
        visible("" if answer is None else result.reasoning(example)),
    ]


def _checks(runs):
    """What was found of each reward before it was trained on, each once."""
    found = {}
    for label, run in runs.items():
        try:
            check = JudgeCheck.from_json(_json(run, "reward-check/check.json"))
            rows, _ = check.tables()
        except (KeyError, TypeError, AttributeError, ValueError):
            continue
        note = f"Without a score: {check.unjudged} of {check.answers} answers."
        alike = json.dumps([rows, note, check.doubt])
        found.setdefault(alike, (rows, note, check.doubt, []))[-1].append(label)
    return [
        (rows, " ".join(filter(None, [", ".join(labels), note, doubt])))
        for rows, note, doubt, labels in found.values()
    ]


def ran_on(
    runs: Mapping[str, RunDirectory], examples: Sequence[Example]
) -> str:
    """A sentence on what ran on what; empty where nobody noted it."""
    found = [_json(run, "run.json") for run in runs.values()]
    noted = [_short(each) for each in found]
    names = {
        "model": "parts.generator.class",
        "judged by": "parts.reward.class",
        "τ": "settings.tau",
        "seeds": "settings.seed",
        "backend": "environment.backend",
        "keras": "environment.versions.keras",
    }
    parts = []
    for name, key in names.items():
        values = dict.fromkeys(
            each[key].rpartition(":")[2].rpartition(".")[2]
            if key.endswith(".class")
            else each[key]
            for each in noted
            if key in each
        )
        if values:
            parts.append(f"{name} {', '.join(values)}")
    users = len({(e.task, e.user) for e in examples})
    data = [f"{len(examples)} test examples of {users} users"]
    return "; ".join([*data, *parts]) if parts else ""


def ran_tables(runs: Mapping[str, RunDirectory]) -> dict[str, Table]:
    """What really ran, `{title: rows}`, off the runs' own `run.json`.

    Args:
        runs: `{label: RunDirectory}`; each has a column.
    """
    found = [_json(run, "run.json") for run in runs.values()]
    tables = {}
    for title in ("settings", "parts", "environment"):
        columns = [_short(each.get(title)) for each in found]
        names = dict.fromkeys(name for column in columns for name in column)
        if names:
            tables[title] = [["", *(label or "value" for label in runs)]]
        for name in names:
            cells = (column.get(name, "") for column in columns)
            tables[title].append([name, *cells])
    return tables


def kept_table(
    runs: Mapping[str, RunDirectory], by_task: bool = False
) -> Table:
    """Rows: what the samples of each iteration were, and what was kept.

    The samples that were not kept had no answer, were below the threshold,
    repeated one that was kept, or were beyond the limit for an example; cut
    at the length limit, or without a judge's score, may be any of them.

    Args:
        runs: `{label: RunDirectory}`.
        by_task: whether each task has a row instead of all together.
    """
    names = ("samples", "kept", "no answer", "below τ", "repeated", "too many")
    rows = [["", "τ", *names, "cut", "unjudged"]]
    rows[0] += ["mean reward", "examples without"]
    for label, tasks in _expectations(runs).items():
        for task, numbers in tasks.items():
            if by_task == (task == ALL):
                continue
            *counts, reward, without, count = map(numbers.get, _SAMPLED)
            tau, unjudged = (
                format(numbers[key], form) if _has(numbers, [key]) else ""
                for key, form in (("tau", "g"), ("unjudged", ""))
            )
            name = f"{label}, {task}" if by_task else label
            cells = [f"{reward:.3f}", f"{without} of {count}"]
            rows.append([name, tau, *map(str, counts), unjudged, *cells])
    return rows


def kept_notes(runs: Mapping[str, RunDirectory]) -> list[str]:
    """Sentences on thresholds that were lowered and rewards that are all 0.

    What holds for all tasks together is not said again of each.
    """
    notes = []
    for label, tasks in _expectations(runs).items():
        told = {}
        for task, numbers in tasks.items():
            for sentence in _remarks(numbers):
                told.setdefault(sentence, []).append(task)
        for sentence, names in told.items():
            names = [] if ALL in names else names
            notes.append(f"{', '.join([label, *names])}: {sentence}")
    return notes


def _remarks(numbers):
    if _has(numbers, ("tau", "asked_tau")):
        tau, asked = numbers["tau"], numbers["asked_tau"]
        if tau < asked:
            yield f"no sample reached τ = {asked:g}; lowered to {tau:g}."
    if isinstance(numbers.get("why"), str) and numbers["why"]:
        yield _cut(numbers["why"], _SETTING)


def reasoning_table(runs: Mapping[str, RunDirectory]) -> Table:
    """Rows: how many summaries were generated, refused and kept."""
    *counts, copied = _TAUGHT
    heads = [name.replace("_", " ") for name in _TAUGHT]
    rows = [["", *heads]]
    for label, run in runs.items():
        shards = {
            line["shard"]: line
            for line in _measured(run, "reasoning", _TAUGHT)
            if isinstance(line.get("shard"), str)
        }.values()
        if not shards:
            continue
        kept = max(sum(shard["kept"] for shard in shards), 1)
        mean = sum(shard[copied] * shard["kept"] for shard in shards) / kept
        sums = [str(sum(shard[name] for shard in shards)) for name in counts]
        rows.append([label, *sums, f"{mean:.3f}"])
    return rows


def _measured(run, kind, names):
    """The sound lines of a kind: those with a number for each of `names`."""
    for line in _read(run.read_log, "metrics.jsonl") or ():
        if _has(line, names) and line.get("kind") == kind:
            yield line


def _has(values, names):
    return isinstance(values, dict) and all(
        _is_number(values.get(name)) for name in names
    )


def _is_number(value):
    # Written so that NaN is none.
    return isinstance(value, int | float) and abs(value) < _TOO_LARGE


def _expectations(runs):
    """The E-steps' diagnostics, `{label: {task: numbers}}`.

    The last of each counts.
    """
    found = {}
    for label, run in runs.items():
        for line in _measured(run, "expectation", ("iteration",)):
            tasks = _sound_tasks(line.get("tasks"))
            if ALL in tasks:
                found[f"{label} iteration {line['iteration']}".strip()] = tasks
    return found


def _sound_tasks(tasks):
    tasks = tasks if isinstance(tasks, dict) else {}
    return {task: each for task, each in tasks.items() if _is_sound(each)}


def _is_sound(diagnostics):
    if not _has(diagnostics, (*_SAMPLED, "accept_rate")):
        return False
    histogram = diagnostics.get("histogram")
    return _has(histogram, histogram)


def _by_epoch(runs, value):
    """A number of each epoch, `{label: {epoch of the training: number}}`.

    The last of each counts.
    """
    found = {}
    for label, run in runs.items():
        for line in _measured(run, "epoch", ("epoch",)):
            name = f"{label} {line.get('stage', '')}".strip()
            found.setdefault(name, {})[line["epoch"]] = line.get(value)
    curves = {}
    for name, values in found.items():
        before = min(values) - 1
        points = {e - before: values[e] for e in sorted(values)}
        points = {e: each for e, each in points.items() if _is_number(each)}
        if points:
            curves[name] = points
    return curves


def _pictures(runs, examples, results, curves):
    """`(PNG in base64, caption)` of each picture that has anything to show."""
    steps = _expectations(runs)
    histograms = {
        label: tasks[ALL]["histogram"] for label, tasks in steps.items()
    }
    rates = {
        label: {t: tasks[t]["accept_rate"] for t in tasks if t != ALL}
        for label, tasks in steps.items()
    }
    drawn = [
        (
            lambda panels: figures.curves(panels, "iteration", "mean reward")[
                0
            ],
            curves,
            "Mean reward after each iteration, with 95% intervals (as in "
            "Figures 3 and 11)",
        ),
        (
            figures.reward_histogram,
            histograms,
            "Rewards of the samples of each iteration",
        ),
        (figures.accept_rate, rates, "Samples that reach the threshold"),
        (
            figures.lengths,
            _lengths(examples, results) if results else {},
            "Words of the final answers of test users",
        ),
        (figures.losses, _by_epoch(runs, "nll"), "Training loss"),
        (
            figures.validations,
            _by_epoch(runs, "val_reward"),
            "Mean reward of validation users, by which weights are chosen",
        ),
    ]
    return [
        (base64.b64encode(draw(values)).decode(), caption)
        for draw, values, caption in drawn
        if values
    ]


def _curves(results, table):
    panels = {task: {} for task in table.tasks}
    for result, cells in zip(results, table.cells, strict=True):
        label = NAMES[method_of(result.reasons, 1)]
        for task, cell in zip(table.tasks, cells, strict=True):
            points = panels[task].setdefault(label, {})
            points[result.iteration] = (cell.mean, cell.low, cell.high)
    return panels


def _lengths(examples, results):
    words = {"expected": [len(e.expected.split()) for e in examples]}
    for result in results:
        answers = [result.answer(example) or "" for example in examples]
        words[result.title] = [len(answer.split()) for answer in answers]
    return words


def _cases(examples, results):
    """The first example of each task, and what each model wrote for it."""
    for task, (example, *_) in tasks_of(examples).items():
        yield {
            "task": task,
            "example": example,
            "read": _documents(example, results),
            "written": [
                (result.title, result.outputs[example.id]) for result in results
            ],
        }


def _documents(example, results):
    """What stood in the prompts, `(documents, titles)`.

    `documents` is None where that was not noted, and `titles` is empty where
    all models read the same.
    """
    found = {}
    for result in results:
        documents = result.documents.get(example.id)
        read = None if documents is None else tuple(documents)
        found.setdefault(read, []).append(result.title)
    alike = len(found) == 1
    return [
        (read, "" if alike else ", ".join(titles))
        for read, titles in found.items()
    ]


def _seconds(runs):
    rows = [["stage", "seconds"]]
    for label, run in runs.items():
        for stage, value in _json(run, "seconds.json").items():
            if _is_number(value):
                rows.append([f"{label} {stage}".strip(), f"{value:.0f}"])
    return rows


def _json(run, name):
    """The object in a JSON file, empty where there is none."""
    found = _read(run.read_json, name)
    return found if isinstance(found, dict) else {}


def _read(read, name):
    """What `read` finds, None where the file can't be read."""
    try:
        return read(name)
    except InputError:
        return None


def _short(values):
    """`{dotted name: value as short text}` of nested dicts."""
    return {
        name: _cut(v if isinstance(v, str) else _SHORT.repr(v), _SETTING)
        for name, v in flat(values).items()
    }


def _cut(text, length):
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _template():
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda x: visible(x) if isinstance(x, str) else x,
    )
    environment.filters["cut"] = _cut
    source = _file("report.html.j2")
    return environment.from_string(source, {"length": _DOCUMENT})


def _file(name):
    folder = importlib.resources.files("keras_restpg.evaluation")
    return folder.joinpath(name).read_text("utf-8")
