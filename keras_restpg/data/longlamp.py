"""LongLaMP (Kumar et al., 2024, arXiv:2407.11016): four long-writing tasks.

A row has `input`, `output` and a `profile` of past documents; its task shows
in the columns of the profile. Numbers among the texts become text, and ids,
which the benchmark leaves out, are made of configuration, split and row.

What is indexed for retrieval and what is searched for are the benchmark's
(`TASKS`). A document goes into prompts with the same text, in its original
letters: the benchmark's own code puts it through the retriever's tokenizer,
which lower-cases it and cuts it at 512 tokens.

The paper's prompts (Figure 8) are the same for all tasks. The benchmark's own
are an alternative, `template="benchmark"`: a sentence about each document, and
words of the task between these and the instruction.
"""

import glob
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_restpg._types import Path
from keras_restpg.data import dates, hub, reading
from keras_restpg.data.tasks import TASKS
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example

SPLITS = ("train", "val", "test")
TEMPLATES = ("paper", "benchmark")
# train-00000-of-00002, as the hub names the parts of a split.
_PART = re.compile(r"(?P<split>\w+)-(?P<number>\d+)-of-(?P<count>\d{1,6})")
# The benchmark's prompts hold this much of an abstract.
_WORDS = 750


def load_longlamp(
    config: str,
    split: str = "train",
    source: Path | None = None,
    limit: int = 0,
    template: str = "paper",
    date_format: str = "",
) -> list[Example]:
    """The examples of one configuration and split, a list of `Example`.

    Args:
        config: such as `"abstract_generation_user"` or
            `"product_review_temporal"`; with `source`, the beginning of the
            file's name.
        split: `"train"`, `"val"` or `"test"`.
        source: a file, or a folder with `<config>_<split>.jsonl` (or
            `.ndjson`, `.json`, `.parquet`, all but the last also as `.gz`),
            or with the hub's `<config>/<split>-00000-of-00002.parquet`; None
            is the Hugging Face hub
            (`pip install keras-restpg[hf]`): with a limit, rows are streamed
            from it, else the split is kept in its cache and read from disk.
        limit: the most examples; 0 is all.
        template: whose prompts the examples are for, `"paper"` or
            `"benchmark"`.
        date_format: how all dates are written, as for `strptime`; empty: in
            any form that `dates.parse` reads.

    Raises:
        InputError: no such file, split or template, or a row that does not
            fit; the message has file, line and field.

    Example:
    ```python
    examples = load_longlamp("topic_writing_user", "val", limit=100)
    ```
    """
    return list(
        stream_longlamp(config, split, source, limit, template, date_format)
    )


def stream_longlamp(
    config: str,
    split: str = "train",
    source: Path | None = None,
    limit: int = 0,
    template: str = "paper",
    date_format: str = "",
) -> Iterator[Example]:
    """As `load_longlamp`, one example at a time.

    Memory holds one row of JSON, or one row group of Parquet.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}. Received: {split!r}")
    if template not in TEMPLATES:
        raise InputError(
            f"template must be one of {TEMPLATES}. Received: {template!r}"
        )
    rows = (
        hub.rows(hub.LONGLAMP, config, split, stream=bool(limit))
        if source is None
        else _local(config, split, pathlib.Path(source))
    )
    seen = set()
    for number, (where, row) in enumerate(rows):
        if limit and number >= limit:
            return
        name = f"{config}-{split}-{number}"
        example = to_example(row, name, config, where, template, date_format)
        if example.id in seen:
            raise InputError(
                f"{where}: the id {example.id!r} was there before. Give each "
                "row its own."
            )
        seen.add(example.id)
        yield example


def load_folder(
    folder: Path,
    split: str,
    tasks: Sequence[str] = (),
    limit: int = 0,
    template: str = "paper",
    date_format: str = "",
) -> list[Example]:
    """The examples of all tasks in a folder, as of `load_longlamp`.

    Args:
        folder: path.
        split: `"train"`, `"val"` or `"test"`.
        tasks: names of tasks; empty: all that have such a file.
        limit: the most examples a task; 0 is all.
        template: as for `load_longlamp`.
        date_format: as for `load_longlamp`.

    Returns:
        list of `Example`, tasks in order of their names.

    Raises:
        InputError: as `load_longlamp`; no task in the folder, or an id in
            two of them.
    """
    there = tasks_of(folder, split)
    names = sorted(set(tasks)) or there
    if not names:
        raise InputError(
            f"{folder}: there is no file <task>_{split} "
            f"({', '.join(reading.FORMATS)}), and no <task>/{split}."
        )
    found = {}
    for name in names:
        for example in stream_longlamp(
            name, split, folder, limit, template, date_format
        ):
            first = found.setdefault(example.id, example)
            if first is not example:
                raise InputError(
                    f"{folder}, {split}: the tasks {first.task!r} and "
                    f"{name!r} both have the id {example.id!r}. Give each "
                    "row its own."
                )
    return list(found.values())


def tasks_of(folder: Path, split: str) -> list[str]:
    """Names of the tasks of which a folder has a file, a sorted list.

    Raises:
        InputError: there is no such folder.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    files = [path for path in folder.iterdir() if _is_rows(path)]
    flat = {reading.stem(path).removesuffix(f"_{split}") for path in files}
    return sorted(
        {name for name in flat if _flat(folder, name, split)}
        | {path.name for path in folder.iterdir() if _of_hub(path, split)}
    )


def to_example(
    row: Mapping[str, Any],
    name: str,
    task: str,
    where: str,
    template: str = "paper",
    date_format: str = "",
) -> Example:
    """One row as an `Example`.

    Args:
        row: dict with LongLaMP's columns.
        name: the example's id where the row has none.
        task: the task's name in reports.
        where: file and line, for messages.
        template: as for `load_longlamp`.
        date_format: as for `load_longlamp`.

    Raises:
        InputError: a field is missing, empty or of another type.
    """
    profile = row.get("profile")
    if not isinstance(profile, list) or not profile:
        raise InputError(
            f"{where}: the field 'profile' must be a list of past documents "
            "with at least one. Leave users without documents out."
        )
    kind = TASKS[_kind(profile[0], where)]
    prompt = _filled(row, "input", where)
    documents = tuple(
        _document(
            item,
            kind,
            f"{where}, profile item {number}",
            number,
            template,
            date_format,
        )
        for number, item in enumerate(profile, 1)
    )
    found = re.search(kind.query, prompt, re.DOTALL) if kind.query else None
    user = next((c for c in kind.user if row.get(c) is not None), None)
    key = reading.text_or(row, "id", where, name)
    return Example(
        id=key,
        task=task,
        user=reading.text_of(row, user, where) if user else key,
        prompt=prompt,
        expected=_filled(row, "output", where),
        documents=documents,
        query=found.group(1).strip() if found else "",
        connector=kind.connector if template == "benchmark" else "",
    )


def _kind(item, where):
    """The task of a profile item, known by its fields."""
    for name, task in TASKS.items():
        if isinstance(item, dict) and set(task.fields) <= set(item):
            return name
    fields = list(item) if isinstance(item, dict) else item
    raise InputError(
        f"{where}: the items of 'profile' must have the fields of a LongLaMP "
        "task: "
        + "; ".join(
            f"{name}: {', '.join(task.fields)}" for name, task in TASKS.items()
        )
        + f". Received: {str(fields)[:80]}"
    )


def _filled(row, field, where):
    text = reading.text_of(row, field, where)
    if not text.strip():
        raise InputError(f"{where}: the field {field!r} is empty.")
    return text


def _document(item, kind, where, number, template, date_format):
    if not isinstance(item, dict):
        raise InputError(f"{where}: must be an object. Received: {item!r:.80}")
    nulls = {f for f in kind.fields if f in item and item[f] is None}
    texts = {
        field: "" if field in nulls else reading.text_of(item, field, where)
        for field in kind.fields
    }
    text = " ".join(text for text in texts.values() if text.strip())
    if nulls and not text:
        raise InputError(
            f"{where}: one of {', '.join(kind.fields)} must have text."
        )
    if template == "benchmark":
        title = reading.text_or(item, "title", where)
        shown, search_text = _sentence(kind, {"title": title, **texts}), text
    else:
        shown, search_text = text, ""
    return Document(
        text=shown,
        id=reading.text_or(item, "id", where, str(number)),
        search_text=search_text,
        date=dates.text_or(item, kind.date, where, date_format),
    )


def _sentence(kind, texts):
    """A document as the benchmark's prompts have it."""
    if "abstract" in texts:
        words = texts["abstract"].split()[:_WORDS]
        texts = texts | {"abstract": " ".join(words)}
    return kind.sentence.format(**texts)


def _local(config, split, source):
    source = source.expanduser()
    if not source.is_dir():
        yield from reading.objects(source)
        return
    there = _flat(source, config, split) + _of_hub(source / config, split)
    if not there:
        raise InputError(
            f"{source}: there is no such file as {config}_{split}.jsonl or "
            f"{config}/{split}-00000-of-00001.parquet, of one of the kinds "
            f"{', '.join(reading.FORMATS)}."
        )
    if len(there) > 1:
        raise InputError(
            f"{there[0][0]} and {there[1][0].relative_to(source)}: both are "
            f"the task {config!r}. Keep one of them in the folder."
        )
    for path in there[0]:
        yield from reading.objects(path)


def _flat(folder, config, split):
    """Lists of one file each: `<config>_<split>.jsonl`."""
    return [
        [path]
        for path in sorted(folder.glob(f"{glob.escape(config)}_{split}.*"))
        if _is_rows(path) and reading.stem(path) == f"{config}_{split}"
    ]


def _of_hub(folder, split):
    """Lists of files: `<split>.json`, or the parts that are one split.

    Raises:
        InputError: a part is missing.
    """
    found, parts = [], {}
    for path in sorted(folder.glob(f"{split}*")) if folder.is_dir() else ():
        name = reading.stem(path)
        part = _PART.fullmatch(name)
        if _is_rows(path) and name == split:
            found.append([path])
        elif _is_rows(path) and part and part["split"] == split:
            kind = path.name.removeprefix(name)
            parts.setdefault((part["count"], kind), []).append(path)
    for (count, kind), paths in parts.items():
        for number in range(int(count)):
            name = f"{split}-{number:0{len(count)}}-of-{count}{kind}"
            if folder / name not in paths:
                raise InputError(
                    f"{folder / name}: there is no such file, but others of "
                    f"its {int(count)} parts. Download all of them."
                )
        found.append(paths)
    return found


def _is_rows(path):
    return reading.suffix(path) in reading.FORMATS and path.is_file()
