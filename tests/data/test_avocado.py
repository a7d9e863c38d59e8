import io
import json
import tarfile
import zipfile

import pytest

from keras_restpg.data import load_folder
from keras_restpg.data.avocado import build_email_task
from keras_restpg.errors import InputError

PLAIN = b"""Subject: Plan
 of the day
Content-Type: text/plain; charset=iso-8859-1

Caf\xe9 at nine then we talk of the budget

> quoted words
"""
REPLY = b"""Subject: Re: Plan

Fine with me
-----Original Message-----
From: somebody
secret
"""
PARTS = b"""Subject: =?utf-8?q?=C3=9Cber?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/html; charset=no-such-charset

<p>See <b>this</b></p>
--x
Content-Type: application/pdf
Content-Disposition: attachment; filename=a.pdf

binary
--x--
"""
MAILS = {"001-1-EM": PLAIN, "001-2-EM": REPLY, "002-1-EM": PARTS}
QUESTION = {
    "id": 1,
    "user_id": "001",
    "input": "001-1-EM",
    "content_length": 3,
    "profile": [{"text": "001-2-EM"}, {"text": "002-1-EM"}],
}


def corpus(tmp_path, mails=MAILS):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, data in mails.items():
            archive.writestr(f"001/{name}.txt", data)
    path = tmp_path / "avocado.tgz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("avocado-1.0.2/data/text/001.zip")
        info.size = len(inner.getvalue())
        tar.addfile(info, io.BytesIO(inner.getvalue()))
    return path


def questions(tmp_path, row=QUESTION):
    for name in ("train", "dev", "test"):
        path = tmp_path / f"{name}_questions.json"
        path.write_text(json.dumps([row | {"id": f"{name}-1"}]))
    return tmp_path


def test_the_task_is_built_and_read(tmp_path):
    counts = build_email_task(
        corpus(tmp_path), questions(tmp_path), tmp_path / "out"
    )
    assert counts == {"train": 1, "val": 1, "test": 1}
    (example,) = load_folder(tmp_path / "out", "val")
    assert example.prompt == (
        "Complete the text of the following email. title: Plan of the day. "
        "text: Café at nine"
    )
    assert example.expected == "then we talk of the budget"
    assert (example.id, example.user) == ("dev-1", "001")
    texts = [document.text for document in example.documents]
    assert texts == ["Fine with me", "See this"]


def test_an_unpacked_corpus_is_read_too(tmp_path):
    with tarfile.open(corpus(tmp_path)) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    counts = build_email_task(
        tmp_path / "unpacked", questions(tmp_path), tmp_path / "out"
    )
    assert counts["train"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": []}, "'profile' must be a list"),
        ({"profile": [3]}, "must be objects"),
        ({"content_length": "x"}, "'content_length' must be a number"),
        ({"content_length": 0}, "'content_length' must be .* at least 1"),
        ({"content_length": -2}, "'content_length' must be .* at least 1"),
        ({"input": "009-9-EM"}, "first '009-9-EM'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        build_email_task(
            corpus(tmp_path),
            questions(tmp_path, QUESTION | change),
            tmp_path / "out",
        )
    assert not list(tmp_path.glob("out/*.jsonl"))


def test_questions_that_leave_nothing_to_write_are_left_out(tmp_path):
    questions(tmp_path)
    rows = [QUESTION, QUESTION | {"id": 2, "content_length": 9}]
    (tmp_path / "train_questions.json").write_text(json.dumps(rows))
    with pytest.warns(UserWarning, match="1 of 4 questions are left out"):
        counts = build_email_task(corpus(tmp_path), tmp_path, tmp_path / "out")
    assert counts == {"train": 1, "val": 1, "test": 1}
    assert [e.id for e in load_folder(tmp_path / "out", "train")] == ["1"]


def test_an_id_twice_is_named(tmp_path):
    questions(tmp_path)
    rows = json.dumps([QUESTION, QUESTION])
    (tmp_path / "dev_questions.json").write_text(rows)
    with pytest.raises(InputError, match="dev_questions.json, item 2: the id"):
        build_email_task(corpus(tmp_path), tmp_path, tmp_path / "out")


def test_what_is_no_corpus_is_named(tmp_path):
    questions(tmp_path)
    (tmp_path / "bad.tgz").write_bytes(b"no")
    whole = corpus(tmp_path).read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("bad.tgz", "not a tarball"),
        ("cut.tgz", "a damaged one"),
        ("none", "no such file"),
        ("empty", "no zips in data/text"),
    ):
        with pytest.raises(InputError, match=message) as error:
            build_email_task(tmp_path / name, tmp_path, tmp_path / "out")
        assert str(tmp_path / name) in str(error.value)


def test_a_damaged_zip_is_named(tmp_path):
    questions(tmp_path)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, data in MAILS.items():
            archive.writestr(f"001/{name}.txt", data)
    data = inner.getvalue()
    path = tmp_path / "corpus" / "data" / "text" / "x.zip"
    path.parent.mkdir(parents=True)
    for broken in (b"", b"no", data[:-30], data.replace(b"budget", b"BUDGET")):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=f"{path}: not a zip, or a dam"):
            build_email_task(tmp_path / "corpus", tmp_path, tmp_path / "out")
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=f"{path}: not a zip"):
        build_email_task(tmp_path / "corpus", tmp_path, tmp_path / "out")
    with tarfile.open(tmp_path / "c.tgz", "w:gz") as tar:
        tar.add(tmp_path / "corpus", "corpus")
    with pytest.raises(InputError, match="c.tgz, corpus/data/text/x.zip: not"):
        build_email_task(tmp_path / "c.tgz", tmp_path, tmp_path / "out")
