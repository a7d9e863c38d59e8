"""People's own writing, from the files they have.

Text files, mails, tables and exported chats, packed or not, alone or in a
folder. What is not somebody's own words, or can't be told from others', is
left out and counted (`Writing.left_out`), never attributed.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

from keras_restpg.data import chats, dates, mailbox, reading, table, text_file
from keras_restpg.data.piece import Reading
from keras_restpg.errors import InputError
from keras_restpg.records import Document

# Whose texts are where no file says it.
SOMEBODY = "user"
SPLITS = ("whole", "paragraphs")
_READERS = {
    **dict.fromkeys((".txt", ".md", ".markdown"), text_file.pieces),
    **dict.fromkeys((".html", ".htm", ".docx"), text_file.pieces),
    **dict.fromkeys((".eml", ".mbox"), mailbox.pieces),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), table.pieces),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), table.pieces),
}
KINDS = tuple(_READERS)
# What stands in Slack's export beside the messages.
_SLACK_LISTS = frozenset(
    f"{name}.json"
    for name in "users channels groups dms mpims canvases integration_logs "
    "file_conversations lists org_users huddle_transcripts".split()
)


@dataclasses.dataclass(frozen=True)
class Writing:
    """What `load_writing` found.

    Attributes:
        users: `{user: tuple of Document}`, oldest first; those without a
            date come first, in the order of their files. Where no file says
            whose a text is, the user is `"user"`.
        titles: `{document id: title}` of the documents that have one.
        left_out: `{reason: count}` of what is nobody's.
    """

    users: dict[str, tuple[Document, ...]]
    titles: dict[str, str]
    left_out: dict[str, int]

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents of the one person whose writing this is.

        Raises:
            InputError: there are several people.
        """
        if len(self.users) > 1:
            raise InputError(
                f"There are texts of {len(self.users)} people: "
                f"{_listed(self.users)}. Say whose are wanted, such as "
                f"--user {next(iter(self.users))!r} (in Python `user=`)."
            )
        return next(iter(self.users.values()))

    def prompt(self, document: Document) -> str:
        """An instruction that asks for a document, by title or beginning."""
        if title := self.titles.get(document.id):
            return f'Write a text with this title: "{title}"'
        first = " ".join(document.text.split()[:8])
        return f'Write the text that begins with these words: "{first}"'

    def notes(self) -> list[str]:
        """Sentences about what was left out, and about missing dates."""
        found = [
            f"{count} left out: {why}."
            for why, count in sorted(self.left_out.items())
        ]
        every = [each for texts in self.users.values() for each in texts]
        undated = sum(not document.date for document in every)
        if 0 < undated < len(every):
            found.append(
                f"{undated} of {len(every)} texts have no date: they are taken "
                "for older than the others."
            )
        return found


def load_writing(
    path: str | os.PathLike,
    user: str | Sequence[str] = (),
    split: str = "whole",
    columns: dict[str, str] | None = None,
    date_format: str = "",
    encoding: str = "",
) -> Writing:
    """People's own texts, from a file or a folder and all that is in it.

    Args:
        path: of a `.txt`, `.md`, `.html`, `.docx`, `.eml`, `.mbox`, `.csv`,
            `.tsv`, `.jsonl`, `.ndjson`, `.json` or `.parquet` file (all but
            the last also as `.gz`), or of a folder of them. A text file is
            one text; a table has one a row; chats are WhatsApp's `.txt` and
            Telegram's and Slack's `.json`. `~` is the home directory.
        user: names or addresses of the one person whose texts are wanted,
            where files say whose they are (mails, chats, a column `user`);
            none: everybody's.
        split: `"whole"`, or `"paragraphs"` for a text each in text files.
        columns: names of a table's columns by what they hold (`text`,
            `title`, `user`, `date`), where they have other names.
        date_format: as of `strptime`, for dates that could mean two days.
        encoding: of text files that are neither UTF-8 nor marked.

    Returns:
        A `Writing`.

    Raises:
        InputError: no such path, a kind that can't be read, a file that does
            not fit (with line or row and what to do), or no text in it all.
        ValueError: unknown `split` or name in `columns`.

    Example:
    ```python
    writing = load_writing("~/essays")
    examples = hold_out(writing.users, writing.prompt, most=0)
    ```
    """
    _check(split, columns or {})
    how = Reading(split, columns or {}, date_format, encoding)
    names = [user] if isinstance(user, str) else list(user)
    names = [name for name in names if name]
    folder = pathlib.Path(path).expanduser()
    left_out, found = collections.Counter(), {}
    for file in _files(folder, left_out):
        for piece in _pieces(file, how):
            texts = found.setdefault(_owner(piece.user, names), {})
            why = piece.why or ("" if piece.text else "empty")
            if not why and piece.text in texts:
                why = "the same text again"
            if why:
                left_out[why] += 1
            else:
                texts[piece.text] = piece
    found = {user: texts for user, texts in found.items() if texts}
    if names:
        found = _only(names, found, left_out, folder)
    if not found:
        reasons = [f"{n} left out: {why}" for why, n in left_out.items()]
        raise InputError(
            f"{folder}: there is no text in it. {'; '.join(reasons)}".strip()
        )
    return _writing(found, folder, dict(left_out))


def _check(split, columns):
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}"
        )
    unknown = set(columns) - set(table.COLUMNS)
    if unknown:
        raise ValueError(
            f"`columns` names what a table holds: {', '.join(table.COLUMNS)}. "
            f"Received: {', '.join(sorted(unknown))}"
        )


def _files(folder, left_out) -> Iterator[pathlib.Path]:
    """The files to read, in order of their names; others are counted."""
    if not folder.exists():
        raise InputError(f"{folder}: there is no such file or folder.")
    if not folder.is_dir():
        if reading.suffix(folder) not in KINDS:
            raise InputError(
                f"{folder}: the kind must be one of {', '.join(KINDS)}, or "
                "one of these as .gz."
            )
        yield folder
        return
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(each for each in folders if each[0] != ".")
        for name in sorted(names):
            file = pathlib.Path(root, name)
            if name[0] == ".":
                continue
            if reading.suffix(name) not in KINDS or not file.is_file():
                kind = reading.suffix(name) or "without a suffix"
                left_out[f"files of another kind ({kind})"] += 1
            elif name in _SLACK_LISTS and _is_slack(folder):
                left_out["Slack's lists"] += 1
            else:
                yield file


def _unreadable(error):
    raise InputError(f"{error.filename}: {error.strerror}.")


def _is_slack(folder):
    return all(
        (folder / name).is_file() for name in ("users.json", "channels.json")
    )


def _pieces(file, how):
    kind = reading.suffix(file)
    if kind == ".parquet" and file.suffix.lower() == ".gz":
        raise InputError(f"{file}: unpack it; Parquet has its own packing.")
    if kind == ".txt":
        text = text_file.read_text(file, how.encoding)
        if chats.is_whatsapp(text):
            return chats.whatsapp(text, str(file), how.date_format)
    return _READERS[kind](file, how)


def _owner(user, names):
    """The user's name in `Writing.users`."""
    if not user:
        return names[0] if names else SOMEBODY
    known = any(user.casefold() == name.casefold() for name in names)
    return names[0] if known else user


def _only(names, found, left_out, folder):
    """The texts of the one person who has these names."""
    if found and names[0] not in found:
        raise InputError(
            f"{folder}: there is no text of {' or '.join(names)}. There are "
            f"those of {_listed(found)}."
        )
    others = sum(len(found[user]) for user in found if user != names[0])
    if others:
        left_out["by other people"] += others
    return {user: found[user] for user in names[:1] if user in found}


def _writing(found, folder, left_out):
    users, titles = {}, {}
    for user, pieces in found.items():
        documents = []
        for piece in pieces.values():
            key = _id(piece.where, folder)
            documents.append(Document(piece.text, key, date=piece.date))
            if piece.title:
                titles[key] = piece.title
        users[user] = tuple(sorted(documents, key=dates.moment))
    return Writing(users, titles, left_out)


def _id(where, folder):
    """A document's name: its place below the folder that was asked for."""
    below = where.removeprefix(f"{folder}{os.sep}")
    return below if below != where else where.removeprefix(f"{folder.parent}/")


def _listed(users):
    counts = sorted(users.items(), key=lambda each: -len(each[1]))
    shown = ", ".join(f"{user} ({len(texts)})" for user, texts in counts[:8])
    return shown + (", …" if len(counts) > 8 else "")
