"""Tables as text, and how values that nobody made for a screen are shown."""

import csv
import html
import io
import unicodedata
from collections.abc import Sequence

from keras_restpg._types import Json

# What gives the text after it another direction than it seems to have.
_BIDI = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table as lines with aligned columns.

    Columns of numbers are aligned at the right, all others at the left. A
    wide (East Asian) character counts two columns, a combining mark none.

    Args:
        rows: list of rows of str, all of one length, the head first.
    """
    rows = [[visible(cell, breaks=False) for cell in row] for row in rows]
    columns = list(zip(*rows, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    numeric = [all(map(_is_number, column[1:])) for column in columns]
    lines = []
    for row in rows:
        cells = zip(row, widths, numeric, strict=True)
        lines.append("  ".join(_pad(*cell) for cell in cells).rstrip())
    lines[1:1] = ["-" * (sum(widths) + 2 * len(widths) - 2)]
    return "\n".join(lines)


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; line breaks in its cells are kept.

    Columns of numbers are aligned at the right, all others at the left.

    Args:
        rows: list of rows of str, all of one length, the head first.
    """
    sides = [
        "right" if all(map(_is_number, column[1:])) else "left"
        for column in zip(*rows, strict=True)
    ]
    lines = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        cells = (
            f'<{tag} style="text-align: {side}; white-space: pre-wrap">'
            f"{html.escape(visible(cell))}</{tag}>"
            for cell, side in zip(row, sides, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """A table as CSV.

    Args:
        rows: list of rows of str, the head first.
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def visible(text: str, breaks: bool = True) -> str:
    """`text` with its control characters as escapes, such as `\\x1b`.

    They could command a terminal or hide what stands there: those are
    control characters, bidirectional overrides and isolates, and halves of
    surrogate pairs.

    Args:
        text: a str, or a str subclass whose `translate` keeps its class.
        breaks: whether line breaks and tabs stay as they are.
    """
    stay = "\n\t" if breaks else ""
    # One line break on Windows.
    text = text.replace("\r\n", "\n")
    odd = {c for c in set(text) if c not in stay and _is_control(c)}
    escapes = {ord(c): ascii(c)[1:-1] for c in odd}
    return text.translate(escapes) if escapes else text


def _is_control(character):
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI


def _pad(cell, width, numeric):
    padding = " " * (width - _width(cell))
    return padding + cell if numeric else cell + padding


def _width(text):
    """How many columns of a terminal a text takes."""
    return sum(map(_columns, text))


def _columns(character):
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def flat(values: Json) -> dict[str, Json]:
    """`{dotted name: value}` of nested dicts, however deep."""
    found, left = {}, [("", values)] if isinstance(values, dict) else []
    while left:
        path, value = left.pop()
        if isinstance(value, dict) and value:
            inner = [(f"{path}.{key}", value[key]) for key in value]
            left += reversed(inner)
        elif path:
            found[path[1:]] = value
    return found
