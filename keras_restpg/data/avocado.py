"""The e-mail task of LongLaMP, from one's own copy of Avocado (LDC2015T03).

The benchmark distributes ids alone. This reads its question files and the
mails they name out of the corpus, and writes `email_train.jsonl` and so on in
LongLaMP's columns: the first `content_length` words of a mail are the
prompt's, the rest is what the user wrote.
"""

import email
import email.policy
import json
import pathlib
import re
import tarfile
import zipfile

from keras_restpg.data import reading
from keras_restpg.errors import InputError

# The benchmark's name of each split, and ours.
SPLITS = {"train": "train", "dev": "val", "test": "test"}
_MAILS = "data/text"
_REPLY = re.compile(
    r"^\s*(>|-+\s*(original message|forwarded by)\b|from:\s|on .* wrote:\s*$)",
    re.IGNORECASE,
)


def build_email_task(corpus, questions, target):
    """Writes the three files of the task.

    Args:
        corpus: the tarball (`.tgz`), or the folder it unpacks to, with the
            zips of `data/text` in it.
        questions: folder of `train_questions.json`, `dev_questions.json` and
            `test_questions.json`.
        target: folder to write to.

    Returns:
        `{split: examples written}`.

    Raises:
        InputError: a file is missing or does not fit; a mail that a question
            names is not in the corpus.
    """
    asked = {
        split: list(
            reading.objects(pathlib.Path(questions) / f"{name}_questions.json")
        )
        for name, split in SPLITS.items()
    }
    wanted = {
        mail_id
        for rows in asked.values()
        for where, row in rows
        for mail_id in _ids(row, where)
    }
    mails = read_mails(corpus, wanted)
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for split, rows in asked.items():
        lines = [json.dumps(_row(row, mails, where)) for where, row in rows]
        text = "".join(line + "\n" for line in lines)
        (target / f"email_{split}.jsonl").write_text(text, encoding="utf-8")
    return {split: len(rows) for split, rows in asked.items()}


def read_mails(corpus, wanted):
    """`{mail id: (subject, own text)}` of the wanted mails.

    A mail's id is its file's name without the suffix.

    Raises:
        InputError: the corpus is no such archive, or lacks a wanted mail.
    """
    found = {}
    for archive in _zips(pathlib.Path(corpus)):
        for name in archive.namelist():
            mail_id = pathlib.PurePosixPath(name).stem
            if mail_id in wanted and mail_id not in found:
                found[mail_id] = parse_mail(archive.read(name))
    missing = sorted(wanted - set(found))
    if missing:
        raise InputError(
            f"{corpus}: {len(missing)} of {len(wanted)} mails that the "
            f"questions name are not in it, first {missing[0]!r}."
        )
    return found


def parse_mail(data):
    """Subject and own text of a mail's bytes.

    Attachments and what is quoted from other mails are left out; bytes that
    do not fit their encoding become the replacement sign.
    """
    message = email.message_from_bytes(data, policy=email.policy.default)
    subject = str(message.get("subject", "") or "")
    body = message.get_body(preferencelist=("plain", "html"))
    text = "" if body is None else _text(body)
    lines = []
    for line in text.splitlines():
        if _REPLY.match(line):
            break
        lines.append(line)
    return " ".join(subject.split()), "\n".join(lines).strip()


def _text(part):
    payload = part.get_payload(decode=True) or b""
    charset = part.get_content_charset() or "utf-8"
    try:
        text = payload.decode(charset, "replace")
    except LookupError:
        text = payload.decode("latin-1")
    if part.get_content_subtype() == "html":
        text = re.sub(r"<[^>]*>", " ", text)
    return text


def _zips(corpus):
    """The opened zips of the mails, one after another."""
    if corpus.is_dir():
        paths = sorted(corpus.rglob(f"{_MAILS}/*.zip"))
        if not paths:
            raise InputError(f"{corpus}: there are no zips in {_MAILS}.")
        for path in paths:
            with _zip(path, path) as archive:
                yield archive
        return
    try:
        with tarfile.open(corpus) as tar:
            for member in tar:
                # Read in place: nothing is unpacked to a path of its choice.
                if _MAILS in member.name and member.name.endswith(".zip"):
                    with _zip(tar.extractfile(member), member.name) as archive:
                        yield archive
    except OSError as error:
        raise InputError(f"{corpus}: {error.strerror or error}.") from None
    except tarfile.TarError as error:
        raise InputError(f"{corpus}: not a tarball ({error}).") from None


def _zip(file, name):
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise InputError(f"{name}: not a zip ({error}).") from None


def _ids(row, where):
    """The ids of the mails that a question names."""
    profile = row.get("profile")
    if not isinstance(profile, list) or not profile:
        raise InputError(f"{where}: the field 'profile' must be a list.")
    yield reading.text_of(row, "input", where)
    for item in profile:
        if not isinstance(item, dict):
            raise InputError(f"{where}: profile items must be objects.")
        yield reading.text_of(item, "text", where)


def _row(row, mails, where):
    subject, text = mails[reading.text_of(row, "input", where)]
    try:
        length = int(reading.text_of(row, "content_length", where))
    except ValueError:
        raise InputError(
            f"{where}: the field 'content_length' must be a number."
        ) from None
    words = text.split()
    past = [mails[str(item["text"])] for item in row["profile"]]
    return {
        "id": reading.text_of(row, "id", where),
        "user_id": reading.text_of(row, "user_id", where),
        "input": (
            "Complete the text of the following email. title: "
            f"{subject}. text: {' '.join(words[:length])}"
        ),
        "output": " ".join(words[length:]),
        "profile": [{"title": title, "text": body} for title, body in past],
    }
