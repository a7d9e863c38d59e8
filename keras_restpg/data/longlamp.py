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

import dataclasses
import pathlib
import re

from keras_restpg.data import reading
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example

SPLITS = ("train", "val", "test")
HUB = "LongLaMP/LongLaMP"
TEMPLATES = ("paper", "benchmark")
# The benchmark's prompts hold this much of an abstract.
_WORDS = 750


@dataclasses.dataclass(frozen=True)
class Task:
    """What tells a task apart and how its documents are searched.

    Attributes:
        fields: fields of a profile item that make its text, in order.
        query: pattern of the input whose first group is the query; empty:
            the whole input is.
        user: columns that name the user, the first that is there.
        date: field of a profile item that dates it; empty: none.
        sentence: the benchmark's template: a document in the prompt.
        connector: the benchmark's template: what stands between the
            documents and the instruction.
    """

    fields: tuple[str, ...]
    sentence: str
    connector: str
    query: str = ""
    user: tuple[str, ...] = ()
    date: str = ""


TASKS = {
    "abstract": Task(
        ("title", "abstract"),
        '"{abstract}" is the abstract for the title "{title}"',
        ". Use the above abstracts as context to understand the style and "
        "language of the user and, ",
        r"items:(.*)",
        ("name",),
        "year",
    ),
    "review": Task(
        ("overall", "summary", "description", "reviewText"),
        '"{overall}" is a rating for the product with description '
        '"{description}". "{summary}" is summary for "{reviewText}"',
        ". Following the given patterns ",
        user=("reviewerId",),
    ),
    "topic": Task(
        ("summary", "content"),
        '"{summary}" is a summary for "{content}"',
        ". Following the given patterns, ",
        user=("author",),
    ),
    "email": Task(
        ("text",),
        '"{title}" is the title for "{text}"',
        ". ",
        r":(.*)",
        ("user_id", "id"),
    ),
}


def load_longlamp(
    config, split="train", source=None, limit=0, template="paper"
):
    """The examples of one configuration and split, a list of `Example`.

    Args:
        config: such as `"abstract_generation_user"` or
            `"product_review_temporal"`; with `source`, the beginning of the
            file's name.
        split: `"train"`, `"val"` or `"test"`.
        source: a file, or a folder with `<config>_<split>.jsonl` (or
            `.json`, `.parquet`); None is the Hugging Face hub
            (`pip install keras-restpg[hf]`): with a limit, rows are streamed
            from it, else the split is kept in its cache and read from disk.
        limit: the most examples; 0 is all.
        template: whose prompts the examples are for, `"paper"` or
            `"benchmark"`.

    Raises:
        InputError: no such file, split or template, or a row that does not
            fit; the message has file, line and field.

    Example:
    ```python
    examples = load_longlamp("topic_writing_user", "val", limit=100)
    ```
    """
    return list(stream_longlamp(config, split, source, limit, template))


def stream_longlamp(
    config, split="train", source=None, limit=0, template="paper"
):
    """As `load_longlamp`, one example at a time."""
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}. Received: {split!r}")
    if template not in TEMPLATES:
        raise InputError(
            f"template must be one of {TEMPLATES}. Received: {template!r}"
        )
    rows = (
        _hub(config, split, stream=bool(limit))
        if source is None
        else _local(config, split, pathlib.Path(source))
    )
    seen = set()
    for number, (where, row) in enumerate(rows):
        if limit and number >= limit:
            return
        name = f"{config}-{split}-{number}"
        example = to_example(row, name, config, where, template)
        if example.id in seen:
            raise InputError(
                f"{where}: the id {example.id!r} was there before. Give each "
                "row its own."
            )
        seen.add(example.id)
        yield example


def load_folder(folder, split, tasks=(), limit=0, template="paper"):
    """The examples of all tasks in a folder of `<task>_<split>` files.

    Args:
        folder: path.
        split: `"train"`, `"val"` or `"test"`.
        tasks: names of tasks; empty: all that have such a file.
        limit: the most examples a task; 0 is all.
        template: as for `load_longlamp`.

    Returns:
        list of `Example`, tasks in order of their names.

    Raises:
        InputError: as `load_longlamp`, or no task in the folder.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    names = sorted(tasks) or sorted(
        path.stem.removesuffix(f"_{split}")
        for path in folder.iterdir()
        if path.suffix in reading.FORMATS and path.stem.endswith(f"_{split}")
    )
    if not names:
        raise InputError(
            f"{folder}: there is no file <task>_{split} "
            f"({', '.join(reading.FORMATS)})."
        )
    return [
        example
        for name in names
        for example in stream_longlamp(name, split, folder, limit, template)
    ]


def to_example(row, name, task, where, template="paper"):
    """One row as an `Example`.

    Args:
        row: dict with LongLaMP's columns.
        name: the example's id where the row has none.
        task: the task's name in reports.
        where: file and line, for messages.
        template: as for `load_longlamp`.

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
            item, kind, f"{where}, profile item {number}", number, template
        )
        for number, item in enumerate(profile, 1)
    )
    found = re.search(kind.query, prompt, re.DOTALL) if kind.query else None
    user = next((column for column in kind.user if column in row), None)
    key = reading.text_of(row, "id", where) if "id" in row else name
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


def _document(item, kind, where, number, template):
    if not isinstance(item, dict):
        raise InputError(f"{where}: must be an object. Received: {item!r:.80}")
    texts = {name: reading.text_of(item, name, where) for name in kind.fields}
    date = kind.date and item.get(kind.date)
    text = " ".join(text for text in texts.values() if text.strip())
    return Document(
        text=_sentence(item, kind, texts) if template == "benchmark" else text,
        id=str(item.get("id", number)),
        search_text=text if template == "benchmark" else "",
        date=str(date or ""),
    )


def _sentence(item, kind, texts):
    """A document as the benchmark's prompts have it."""
    texts = {"title": str(item.get("title", "")), **texts}
    if "abstract" in texts:
        texts["abstract"] = " ".join(texts["abstract"].split()[:_WORDS])
    return kind.sentence.format(**texts)


def _local(config, split, source):
    if source.is_dir():
        paths = [source / f"{config}_{split}{f}" for f in reading.FORMATS]
        source = next((path for path in paths if path.is_file()), paths[0])
    return reading.objects(source)


def _hub(config, split, stream):
    try:
        import datasets
    except ImportError:
        raise InputError(
            "LongLaMP from the hub needs the `datasets` library: "
            "`pip install keras-restpg[hf]`. Or give `source`, a folder of "
            "local files."
        ) from None
    try:
        rows = datasets.load_dataset(HUB, config, split=split, streaming=stream)
    except (ValueError, OSError) as error:
        raise InputError(f"{HUB}, {config}, {split}: {error}") from None
    return (
        (f"{HUB}, {config}, {split}, row {i}", row)
        for i, row in enumerate(rows, 1)
    )
