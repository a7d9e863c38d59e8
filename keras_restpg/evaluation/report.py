"""`report.html`: one file with the tables, pictures and texts of a run.

Everything that comes from documents or models is escaped. Damaged lines among
the measurements are left out: no report fails at the end of a run for them.
"""

import base64
import html

from keras_restpg.errors import InputError
from keras_restpg.evaluation import figures
from keras_restpg.evaluation.results import tasks_of
from keras_restpg.evaluation.tables import macro_average, main_table
from keras_restpg.records import ALL

_CASES = 3
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
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem
auto; padding: 0 1rem; color: #1b1b1f }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left }
th { border-bottom: 2px solid #888 }
pre, .text { white-space: pre-wrap; overflow-wrap: anywhere; background:
#f6f6f4; padding: .6rem .8rem; border-radius: 6px; font-size: 13px }
figure { display: inline-block; margin: .5rem; vertical-align: top }
figure img { max-width: 29rem; width: 100% }
figcaption { font-size: 13px; color: #555 }
"""
_SCRATCH = (
    "The model was made from scratch for this run: it shows that the "
    "machinery works, and says nothing of the quality that a pretrained "
    "model would reach."
)


def write_report(run, examples, results, runs=None, extra=(), notes=()):
    """Writes `report.html` into a run directory.

    Args:
        run: a `RunDirectory`.
        examples: the test examples.
        results: list of `Result` on them.
        runs: `{label: RunDirectory}` whose measurements are shown; None:
            `run` itself.
        extra: tables, each a list of rows with the head first.
        notes: sentences under the main table.
    """
    runs = {"": run} if runs is None else runs
    recipe = run.recipe()
    notes = list(notes)
    if recipe is not None and recipe.model.preset == "scratch":
        notes.append(_SCRATCH)
    parts = ["<h1>REST-PG run</h1>"]
    if results:
        parts += [_table(main_table(results, examples)), _reading()]
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    parts += [_table(rows) for rows in extra]
    parts += ["<h2>Pictures</h2>", *_pictures(runs, examples, results)]
    kept, by_task = kept_table(runs), kept_table(runs, by_task=True)
    parts += ["<h2>What each iteration kept</h2>", _table(kept)]
    if len(by_task) > len(kept):
        parts.append(_table(by_task))
    taught = reasoning_table(runs)
    if len(taught) > 1:
        parts += ["<h2>The teacher's reasoning</h2>", _table(taught)]
    if results:
        parts += ["<h2>Texts</h2>", *_cases(examples, results)]
    parts += ["<h2>Time</h2>", _table(_seconds(runs))]
    if recipe is not None:
        parts += [
            "<h2>Recipe</h2>",
            f"<pre>{html.escape(recipe.to_toml())}</pre>",
        ]
    body = "\n".join(parts)
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>REST-PG run</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )
    run.files.write("report.html", page.encode("utf-8", "replace"))


def kept_table(runs, by_task=False):
    """Rows: what the samples of each iteration were, and what was kept.

    The samples that were not kept had no answer, were below the threshold,
    repeated one that was kept, or were beyond the limit for an example; cut
    at the length limit may be any of them.

    Args:
        runs: `{label: RunDirectory}`.
        by_task: whether each task has a row instead of all together.
    """
    names = ("samples", "kept", "no answer", "below τ", "repeated", "too many")
    rows = [["", *names, "cut", "mean reward", "examples without"]]
    for label, tasks in _expectations(runs).items():
        for task, numbers in tasks.items():
            if by_task == (task == ALL):
                continue
            *counts, reward, without, count = map(numbers.get, _SAMPLED)
            cells = [f"{reward:.3f}", f"{without} of {count}"]
            name = f"{label}, {task}" if by_task else label
            rows.append([name, *map(str, counts), *cells])
    return rows


def reasoning_table(runs):
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


def _reading():
    return (
        "<p>Mean reward, from 0 to 1; the average is over tasks. "
        "Superscripts: better than that row by the two-tailed paired t-test "
        "at p &lt; 0.05.</p>"
    )


def _measured(run, kind, names):
    """The sound lines of a kind: those with a number for each of `names`."""
    for line in run.read_log("metrics.jsonl"):
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


def _pictures(runs, examples, results):
    parts = []
    if results:
        parts.append(
            _figure(
                figures.score_by_iteration(_curves(results, examples)),
                "Mean reward after each iteration (as in Figure 3)",
            )
        )
    expectations = _expectations(runs)
    if expectations:
        histograms = {
            label: tasks[ALL]["histogram"]
            for label, tasks in expectations.items()
        }
        rates = {
            label: {
                task: each["accept_rate"]
                for task, each in tasks.items()
                if task != ALL
            }
            for label, tasks in expectations.items()
        }
        parts += [
            _figure(
                figures.reward_histogram(histograms),
                "Rewards of the samples of each iteration",
            ),
            _figure(
                figures.accept_rate(rates),
                "Samples that reach the threshold",
            ),
        ]
    if results:
        parts.append(
            _figure(
                figures.lengths(_lengths(examples, results)),
                "Words of the final answers of test users",
            )
        )
    losses = _by_epoch(runs, "nll")
    if losses:
        parts.append(_figure(figures.losses(losses), "Training loss"))
    validations = _by_epoch(runs, "val_reward")
    if validations:
        parts.append(
            _figure(
                figures.validations(validations),
                "Mean reward of validation users, by which weights are chosen",
            )
        )
    return parts


def _curves(results, examples):
    curves = {}
    for result in results:
        label = "with reasoning" if result.reasons else "without reasoning"
        curves.setdefault(label, []).append(macro_average(result, examples))
    return curves


def _lengths(examples, results):
    words = {"expected": [len(e.expected.split()) for e in examples]}
    for result in results:
        answers = [result.answer(example) or "" for example in examples]
        words[result.title] = [len(answer.split()) for answer in answers]
    return words


def _cases(examples, results):
    """The first example of some tasks, and what each model wrote for it."""
    parts = []
    for task, members in list(tasks_of(examples).items())[:_CASES]:
        example = members[0]
        documents = "\n— ".join(d.text[:600] for d in example.documents[:5])
        parts.append(f"<h3>{html.escape(task)}</h3>")
        parts.append(_text("prompt", example.prompt))
        parts.append(_text("documents", f"— {documents}"))
        parts.append(_text("the user wrote", example.expected))
        for result in results:
            score = result.outputs[example.id].score.reward
            text = result.outputs[example.id].sample.text
            parts.append(_text(f"{result.title}, reward {score:.1f}", text))
    return parts


def _seconds(runs):
    rows = [["stage", "seconds"]]
    for label, run in runs.items():
        for stage, value in _seconds_of(run).items():
            if _is_number(value):
                rows.append([f"{label} {stage}".strip(), f"{value:.0f}"])
    return rows


def _seconds_of(run):
    try:
        seconds = run.read_json("seconds.json")
    except InputError:
        seconds = None
    return seconds if isinstance(seconds, dict) else {}


def _table(rows):
    lines = [
        "<tr>"
        + "".join(
            f"<{tag}>{html.escape(cell)}</{tag}>"
            for cell in row
            for tag in ("td" if number else "th",)
        )
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    return f"<table>{''.join(lines)}</table>"


def _text(title, text):
    return (
        f"<div><b>{html.escape(title)}</b>"
        f"<div class='text'>{html.escape(text)}</div></div>"
    )


def _figure(png, caption):
    data = base64.b64encode(png).decode()
    return (
        f"<figure><img src='data:image/png;base64,{data}' alt=''>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
