"""Rows of a CSV file, with where each one stands."""

import codecs
import csv
import io
from collections.abc import Iterator

from keras_restpg._types import Path
from keras_restpg.data import reading
from keras_restpg.errors import InputError

# Characters of a line, and of a field; csv's own limit is 128 KiB.
_FIELD = 1 << 28


def rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV or TSV file whose first line names the columns.

    Columns stand between commas, between semicolons where the first line has
    these and no comma, and between tabs in a `.tsv` file. A mark at the
    file's start tells UTF-16, as spreadsheets save it; else it is UTF-8.

    Yields:
        `(where, row)`: file and line, for messages, and a dict of texts.

    Raises:
        InputError: no such file, no CSV, other bytes, a row with another
            number of columns, or no rows.
    """
    csv.field_size_limit(_FIELD)
    with reading.opened(path) as file:
        utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        encoding = "utf-16" if utf16 else "utf-8-sig"
        text = io.TextIOWrapper(file, encoding, newline="")
        reader = csv.reader([])
        try:
            head = text.readline(_FIELD)
            text.seek(0)
            reader = csv.DictReader(
                _lines(text), delimiter=_delimiter(path, head), strict=True
            )
            yield from _checked(reader, path)
        except UnicodeError as error:
            raise InputError(
                f"{path}, after line {reader.line_num}: not UTF-8 ({error}). "
                "Save the file as UTF-8."
            ) from None
        except csv.Error as error:
            # The row's first line, also where a quote is open to the end.
            raise InputError(
                f"{path}, line {reader.line_num + 1}: not CSV ({error})."
            ) from None


def _lines(text):
    while line := text.readline(_FIELD + 1):
        if len(line) > _FIELD:
            raise csv.Error(f"a line of more than {_FIELD} characters")
        yield line


def _delimiter(path, head):
    if reading.suffix(path) == ".tsv":
        return "\t"
    return ";" if ";" in head and "," not in head else ","


def _checked(reader, path):
    empty = True
    for row in reader:
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
