"""Texts of tables: a row each, or the messages of a chat's export."""

import json
import pathlib
from collections.abc import Iterator

from keras_restpg.data import chats, csv_file, dates, reading
from keras_restpg.data.piece import Piece, Reading
from keras_restpg.errors import InputError

# What a table's columns can hold.
COLUMNS = ("text", "title", "user", "date")


def pieces(path: pathlib.Path, how: Reading) -> Iterator[Piece]:
    """The texts of a `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file.

    Raises:
        InputError: a row that does not fit, with file, line and column.
    """
    if reading.suffix(path) in (".csv", ".tsv"):
        return _texts(csv_file.rows(path), how)
    if reading.suffix(path) == ".json":
        return _json(path, how)
    return _texts(reading.objects(path), how)


def _json(path, how):
    """A table, or the chat that the rows, or the whole file, are."""
    if whole := _one_object(path):
        return chats.telegram(whole, str(path))
    rows = reading.objects(path)
    first = next(rows)
    every = _with_first(first, rows)
    if chats.is_slack(first[1]):
        return chats.slack(every)
    return _texts(every, how)


def _with_first(first, rows):
    yield first
    yield from rows


def _one_object(path):
    """The object that a whole file is, if it is a chat's; else None."""
    with reading.opened(path) as file:
        head = file.read(1 << 16)
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        if b'"messages"' not in head and b'"chats"' not in head:
            return None
        rest = file.read(reading.LONGEST)
    try:
        whole = json.loads((head + rest).decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None  # A line each, or what `reading.objects` refuses.
    return whole if chats.is_telegram(whole) else None


def _texts(rows, how):
    columns = {name: how.columns.get(name, name) for name in COLUMNS}
    for where, row in rows:
        if columns["text"] not in row:
            raise InputError(
                f"{where}: there is no column {columns['text']!r} with the "
                f"texts. There are: {', '.join(map(str, row))}. Say which one "
                "has them, such as text=body."
            )
        for name, column in how.columns.items():
            if column not in row:
                raise InputError(
                    f"{where}: there is no column {column!r} for the {name}. "
                    f"There are: {', '.join(map(str, row))}"
                )
        text, title, user, date = (
            reading.text_or(row, columns[name], where).strip()
            for name in COLUMNS
        )
        if date:
            place = f"{where}, the field {columns['date']!r}"
            date = dates.iso(date, place, how.date_format)
        yield Piece(text, where, title, user, date)
