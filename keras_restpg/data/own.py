"""Examples from one's own files.

A file has the examples: one a row, or one document a row under its prompt and
expected output (`Columns`). Or it has users' documents alone
(`load_documents`), and examples are made by holding each user's last document
out (`hold_out`).
"""

import dataclasses
import functools
import json
import warnings
from collections.abc import Callable, Mapping, Sequence

from keras_restpg._types import Path
from keras_restpg.data import csv_file, dates, reading
from keras_restpg.data.longlamp import SPLITS
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
    stem = reading.stem(path)
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
    most: int = 1,
    words: int = 0,
    past: int = 0,
) -> list[Example]:
    """Examples whose expected output is one of a user's last documents.

    What is older than it is the profile: nothing later is ever known.

    Args:
        users: `{user: tuple of Document}`. They are sorted by their dates;
            of equal ones, and where there are none, the order stays. One
            without a date comes first.
        prompt: from a `Document` to the instruction that asks for it.
        task: the task's name.
        least: documents that a user needs, and that an example is made of;
            users who have fewer are left out.
        date_format: of the dates, as for `load_documents`.
        most: the most examples of a user, made of the last documents; 0: of
            all that are worth it.
        words: words that a document needs to be worth an example; where none
            has as many, a user has no example.
        past: the most documents of a profile, the last before the expected
            output; 0: all.

    Returns:
        list of `Example`, those of a user oldest first.

    Raises:
        InputError: a date that cannot be read or could mean two days.
    """
    examples = []
    for user, documents in users.items():
        ordered = _oldest_first(documents, date_format)
        worth = [
            place
            for place in range(max(least, 2) - 1, len(ordered))
            if len(ordered[place].text.split()) >= words
        ]
        for place in worth[-most:]:
            target = ordered[place]
            number = "" if most == 1 else f"-{place}"
            examples.append(
                Example(
                    id=f"{task}-{user}{number}",
                    task=task,
                    user=user,
                    prompt=prompt(target),
                    expected=target.text,
                    documents=ordered[:place][-past:],
                )
            )
    return examples


def _oldest_first(documents, date_format):
    moment = functools.partial(dates.moment, date_format=date_format)
    return tuple(sorted(documents, key=moment))


def split_by_user(
    examples: Sequence[Example],
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> dict[str, list[Example]]:
    """`{"train", "val", "test"}`, no user in two of them.

    A user's split depends on the user's name alone, as long as every split
    gets somebody by that. With few users, the nearest one is moved into a
    split that would be empty; with fewer users than splits there is a
    warning.

    Args:
        examples: list of `Example`.
        shares: of the users, about.
        seed: of the draw.

    Raises:
        ValueError: shares that do not sum to 1.
    """
    _check_shares(shares)
    users = sorted({e.user for e in examples}, key=lambda u: _draw(u, seed))
    limits = (shares[0], shares[0] + shares[1])
    places = [
        sum(_draw(user, seed) >= limit for limit in limits) for user in users
    ]
    places = _without_gaps(places, shares) if users else []
    split_of = dict(zip(users, places, strict=True))
    splits = {name: [] for name in SPLITS}
    for example in examples:
        splits[SPLITS[split_of[example.user]]].append(example)
    _warn_of_empty(splits, shares, f"users: {len(users)}")
    return splits


def split_by_time(
    examples: Sequence[Example],
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> dict[str, list[Example]]:
    """`{"train", "val", "test"}`, of each user the newest for testing.

    For one person or a few: who is tested was trained on, and what is tested
    is newer than all that was.

    Args:
        examples: list of `Example`, those of a user oldest first, as
            `hold_out` gives them.
        shares: of each user's examples, about; a user with three or more has
            one in each split whose share is not 0.

    Raises:
        ValueError: shares that do not sum to 1.
    """
    _check_shares(shares)
    users, splits = {}, {name: [] for name in SPLITS}
    for example in examples:
        users.setdefault(example.user, []).append(example)
    for each in users.values():
        limits = (shares[0], shares[0] + shares[1])
        places = [
            sum((number + 0.5) / len(each) >= limit for limit in limits)
            for number in range(len(each))
        ]
        for place, example in zip(
            _without_gaps(places, shares), each, strict=True
        ):
            splits[SPLITS[place]].append(example)
    _warn_of_empty(splits, shares, f"examples: {len(examples)}")
    return splits


def _check_shares(shares):
    if len(shares) != 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise ValueError(
            f"shares must be three that sum to 1. Received: {shares}"
        )


def _draw(user, seed):
    """A number from 0 to 1 that depends on the user's name and the seed."""
    return int.from_bytes(draw(seed, user)[:7], "big") / 2**56


def _without_gaps(places, shares):
    """Splits (0, 1, 2) in rising order, with none empty that has a share.

    Where there are fewer than splits, the earlier splits have them.
    """
    wanted = [split for split in range(3) if shares[split]]
    ranks = [wanted.index(min(place, wanted[-1])) for place in places]
    ranks[0] = 0
    for number in range(1, len(ranks)):
        ranks[number] = min(ranks[number], ranks[number - 1] + 1)
    ranks[-1] = max(ranks[-1], min(len(wanted), len(ranks)) - 1)
    for number in reversed(range(len(ranks) - 1)):
        ranks[number] = max(ranks[number], ranks[number + 1] - 1)
    return [wanted[rank] for rank in ranks]


def _warn_of_empty(splits, shares, there):
    wanted = [name for name, share in zip(SPLITS, shares, strict=True) if share]
    empty = [name for name in wanted if not splits[name]]
    if empty:
        warnings.warn(
            f"The split {' and '.join(empty)} is empty; {len(wanted)} are "
            f"needed to fill each ({there}).",
            stacklevel=3,
        )


def _rows(path):
    if reading.suffix(path) in (".csv", ".tsv"):
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
