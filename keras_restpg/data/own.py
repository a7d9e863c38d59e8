"""Examples from one's own files.

A file has the examples: one a row, or one document a row under its prompt and
expected output (`Columns`). Or it has users' documents alone
(`load_documents`), and examples are made by holding each user's last document
out (`hold_out`).
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

from keras_restpg._types import Path
from keras_restpg.data import csv_file, dates, reading
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.seeds import draw


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which column holds what; an empty name means there is none.

    Attributes:
        prompt: the instruction.
        expected: what the user wrote.
        documents: past documents, a list of texts or of objects with the
            field `text` (and `id`, `date`); in a CSV file, that list as JSON.
        user: whose these are.
        id: the example's id; made from the row's number where empty.
        task: the task's name.
        document: one past document a row, in place of `documents`: rows with
            the same id or, where there is no column of ids, with the same
            user, prompt and expected output are one example.
    """

    prompt: str = "prompt"
    expected: str = "expected"
    documents: str = "documents"
    user: str = "user"
    id: str = ""
    task: str = ""
    document: str = ""


def load_jsonl(
    path: Path,
    columns: Columns | None = None,
    task: str = "own",
    date_format: str = "",
) -> list[Example]:
    """Examples of a file; `load_csv` and `load_parquet` are the same.

    Args:
        path: of a `.jsonl`, `.json`, `.parquet` or `.csv` file.
        columns: a `Columns`.
        task: the task's name where there is no column for it.
        date_format: of the documents' dates, as for `load_documents`.

    Returns:
        list of `Example`, in the order of their first rows.

    Raises:
        InputError: a row that does not fit, with file, line and field, or an
            id that is there twice.

    Example:
    ```python
    # {"prompt": "Write of tea", "expected": "Tea is", "user": "ann",
    #  "documents": ["Coffee is", "Milk is"]}
    load_jsonl("examples.jsonl")

    # user,prompt,expected,past
    # ann,Write of tea,Tea is,Coffee is
    # ann,Write of tea,Tea is,Milk is
    load_csv("examples.csv", Columns(document="past"))
    ```
    """
    columns, names, found = columns or Columns(), {}, {}
    stem = pathlib.Path(path).stem
    for number, (where, row) in enumerate(_rows(path)):
        name = f"{stem}-{number}"
        if columns.document:
            name = names.setdefault(_group(row, columns), name)
        example = _example(row, columns, task, name, where)
        first, documents = found.setdefault(example.id, (example, []))
        if documents and not (columns.document and example == first):
            raise InputError(
                f"{where}: the id {example.id!r} was there before. Give each "
                "example its own."
            )
        documents += _documents(
            row, columns, len(documents) + 1, where, date_format
        )
    return [
        dataclasses.replace(example, documents=tuple(documents))
        for example, documents in found.values()
    ]


load_csv = load_parquet = load_jsonl


def load_documents(
    path: Path,
    user: str = "user",
    text: str = "text",
    date: str = "",
    date_format: str = "",
) -> dict[str, tuple[Document, ...]]:
    """Users' documents from a file with one document a row.

    Args:
        path: of a `.csv`, `.jsonl`, `.json` or `.parquet` file.
        user: column of the user.
        text: column of the document.
        date: column of its date, in any form of `data.dates.parse`; empty:
            rows are in order. A document without a date comes first.
        date_format: how all dates are written, as for `strptime`, where
            that can't be told from them: `"%d/%m/%Y"`. What sorts the
            documents later (`hold_out`, `MostRecent`) needs it too.

    Returns:
        `{user: tuple of Document}`, oldest first.

    Raises:
        InputError: a row that does not fit, with file, line and column; a
            date that cannot be read or could mean two days.
    """
    users = {}
    for number, (where, row) in enumerate(_rows(path)):
        undated = not date or row.get(date, date) is None
        document = Document(
            text=_filled(row, text, where),
            id=str(number),
            date=""
            if undated
            else dates.text_of(row, date, where, date_format),
        )
        users.setdefault(_filled(row, user, where), []).append(document)
    return {
        name: _oldest_first(documents, date_format)
        for name, documents in users.items()
    }


def hold_out(
    users: Mapping[str, Sequence[Document]],
    prompt: Callable[[Document], str],
    task: str = "own",
    least: int = 2,
    date_format: str = "",
) -> list[Example]:
    """Examples whose expected output is each user's last document.

    Args:
        users: `{user: tuple of Document}`. They are sorted by their dates;
            of equal ones, and where there are none, the order stays. One
            without a date comes first.
        prompt: from a `Document` to the instruction that asks for it.
        task: the task's name.
        least: documents that a user needs; others are left out.
        date_format: of the dates, as for `load_documents`.

    Returns:
        list of `Example`.

    Raises:
        InputError: a date that cannot be read or could mean two days.
    """
    ordered = {
        user: _oldest_first(documents, date_format)
        for user, documents in users.items()
    }
    return [
        Example(
            id=f"{task}-{user}",
            task=task,
            user=user,
            prompt=prompt(documents[-1]),
            expected=documents[-1].text,
            documents=documents[:-1],
        )
        for user, documents in ordered.items()
        if len(documents) >= max(least, 2)
    ]


def _oldest_first(documents, date_format):
    moment = functools.partial(dates.moment, date_format=date_format)
    return tuple(sorted(documents, key=moment))


def split_by_user(
    examples: Sequence[Example],
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> dict[str, list[Example]]:
    """`{"train", "val", "test"}`, no user in two of them.

    Args:
        examples: list of `Example`.
        shares: of the users, about.
        seed: of the draw, which depends on a user's name alone.

    Raises:
        ValueError: shares that do not sum to 1.
    """
    if len(shares) != 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise ValueError(
            f"shares must be three that sum to 1. Received: {shares}"
        )
    splits = {"train": [], "val": [], "test": []}
    for example in examples:
        number = int.from_bytes(draw(seed, example.user)[:7], "big") / 2**56
        split = "train" if number < shares[0] else "val"
        if number >= shares[0] + shares[1]:
            split = "test"
        splits[split].append(example)
    return splits


def _rows(path):
    if pathlib.Path(path).suffix == ".csv":
        return csv_file.rows(path)
    return reading.objects(path)


def _group(row, columns):
    """What the rows of one example share, where they have no id."""
    shared = (columns.user, columns.prompt, columns.expected)
    return str([row.get(column) for column in shared])


def _example(row, columns, task, name, where):
    """A row's `Example`, without its documents."""
    key = reading.text_of(row, columns.id, where) if columns.id else name
    return Example(
        id=key,
        task=_filled(row, columns.task, where) if columns.task else task,
        user=_filled(row, columns.user, where) if columns.user else key,
        prompt=_filled(row, columns.prompt, where),
        expected=_filled(row, columns.expected, where),
        documents=(),
    )


def _documents(row, columns, number, where, date_format):
    """A row's documents; `number` is the first one's in the profile."""
    if columns.document:
        return [Document(_filled(row, columns.document, where), str(number))]
    given = row.get(columns.documents)
    documents = _parsed(given) if isinstance(given, str) else given
    if not isinstance(documents, list) or not documents:
        raise InputError(
            f"{where}: the field {columns.documents!r} must be a list of at "
            "least one document; for one document a row, name its column as "
            f"`Columns.document`. Received: {str(given)[:80]!r}"
        )
    return [
        _document(item, i, f"{where}, document {i}", date_format)
        for i, item in enumerate(documents, number)
    ]


def _parsed(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _document(item, number, where, date_format):
    if isinstance(item, str):
        return Document(item, str(number))
    if not isinstance(item, dict):
        raise InputError(
            f"{where}: must be text, or an object with the field 'text'. "
            f"Received: {str(item)[:80]!r}"
        )
    return Document(
        text=reading.text_of(item, "text", where),
        id=reading.text_or(item, "id", where, str(number)),
        date=dates.text_or(item, "date", where, date_format),
    )


def _filled(row, field, where):
    text = reading.text_of(row, field, where)
    if not text.strip():
        raise InputError(f"{where}: the field {field!r} is empty.")
    return text
