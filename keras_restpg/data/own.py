"""Examples from one's own files.

Either each row is an example (prompt, expected output, documents), or each
row is one document of a user, and examples are made by holding a user's last
document out (`hold_out`).
"""

import csv
import dataclasses
import hashlib
import pathlib
import re

from keras_restpg.data import reading
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d\s()./-]{6,}\d(?!\w)")
# Characters of a CSV field; csv's own limit is 128 KiB.
_FIELD = 1 << 28


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which column holds what; an empty name means there is none.

    Attributes:
        prompt: the instruction.
        expected: what the user wrote.
        documents: past documents, a list of texts or of objects with the
            field `text`.
        user: whose these are.
        id: the example's id; made from the row's number where empty.
        task: the task's name.
    """

    prompt: str = "prompt"
    expected: str = "expected"
    documents: str = "documents"
    user: str = "user"
    id: str = ""
    task: str = ""


def load_jsonl(path, columns=None, task="own"):
    """Examples of a `.jsonl`, `.json` or `.parquet` file, one a row.

    Args:
        path: of the file.
        columns: a `Columns`.
        task: the task's name where there is no column for it.

    Returns:
        list of `Example`.

    Raises:
        InputError: a row that does not fit, with file, line and field, or an
            id that is there twice.
    """
    columns, found = columns or Columns(), {}
    name = pathlib.Path(path).stem
    for number, (where, row) in enumerate(reading.objects(path)):
        example = _example(row, columns, task, f"{name}-{number}", where)
        if example.id in found:
            raise InputError(f"{where}: the id {example.id!r} was there before")
        found[example.id] = example
    return list(found.values())


load_parquet = load_jsonl


def load_documents(path, user="user", text="text", date=""):
    """Users' documents from a file with one document a row.

    Args:
        path: of a `.csv`, `.jsonl`, `.json` or `.parquet` file.
        user: column of the user.
        text: column of the document.
        date: column of its date, ISO or a year; empty: rows are in order.

    Returns:
        `{user: tuple of Document}`, oldest first.

    Raises:
        InputError: a row that does not fit, with file, line and column.
    """
    path = pathlib.Path(path)
    rows = _csv(path) if path.suffix == ".csv" else reading.objects(path)
    users = {}
    for number, (where, row) in enumerate(rows):
        document = Document(
            text=_filled(row, text, where),
            id=str(number),
            date=reading.text_of(row, date, where) if date else "",
        )
        users.setdefault(_filled(row, user, where), []).append(document)
    return {
        name: tuple(sorted(documents, key=lambda document: document.date))
        for name, documents in users.items()
    }


load_csv = load_documents


def hold_out(users, prompt, task="own", least=2):
    """Examples whose expected output is each user's last document.

    Args:
        users: `{user: tuple of Document}`, oldest first.
        prompt: from a `Document` to the instruction that asks for it.
        task: the task's name.
        least: documents that a user needs; others are left out.

    Returns:
        list of `Example`.
    """
    return [
        Example(
            id=f"{task}-{user}",
            task=task,
            user=user,
            prompt=prompt(documents[-1]),
            expected=documents[-1].text,
            documents=tuple(documents[:-1]),
        )
        for user, documents in users.items()
        if len(documents) >= max(least, 2)
    ]


def split_by_user(examples, shares=(0.8, 0.1, 0.1), seed=0):
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
        name = f"{seed}/{example.user}".encode("utf-8", "surrogatepass")
        draw = int.from_bytes(hashlib.sha256(name).digest()[:7], "big") / 2**56
        split = "train" if draw < shares[0] else "val"
        if draw >= shares[0] + shares[1]:
            split = "test"
        splits[split].append(example)
    return splits


def drop_near_copies(examples, limit=0.5):
    """Takes documents that nearly repeat the expected output out of profiles.

    Where the target stands in its own profile, a model learns to copy.

    Args:
        examples: list of `Example`.
        limit: the largest share of the target's distinct 5-grams of words
            that a document may contain; of a target of fewer words, the
            whole text counts.

    Returns:
        `(examples, count)`: those that still have documents, and how many
        documents were taken out.
    """
    kept, dropped = [], 0
    for example in examples:
        target = _grams(example.expected)
        documents = tuple(
            document
            for document in example.documents
            if len(target & _grams(document.text)) <= limit * len(target)
        )
        dropped += len(example.documents) - len(documents)
        if documents:
            kept.append(dataclasses.replace(example, documents=documents))
    return kept, dropped


def scrub(examples):
    """The examples with e-mail addresses and phone numbers replaced.

    They become `<email>` and `<phone>` in prompts, outputs and documents.
    """

    def clean(text):
        return _PHONE.sub("<phone>", _EMAIL.sub("<email>", text))

    return [
        dataclasses.replace(
            example,
            prompt=clean(example.prompt),
            expected=clean(example.expected),
            query=clean(example.query),
            documents=tuple(
                dataclasses.replace(
                    document,
                    text=clean(document.text),
                    search_text=clean(document.search_text),
                )
                for document in example.documents
            ),
        )
        for example in examples
    ]


def _example(row, columns, task, name, where):
    documents = row.get(columns.documents)
    if not isinstance(documents, list) or not documents:
        raise InputError(
            f"{where}: the field {columns.documents!r} must be a list of at "
            f"least one document. Received: {str(documents)[:80]!r}"
        )
    key = reading.text_of(row, columns.id, where) if columns.id else name
    return Example(
        id=key,
        task=_filled(row, columns.task, where) if columns.task else task,
        user=_filled(row, columns.user, where) if columns.user else key,
        prompt=_filled(row, columns.prompt, where),
        expected=_filled(row, columns.expected, where),
        documents=tuple(
            _document(item, number, f"{where}, document {number}")
            for number, item in enumerate(documents, 1)
        ),
    )


def _document(item, number, where):
    if isinstance(item, str):
        return Document(item, str(number))
    if not isinstance(item, dict):
        raise InputError(
            f"{where}: must be text, or an object with the field 'text'. "
            f"Received: {str(item)[:80]!r}"
        )
    return Document(
        text=reading.text_of(item, "text", where),
        id=str(item.get("id", number)),
        date=str(item.get("date", "")),
    )


def _filled(row, field, where):
    text = reading.text_of(row, field, where)
    if not text.strip():
        raise InputError(f"{where}: the field {field!r} is empty.")
    return text


def _csv(path):
    csv.field_size_limit(_FIELD)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise InputError(
                        f"{where}: {len(reader.fieldnames)} columns are named "
                        "in the first line; this row has another number."
                    )
                yield where, row
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 ({error}). Save the file as UTF-8."
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}: not CSV ({error}).") from None


def _grams(text):
    words = re.findall(r"\w+", text.lower())
    size = min(5, max(len(words), 1))
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
