"""Scoring a file of predictions in LongLaMP's layout.

LongLaMP's predictions are `{"task": ..., "golds": [{"id", "output"}]}`; JSONL
with an object `{"id", "output"}` a line (and `task`, where there are several)
says the same. References are in the same layout, or a file with LongLaMP's
columns `input` and `output`, an `id`, and a `task` where there are several; any
list of `Example` does as well. In a file named as LongLaMP's are,
`<task>_<split>.jsonl` or `<task>/<split>.json`, rows without an `id` have those
that `load_longlamp` makes. Both must have the same ids.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np
from rouge_score.tokenizers import DefaultTokenizer

from keras_restpg import prompts
from keras_restpg._types import Path
from keras_restpg.data import longlamp, reading
from keras_restpg.data.words import words
from keras_restpg.errors import InputError
from keras_restpg.evaluation.metrics import overlap_metrics
from keras_restpg.records import ALL, Example
from keras_restpg.rewards import scoring
from keras_restpg.store.files import Files
from keras_restpg.tables import as_text

if TYPE_CHECKING:
    from keras_restpg.rewards.reward import RewardLike

# How ROUGE splits texts: as rouge-score does, or into words of any script.
_TOKENIZERS = ("rouge", "words")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One generated output.

    Attributes:
        id: of its example.
        output: the whole output, reasoning included.
        where: file and line, for messages.
    """

    id: str
    output: str
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Scored:
    """A file of predictions, scored.

    Attributes:
        rows: one dict a prediction: `id`, `task`, the metrics, and, with a
            reward, `judge`, its score; beside it a judge's `probabilities`
            and `expected_score`, or the `reason` why there was nothing to
            judge. Where the judge gave no score, `judge` is None and
            `unjudged` says why.
        means: `{task: {metric: mean, "count": n}}`, then `"all"`; `judge` is
            the mean of the scores that were given, NaN where none was.
        notes: sentences on what the scores do not say by themselves.
    """

    rows: list[dict]
    means: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Writes the rows as JSON, one a line.

        Raises:
            InputError: the file can't be written.
        """
        folder, name = os.path.split(path)
        lines = [json.dumps(row) + "\n" for row in self.rows]
        Files(folder or ".").write(name, "".join(lines).encode())

    def table(self) -> str:
        """The means as text, a line a task, then the notes."""
        metrics = [name for name in self.means[ALL] if name != "count"]
        head = ["task", *metrics, "count"]
        lines = [
            [task, *(f"{means[m]:.4f}" for m in metrics), str(means["count"])]
            for task, means in self.means.items()
        ]
        return "\n".join([as_text([head, *lines]), *self.notes])


def score_file(
    predictions: Path,
    references: Path | list[Example],
    reward: RewardLike | None = None,
    reasoning: bool = False,
    synonyms: bool = False,
    tokenizer: str = "rouge",
) -> Scored:
    """All that `keras-restpg judge` does.

    Args:
        predictions: path of the predictions.
        references: path of the references, or list of `Example`.
        reward: a reward whose scores stand beside the metrics as `judge`, or
            None for the metrics alone.
        reasoning: whether outputs have Figure 8's form; then only the final
            answers are compared, and an output without one counts 0.
        synonyms: whether METEOR uses WordNet's synonyms.
        tokenizer: what ROUGE compares: `"rouge"`, the words of rouge-score,
            which are of a-z and 0-9 alone, as in LongLaMP; or `"words"`,
            those of any script.

    Returns:
        A `Scored`.

    Raises:
        InputError: a file that does not fit, or ids that differ.
        ValueError: unknown `tokenizer`.
    """
    if tokenizer not in _TOKENIZERS:
        raise ValueError(
            f"`tokenizer` must be one of {', '.join(_TOKENIZERS)}. "
            f"Received: {tokenizer!r}"
        )
    read = read_predictions(predictions)
    if not isinstance(references, list):
        references = read_references(references)
    examples = {example.id: example for example in references}
    unasked = sum(not example.prompt for example in references)
    if reward is not None and unasked:
        raise InputError(
            f"{unasked} of {len(references)} references have no prompt, which "
            "a judge reads. Give references with the column 'input', such as "
            "the split's own file, or no judge."
        )
    rows = ((each.where, each.id, each) for each in read)
    reading.by_id(rows, predictions, examples)
    pairs = [(examples[prediction.id], prediction) for prediction in read]
    answers = [
        prompts.final_answer(prediction.output, reasoning)
        for prediction in read
    ]
    rows = _rows(pairs, answers, synonyms, tokenizer)
    if reward is not None:
        judged = _judged(pairs, answers, reward)
        for row, values in zip(rows, judged, strict=True):
            row.update(values)
    return Scored(
        rows, _means(rows), tuple(_notes(rows, pairs, answers, tokenizer))
    )


def read_predictions(path: Path) -> list[Prediction]:
    """The `Prediction`s of a file in either layout.

    Raises:
        InputError: not JSON, a field that is missing or no text, an id
            twice, or nothing at all.
    """
    found = reading.by_id(_predictions(path), path)
    if not found:
        raise InputError(f"{path}: there are no predictions in it")
    return list(found.values())


def _predictions(path):
    for where, row, _ in _rows_of(path):
        key = reading.text_of(row, "id", where)
        output = reading.text_of(row, "output", where)
        yield where, key, Prediction(key, output, where)


def read_references(path: Path) -> list[Example]:
    """The references of a file as `Example`s without documents.

    In LaMP's layout (`golds`) they have no prompts.

    Raises:
        InputError: as `read_predictions`.
    """
    found = reading.by_id(_references(path), path)
    if not found:
        raise InputError(f"{path}: there are no references in it")
    return list(found.values())


def _references(path):
    task, made = _named(path)
    for number, (where, row, gold) in enumerate(_rows_of(path)):
        key = reading.text_or(row, "id", where, made and f"{made}-{number}")
        if not key:
            raise InputError(
                f"{where}: the field 'id' is missing. Add it, or name the file "
                "<task>_<split>.jsonl: then ids are made as `load_longlamp` "
                "makes them."
            )
        asks = "input" in row or gold is None
        example = Example(
            id=key,
            task=reading.text_or(row, "task", where, gold or task),
            user=key,
            prompt=reading.text_of(row, "input", where) if asks else "",
            expected=reading.text_of(row, "output", where),
            documents=(),
        )
        yield where, key, example


def _named(path):
    """Task, and the beginning of made ids, of a file named as LongLaMP's."""
    path = pathlib.Path(path)
    task, _, split = reading.stem(path).rpartition("_")
    if not task:
        # The hub's <task>/<split>.json, or the only part of it.
        task = path.resolve().parent.name
        split = split.removesuffix("-00000-of-00001")
    if task and split in longlamp.SPLITS:
        return task, f"{task}-{split}"
    return "task", ""


def _rows_of(path):
    """`(where, row, None)` of a file's rows.

    Of LaMP's one object with its `golds`: `(where, row, the object's task)`.
    """
    for where, row in _objects(path):
        golds = row.get("golds")
        if golds is None:
            yield where, row, None
            continue
        if not isinstance(golds, list):
            raise InputError(f"{where}: field 'golds' must be a list")
        if not all(isinstance(each, dict) for each in golds):
            raise InputError(f"{where}: 'golds' must hold objects.")
        task = reading.text_or(row, "task", where)
        for each in golds:
            yield where, each, task


def _objects(path):
    """`(where, object)` of a JSONL file, or of one JSON object over lines."""
    if reading.suffix(path) != ".json":
        return reading.objects(path)
    with reading.opened(path) as file:
        data = file.read(1 << 10)
        if data.lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(b"["):
            return reading.objects(path)
        data += file.read()
    try:
        whole = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        return [(str(path), whole)]
    return reading.objects(path)


def _rows(pairs, answers, synonyms, tokenizer):
    expected = [example.expected for example, _ in pairs]
    answers = [answer or "" for answer in answers]
    with warnings.catch_warnings():
        # Texts without words are told of in the notes.
        warnings.simplefilter("ignore", UserWarning)
        found = overlap_metrics(expected, answers, synonyms, tokenizer)
    columns = {name: values.tolist() for name, values in found.items()}
    rows = []
    for (example, _), *values in zip(pairs, *columns.values(), strict=True):
        metrics = dict(zip(columns, values, strict=True))
        rows.append({"id": example.id, "task": example.task, **metrics})
    return rows


def _judged(pairs, answers, reward):
    asked = [i for i, answer in enumerate(answers) if answer is not None]
    found = scoring.judge(
        reward, [pairs[i][0] for i in asked], [answers[i] for i in asked]
    )
    by_index = dict(zip(asked, found, strict=True))
    for i in range(len(pairs)):
        if i not in by_index:
            yield {"judge": 0.0, "reason": "no final answer"}
            continue
        values = dataclasses.asdict(by_index[i])
        score = values.pop("score")
        if by_index[i].unjudged:
            score = None
        yield {"judge": score, **{k: v for k, v in values.items() if v}}


def _means(rows):
    tasks = sorted({row["task"] for row in rows})
    names = [n for n in ("judge", "rouge1", "rougeL", "meteor") if n in rows[0]]
    means = {}
    for task in [*tasks, ALL]:
        part = [row for row in rows if task in (ALL, row["task"])]
        means[task] = {n: _mean([row[n] for row in part]) for n in names}
        means[task]["count"] = len(part)
    return means


def _mean(values):
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _notes(rows, pairs, answers, tokenizer):
    count = len(pairs)
    unread = sum(_is_unread(example.expected) for example, _ in pairs)
    if unread and tokenizer == "rouge":
        yield (
            f"ROUGE reads a-z and 0-9 alone: in {unread} of {count} expected "
            "outputs it finds no words, or less than half of what is written "
            'there. For other scripts use tokenizer="words".'
        )
    missing = answers.count(None)
    if missing:
        yield f"{missing} of {count} outputs have no final answer and count 0."
    replies = [row["unjudged"] for row in rows if "unjudged" in row]
    if replies:
        yield (
            f"The judge gave {len(replies)} of {count - missing} answers no "
            f"score: they are left out of its mean. The first: {replies[0]}"
        )


def _is_unread(text):
    """Whether rouge-score's tokenizer misses most of a text."""
    read, written = (
        sum(map(len, tokens))
        for tokens in (DefaultTokenizer().tokenize(text), words(text))
    )
    return 2 * read <= written
