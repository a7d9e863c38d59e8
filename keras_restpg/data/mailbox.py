"""Texts of `.eml` and `.mbox` files."""

import codecs
import pathlib
from collections.abc import Iterator

from keras_restpg.data import dates, reading
from keras_restpg.data.mail import read_mail
from keras_restpg.data.piece import LONGEST, Piece, Reading
from keras_restpg.errors import InputError


def pieces(path: pathlib.Path, how: Reading) -> Iterator[Piece]:
    """The mails of a file, each with its sender's own words.

    Raises:
        InputError: a file that cannot be read, or no mailbox.
    """
    if reading.suffix(path) == ".eml":
        with reading.opened(path) as file:
            data = file.read(LONGEST + 1).removeprefix(codecs.BOM_UTF8)
            yield _piece(data, str(path))
        return
    with reading.opened(path) as file:
        for number, data in enumerate(_messages(file, path), 1):
            yield _piece(data, f"{path}, mail {number}")


def _messages(file, path):
    """The mails between the lines that begin with `From `.

    Of a mail too long to be kept, its beginning.
    """
    lines, size, blank = None, 0, True
    while line := file.readline(LONGEST):
        if lines is None:
            line = line.removeprefix(codecs.BOM_UTF8)
        if blank and line.startswith(b"From "):
            if lines is not None:
                yield b"".join(lines)
            lines, size = [], 0
        elif lines is None:
            if line.strip():
                raise InputError(
                    f"{path}: not a mailbox: its first line must begin with "
                    "'From '. A single mail is an .eml file."
                )
        elif size <= LONGEST:
            # A line "From " within a mail is written as ">From ".
            bare = line.lstrip(b">")
            quoted = line != bare and bare.startswith(b"From ")
            lines.append(line[1:] if quoted else line)
            size += len(line)
        blank = not line.strip()
    if lines is not None:
        yield b"".join(lines)


def _piece(data, where):
    if len(data) > LONGEST:
        return Piece("", where, why=f"larger than {LONGEST >> 20} MiB")
    mail = read_mail(data)
    date, why = "", mail.why
    if mail.date:
        try:
            date = dates.iso(mail.date, where)
        except InputError:
            why = why or "a date that can't be read"
    if "\ufffd" in mail.text:
        why = why or "bytes that do not fit the mail's charset"
    if not mail.sender:
        why = why or "no sender"
    return Piece(mail.text, where, mail.subject, mail.sender, date, why)
