"""Texts of `.txt`, `.md`, `.html` and `.docx` files."""

import codecs
import contextlib
import io
import pathlib
import re
import zipfile
from collections.abc import Iterator

from keras_restpg.data import dates, reading
from keras_restpg.data.markup import read_page
from keras_restpg.data.piece import LONGEST, Piece, Reading
from keras_restpg.errors import InputError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What stands between two lines of dashes (YAML) or pluses (TOML).
_FRONT = re.compile(
    r"\A(---|\+\+\+)[ \t]*\n(.*?\n)?\1[ \t]*(?:\n|\Z)", re.DOTALL
)
_FIELD = re.compile(r"(title|date)\s*[:=]\s*(.*)", re.IGNORECASE)
_HEADING = re.compile(r"\A\s*#\s+(.+)\n")
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.I)
_NAME_DATE = re.compile(
    r"(?<!\d)([12]\d{3})([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)"
)


def pieces(path: pathlib.Path, how: Reading) -> Iterator[Piece]:
    """The texts of a file: one, or one for each paragraph.

    Title and date come from the front matter, a page's title or the first
    heading, and the file's name (`2020-01-31-tea.md`).

    Raises:
        InputError: a file that cannot be read, with what to do.
    """
    title, date, text = _KINDS[reading.suffix(path)](path, how)
    date = date or _date_of_name(path)
    parts = [text]
    if how.split == "paragraphs":
        parts = re.split(r"\n[ \t]*\n\s*", text)
    for number, part in enumerate(parts, 1):
        where = str(path)
        if len(parts) > 1:
            where += f", paragraph {number}"
        yield Piece(part.strip(), where, title, "", date)


def read_text(path: pathlib.Path, encoding: str = "") -> str:
    """A file as text, its line ends as `\\n`.

    Raises:
        InputError: larger than 64 MiB, bytes that are no text.
    """
    return _decoded(_bytes(path), path, encoding)


def _bytes(path):
    with reading.opened(path) as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise InputError(
            f"{path}: larger than {LONGEST >> 20} MiB, which is no single "
            "text. Split it, or save its texts as .jsonl, one a line."
        )
    return data


def _decoded(data, path, encoding):
    mark = next((each for each in _MARKS if data.startswith(each)), None)
    encoding = _MARKS[mark] if mark else encoding or "utf-8"
    try:
        text = data.decode(encoding)
    except LookupError:
        raise InputError(
            f"{path}: there is no encoding {encoding!r}. Give one that Python "
            "knows, such as 'cp1252'."
        ) from None
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: not {encoding} ({error}). Save the file as "
            "UTF-8, or give its encoding, such as 'cp1252'."
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}, line {line}: not a text file (NUL bytes).")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(path, how):
    text = read_text(path, how.encoding)
    fields = {}
    if front := _FRONT.match(text):
        for number, line in enumerate((front[2] or "").split("\n"), 2):
            if field := _FIELD.match(line):
                value = re.sub(r"\s#.*", "", field[2]).strip().strip("\"'")
                fields[field[1].lower()] = value
                if field[1].lower() == "date" and value:
                    where = f"{path}, line {number}"
                    fields["date"] = dates.iso(value, where, how.date_format)
        text = text[front.end() :]
    heading = reading.suffix(path) != ".txt" and _HEADING.match(text)
    if heading and "title" not in fields:
        fields["title"] = heading[1].strip()
    return fields.get("title", ""), fields.get("date", ""), text


def _page(path, how):
    data = _bytes(path)
    named = _META.search(data[:4096])
    encoding = how.encoding or (named[1].decode("ascii") if named else "")
    page = read_page(_decoded(data, path, encoding), str(path))
    return page.title, "", page.text


def _word(path, how):
    try:
        import docx
    except ImportError:
        raise InputError(
            f"{path}: reading .docx needs python-docx: "
            "`pip install keras-restpg[docx]`. Or save it as .txt."
        ) from None
    file = io.BytesIO(_bytes(path))
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > LONGEST:
            raise InputError(
                f"{path}: larger than {LONGEST >> 20} MiB when unpacked, "
                "which is no single text. Save its text as .txt."
            )
        found = docx.Document(file)
        text = "\n\n".join(each.text for each in found.paragraphs)
        title = found.core_properties.title or ""
    except InputError:
        raise
    # Parts that are missing or broken end in errors of any kind there.
    except Exception as error:
        raise InputError(
            f"{path}: not a .docx file, or a damaged one ({error})."
        ) from None
    return title, "", text  # The date in it may be its template's.


def _date_of_name(path):
    for match in _NAME_DATE.finditer(path.name):
        with contextlib.suppress(InputError):
            return dates.iso("-".join(match.group(1, 3, 4)), "", "")
    return ""


_KINDS = {
    ".txt": _plain,
    ".md": _plain,
    ".markdown": _plain,
    ".html": _page,
    ".htm": _page,
    ".docx": _word,
}
