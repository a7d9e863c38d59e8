"""The e-mail task of LongLaMP, from one's own copy of Avocado (LDC2015T03).

The benchmark distributes ids alone. This reads its question files and the
mails they name out of the corpus, and writes `email_train.jsonl` and so on in
LongLaMP's columns: the first `content_length` words of a mail are the
prompt's, the rest is what the user wrote.
"""

import json
import lzma
import pathlib
import shutil
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib

from keras_restpg._types import Path
from keras_restpg.data import reading
from keras_restpg.data.mail import parse_mail
from keras_restpg.errors import InputError

# The benchmark's name of each split, and ours.
SPLITS = {"train": "train", "dev": "val", "test": "test"}
_MAILS = "data/text"
# What tarfile and zipfile raise for files that are cut, damaged, encrypted or
# packed in a way they do not know.
_DAMAGE = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def build_email_task(
    corpus: Path, questions: Path, target: Path
) -> dict[str, int]:
    """Writes the three files of the task.

    A mail that has, without what it quotes, no more than `content_length`
    words leaves nothing to write: its question is left out, with a warning
    that counts them.

    Args:
        corpus: the tarball (`.tgz`), or the folder it unpacks to, with the
            zips of `data/text` in it.
        questions: folder of `train_questions.json`, `dev_questions.json` and
            `test_questions.json`.
        target: folder to write to.

    Returns:
        `{split: examples written}`.

    Raises:
        InputError: a file is missing or does not fit; an id is twice in a
            file; a mail that a question names is not in the corpus.
    """
    asked = {
        split: _questions(pathlib.Path(questions) / f"{name}_questions.json")
        for name, split in SPLITS.items()
    }
    every = [question for rows in asked.values() for question in rows]
    wanted = {mail for each in every for mail in (each["mail"], *each["past"])}
    mails = read_mails(corpus, wanted)
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    counts = {
        split: _write(target / f"email_{split}.jsonl", rows, mails)
        for split, rows in asked.items()
    }
    left_out = len(every) - sum(counts.values())
    if left_out:
        warnings.warn(
            f"{left_out} of {len(every)} questions are left out: their mails "
            "have no words after the first `content_length`.",
            stacklevel=2,
        )
    return counts


def read_mails(corpus: Path, wanted: set[str]) -> dict[str, tuple[str, str]]:
    """`{mail id: (subject, own text)}` of the wanted mails.

    A mail's id is its file's name without the suffix.

    Raises:
        InputError: the corpus is no such archive, or lacks a wanted mail.
    """
    found = {}
    for where, file in _zips(pathlib.Path(corpus)):
        for mail_id, data in _unzipped(file, wanted - set(found), where):
            found[mail_id] = parse_mail(data)
    missing = sorted(wanted - set(found))
    if missing:
        raise InputError(
            f"{corpus}: {len(missing)} of {len(wanted)} mails that the "
            f"questions name are not in it, first {missing[0]!r}."
        )
    return found


def _zips(corpus):
    """`(name, path or file)` of the mails' zips, one after another."""
    if corpus.is_dir():
        paths = sorted(corpus.rglob(f"{_MAILS}/*.zip"))
        if not paths:
            raise InputError(f"{corpus}: there are no zips in {_MAILS}.")
        yield from zip(paths, paths, strict=True)
        return
    if not corpus.is_file():
        raise InputError(f"{corpus}: there is no such file or folder.")
    try:
        with tarfile.open(corpus) as tar:
            for member in tar:
                if _MAILS in member.name and member.name.endswith(".zip"):
                    with tempfile.TemporaryFile() as file:
                        _copy(tar, member, file)
                        yield f"{corpus}, {member.name}", file
    except _DAMAGE as error:
        raise InputError(
            f"{corpus}: not a tarball, or a damaged one ({error})."
        ) from None


def _copy(tar, member, file):
    """Copies a member to a file in which one can go back and forth.

    In the tarball each step back would unpack it from its start; and nothing
    is unpacked to a path of the tarball's choice. A folder or a link leaves
    the file empty, which is no zip.
    """
    if member.isfile():
        shutil.copyfileobj(tar.extractfile(member), file)


def _unzipped(file, wanted, where):
    """`(mail id, bytes)` of the wanted mails of a zip."""
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                mail_id = pathlib.PurePosixPath(name).stem
                if mail_id in wanted:
                    yield mail_id, archive.read(name)
    except _DAMAGE as error:
        raise InputError(
            f"{where}: not a zip, or a damaged one ({error})."
        ) from None


def _questions(path):
    """The questions of a file, checked before the corpus is opened."""
    found = {}
    for where, row in reading.objects(path):
        key = reading.text_of(row, "id", where)
        if key in found:
            raise InputError(f"{where}: the id {key!r} was there before.")
        found[key] = {
            "id": key,
            "user_id": reading.text_of(row, "user_id", where),
            "mail": reading.text_of(row, "input", where),
            "length": _length(row, where),
            "past": _past(row, where),
        }
    return list(found.values())


def _length(row, where):
    text = reading.text_of(row, "content_length", where)
    try:
        length = int(text)
    except ValueError:
        length = 0
    if length < 1:
        raise InputError(
            f"{where}: the field 'content_length' must be a number of at "
            f"least 1. Received: {text!r}"
        )
    return length


def _past(row, where):
    profile = row.get("profile")
    if not isinstance(profile, list) or not profile:
        raise InputError(f"{where}: the field 'profile' must be a list.")
    if not all(isinstance(item, dict) for item in profile):
        raise InputError(f"{where}: profile items must be objects.")
    return [reading.text_of(item, "text", where) for item in profile]


def _write(path, questions, mails):
    """Writes a split; how many examples it has."""
    rows = [_row(question, mails) for question in questions]
    lines = [json.dumps(row) + "\n" for row in rows if row["output"]]
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _row(question, mails):
    subject, text = mails[question["mail"]]
    words, length = text.split(), question["length"]
    past = [mails[mail] for mail in question["past"]]
    return {
        "id": question["id"],
        "user_id": question["user_id"],
        "input": (
            "Complete the text of the following email. title: "
            f"{subject}. text: {' '.join(words[:length])}"
        ),
        "output": " ".join(words[length:]),
        "profile": [{"title": title, "text": body} for title, body in past],
    }
