"""Rows of a CSV file, with where each one stands."""

import csv
from collections.abc import Iterator

from keras_restpg._types import Path
from keras_restpg.errors import InputError

# Characters of a field; csv's own limit is 128 KiB.
_FIELD = 1 << 28


def rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file whose first line names the columns.

    Yields:
        `(where, row)`: file and line, for messages, and a dict of texts.

    Raises:
        InputError: no such file, no CSV, bytes that are not UTF-8, a row
            with another number of columns, or no rows.
    """
    csv.field_size_limit(_FIELD)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from _checked(csv.DictReader(file, strict=True), path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None


def _checked(reader, path):
    empty = True
    for row in _decoded(reader, path):
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise InputError(
                f"{where}: {len(reader.fieldnames)} columns are named in the "
                "first line; this row has another number."
            )
        empty = False
        yield where, row
    if empty:
        raise InputError(
            f"{path}: there are no rows. The first line names the columns, "
            "rows come after it."
        )


def _decoded(reader, path):
    try:
        yield from reader
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, after line {reader.line_num}: not UTF-8 ({error}). Save "
            "the file as UTF-8."
        ) from None
    except csv.Error as error:
        # The row's first line, also where a quote is open to the file's end.
        raise InputError(
            f"{path}, line {reader.line_num + 1}: not CSV ({error})."
        ) from None
