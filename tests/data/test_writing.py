"""Kinds of own-writing files, each whole and each in several odd states.

A file is read rightly or refused with its path and a reason; nothing between.
"""

import base64
import gzip
import io
import json
import subprocess
import sys
import zipfile

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data import (
    csv_file,
    hold_out,
    load_writing,
    mailbox,
    text_file,
)
from keras_restpg.errors import InputError

TEXTS = ["Café au lait at nine.", 'Tea for two,\nor "three"; naïve.']
ONE = TEXTS[0]
HEAD = "From: Ann <ann@x.org>\nSubject: S\nDate: Mon, 3 Jan 2022 10:00:00 +0000"


def rows():
    return [{"text": text, "date": f"202{i}"} for i, text in enumerate(TEXTS)]


def table(delimiter):
    lines = [f"text{delimiter}date"]
    for row in rows():
        quoted = row["text"].replace('"', '""')
        lines.append(f'"{quoted}"{delimiter}{row["date"]}')
    return "\n".join(lines) + "\n"


def mail(text, kind="text/plain; charset=utf-8", extra=""):
    return f"{HEAD}\nContent-Type: {kind}\n{extra}\n{text}\n"


def coded(text):
    return base64.encodebytes(text.encode()).decode()


def mailbox_of(texts):
    return "\n".join(f"From x\n{mail(text)}" for text in texts)


def telegram():
    return {
        "name": "Bob",
        "messages": [
            {"type": "service", "from": "Bob", "text": "joined"},
            {"type": "message", "from": "Bob", "forwarded_from": "C"}
            | {"date": "2022-01-01T10:00:00", "text": "not mine"},
            {"type": "message", "from": "Ann", "date": "2022-01-01T10:00:00"}
            | {"text": ["Café ", {"type": "bold", "text": "au lait"}, " at"]},
            {"type": "message", "from": "Ann", "date": "2022-01-01T10:01:00"}
            | {"text": "nine."},
        ],
    }


SLACK = [
    {"type": "message", "subtype": "channel_join", "user": "U1", "ts": "1.0"},
    {"type": "message", "user": "U1", "ts": "1641200000.000100"}
    | {"text": "Café <https://x.org|au lait>\n&gt; theirs"},
    {"type": "message", "user": "U1", "ts": "1641200001.0", "text": "at nine."},
]
CHAT = ["Café au lait at\nnine."]
SLACK_TEXT = ["Café au lait\nat nine."]
IOS = (
    "[31.12.21, 23:59:01] Ann: \u200emessages are encrypted\n"
    "[31.12.21, 23:59:02] Ann: Café au lait at\n[01.01.22, 10:00:00] Ann: nine."
)
ANDROID = (
    "12/31/21, 11:59 PM - Messages are encrypted\n"
    "12/31/21, 11:59 PM - Ann: Café au lait at\nnine.\n"
    "1/1/22, 9:00 AM - Ann: <Media omitted>\n"
)
FRONT = f'---\ntitle: "T"\ndate: 2020-01-31 # note\n---\n{ONE}\n'
PAGE = (
    "<html><head><title>T</title><style>p {}</style></head>"
    f"<body><p>{ONE}</p></body></html>"
)
JSONL = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows())
# Name of the file, what is in it, the texts that are there.
PLAIN = {
    "txt": ("a.txt", ONE, [ONE]),
    "upper case": ("A.TXT", ONE, [ONE]),
    "md": ("a.md", ONE, [ONE]),
    "markdown": ("a.markdown", ONE, [ONE]),
    "front matter, YAML": ("a.md", FRONT, [ONE]),
    "front matter, TOML": ("a.md", f'+++\ntitle = "T"\n+++\n{ONE}', [ONE]),
    "html": ("a.html", PAGE, [ONE]),
    "htm, bare": ("a.htm", ONE, [ONE]),
}
TABLES = {
    "csv": ("a.csv", table(","), TEXTS),
    "csv, semicolons": ("a.csv", table(";"), TEXTS),
    "tsv": ("a.tsv", table("\t"), TEXTS),
}
JSON = {
    "jsonl": ("a.jsonl", JSONL, TEXTS),
    "ndjson": ("a.ndjson", JSONL, TEXTS),
    "json, a line each": ("a.json", JSONL, TEXTS),
    "json, an array": ("a.json", json.dumps(rows(), ensure_ascii=False), TEXTS),
    "telegram": ("a.json", json.dumps(telegram(), ensure_ascii=False), CHAT),
    "telegram, all chats": (
        "a.json",
        json.dumps({"chats": {"list": [telegram()]}}, ensure_ascii=False),
        CHAT,
    ),
    "slack": ("a.json", json.dumps(SLACK, ensure_ascii=False), SLACK_TEXT),
}
CHATS = {
    "whatsapp, iOS": ("a.txt", IOS, CHAT),
    "whatsapp, Android": ("a.txt", ANDROID, CHAT),
}
MAILS = {
    "eml": ("a.eml", mail(ONE), [ONE]),
    "eml, html": ("a.eml", mail(PAGE, "text/html; charset=utf-8"), [ONE]),
    "eml, flowed": (
        "a.eml",
        mail(ONE.replace("at", "\nat"), "text/plain; format=flowed"),
        [ONE],
    ),
    "eml, parts": (
        "a.eml",
        mail(
            f"--b\nContent-Type: text/html\n\nno\n--b\n\n{ONE}\n--b--",
            "multipart/alternative; boundary=b",
        ),
        [ONE],
    ),
    "mbox": ("a.mbox", mailbox_of(TEXTS), TEXTS),
}
# Coded mails are ASCII: no odd charset shows in them.
CODED = {
    "eml, base64": (
        "a.eml",
        mail(coded(ONE), extra="Content-Transfer-Encoding: base64\n"),
        [ONE],
    ),
    "eml, quoted-printable": (
        "a.eml",
        mail(
            ONE.replace("é", "=C3=A9"),
            extra="Content-Transfer-Encoding: quoted-printable\n",
        ),
        [ONE],
    ),
}
TEXT_KINDS = PLAIN | TABLES | JSON | CHATS | MAILS | CODED
PACKED = ["txt", "csv", "jsonl", "json, an array", "mbox", "whatsapp, iOS"]
KINDS = TEXT_KINDS | {
    f"{name}, packed": (f"{file}.gz", *rest)
    for name in PACKED
    for file, *rest in [TEXT_KINDS[name]]
}


def read(path, **how):
    """All texts, whoever's."""
    writing = load_writing(path, **how)
    return [each.text for texts in writing.users.values() for each in texts]


def save(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def refusal(path, **how):
    with pytest.raises(InputError) as error:
        load_writing(path, **how)
    message = str(error.value)
    assert str(path) in message
    return message


kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_a_whole_file_is_read(tmp_path, kind):
    name, data, texts = KINDS[kind]
    assert read(save(tmp_path, name, data.encode())) == texts


@kinds
def test_an_empty_file_is_refused(tmp_path, kind):
    for data in (b"", b"\n \n"):
        assert refusal(save(tmp_path, KINDS[kind][0], data))


@kinds
def test_a_mark_at_the_start_changes_nothing(tmp_path, kind):
    name, data, texts = KINDS[kind]
    assert read(save(tmp_path, name, data.encode("utf-8-sig"))) == texts


@kinds
def test_line_ends_of_windows_change_nothing(tmp_path, kind):
    name, data, texts = KINDS[kind]
    found = read(save(tmp_path, name, data.replace("\n", "\r\n").encode()))
    assert [text.replace("\r\n", "\n") for text in found] == texts


@kinds
def test_another_charset_is_refused(tmp_path, kind):
    name, data, texts = KINDS[kind]
    if kind in CODED:
        return
    message = refusal(save(tmp_path, name, data.encode("cp1252", "ignore")))
    assert "UTF-8" in message or "charset" in message


@kinds
def test_a_broken_file_is_refused(tmp_path, kind):
    name, data, _ = KINDS[kind]
    path = save(tmp_path, name, data.encode())
    if name.endswith(".gz"):
        path.write_bytes(path.read_bytes()[:-12])
        assert "damaged" in refusal(path)
    elif kind in TABLES or kind in JSON:
        path.write_bytes(data.encode()[:-8])
        assert refusal(path)
    else:
        path.write_bytes(bytes(range(256)) * 4)
        assert refusal(path)


@pytest.mark.parametrize("kind", [*PLAIN, *MAILS, *CODED])
def test_a_text_that_nobody_can_have_written_is_refused(
    tmp_path, monkeypatch, kind
):
    for module in (text_file, mailbox):
        monkeypatch.setattr(module, "LONGEST", 10)
    name, data, _ = KINDS[kind]
    assert "larger than" in refusal(save(tmp_path, name, data.encode()))


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows()), path)
    assert read(path) == TEXTS
    whole = path.read_bytes()
    for data in (b"", b"\xef\xbb\xbf", whole[:-9], b"PAR1" * 9):
        path.write_bytes(data)
        assert refusal(path)
    packed = tmp_path / "a.parquet.gz"
    packed.write_bytes(gzip.compress(whole))
    assert "unpack it" in refusal(packed)


def test_docx(tmp_path, monkeypatch):
    docx = pytest.importorskip("docx")
    made, data = docx.Document(), io.BytesIO()
    made.add_paragraph("Café au lait")
    made.add_paragraph("at nine.")
    made.save(data)
    path = save(tmp_path, "2020-01-31.docx", data.getvalue())
    (document,) = load_writing(path).documents
    assert document.text == "Café au lait\n\nat nine."
    assert document.date == "2020-01-31"
    assert read(save(tmp_path, "a.docx.gz", data.getvalue())) == [document.text]
    for broken in (b"", b"PK", data.getvalue()[:-30], bytes(range(256))):
        path.write_bytes(broken)
        assert "damaged" in refusal(path)
    bad = io.BytesIO()
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("_rels/.rels", "<x/>")
    assert "damaged" in refusal(save(tmp_path, "c.docx", bad.getvalue()))
    monkeypatch.setattr(text_file, "LONGEST", 99)
    assert "larger" in refusal(save(tmp_path, "b.docx", data.getvalue()))
    monkeypatch.setitem(sys.modules, "docx", None)
    assert "pip install keras-restpg[docx]" in refusal(path)


def test_a_folder_is_read_in_order_of_its_dates(tmp_path):
    save(tmp_path, "2021-05-01 b.md", b"second")
    save(tmp_path, "20200101.txt", b"first")
    save(tmp_path, "c.txt", b"undated")
    save(tmp_path, "again.txt", b"first")
    save(tmp_path, "x.png", b"\0")
    (tmp_path / "sub" / ".git").mkdir(parents=True)
    save(tmp_path / "sub", "d.md", b"---\ntitle: Late\ndate: 2022\n---\nlast")
    save(tmp_path / "sub" / ".git", "e.txt", b"hidden")
    (tmp_path / "loop").symlink_to(tmp_path)
    writing = load_writing(tmp_path)
    assert [d.text for d in writing.documents] == [
        "undated",
        "first",
        "second",
        "last",
    ]
    last = writing.documents[-1]
    assert last.id == "sub/d.md" and writing.titles == {"sub/d.md": "Late"}
    assert last.date == "2022-01-01"
    assert writing.notes() == [
        "1 left out: files of another kind (.png).",
        "1 left out: the same text again.",
        "1 of 4 texts have no date: they are taken for older than the others.",
    ]
    (example,) = hold_out(writing.users, writing.prompt)
    assert example.prompt == 'Write a text with this title: "Late"'


def test_paragraphs_by_choice(tmp_path):
    path = save(tmp_path, "a.txt", b"one\nstill\n\n \ntwo\n")
    assert read(path) == ["one\nstill\n\n \ntwo"]
    assert read(path, split="paragraphs") == ["one\nstill", "two"]
    with pytest.raises(ValueError, match="`split` must be one of whole"):
        load_writing(path, split="lines")


def test_the_home_directory_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, "a.txt", b"mine")
    assert read("~/a.txt") == ["mine"]


def test_whose_texts(tmp_path):
    save(tmp_path, "a.mbox", mailbox_of(["one", "two"]).encode())
    other = mail("three").replace("Ann <ann@x.org>", "Bob@x.org")
    save(tmp_path, "b.eml", other.encode())
    save(tmp_path, "c.txt", b"four")
    writing = load_writing(tmp_path)
    assert set(writing.users) == {"ann@x.org", "bob@x.org", "user"}
    message = r"texts of 3 people: ann@x.org \(2\), .*--user 'ann@x.org'"
    with pytest.raises(InputError, match=message):
        _ = writing.documents
    mine = load_writing(tmp_path, user="Ann@x.org")
    assert [d.text for d in mine.documents] == ["four", "one", "two"]
    assert mine.left_out == {"by other people": 1}
    both = load_writing(tmp_path, user=["ann@x.org", "bob@x.org"])
    assert len(both.documents) == 4 and list(both.users) == ["ann@x.org"]
    (tmp_path / "c.txt").unlink()
    with pytest.raises(InputError, match="no text of cid. There are .*ann@"):
        load_writing(tmp_path, user="cid")


def test_a_tables_columns_are_named(tmp_path):
    path = save(tmp_path, "a.csv", b"who,body,day\nann,one,03/04/2020\n")
    message = "line 2: there is no column 'text' .*: who, body, day.*text=body"
    with pytest.raises(InputError, match=message):
        load_writing(path)
    columns = {"text": "body", "user": "who", "date": "day"}
    with pytest.raises(InputError, match="line 2, the field 'day': cannot"):
        load_writing(path, columns=columns)
    writing = load_writing(path, columns=columns, date_format="%d/%m/%Y")
    assert writing.users["ann"][0].date == "2020-04-03"
    with pytest.raises(InputError, match="no column 'no' for the title"):
        load_writing(path, columns={"text": "body", "title": "no"})
    with pytest.raises(ValueError, match="Received: name"):
        load_writing(path, columns={"name": "who"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"---\nx: 1\ndate: 03/04/2020\n---\nx",
            "line 3: cannot read the date",
        ),
        (b"a\nb\n\xff", "line 3: not utf-8 .*'cp1252'"),
        (b"a\n\0", "line 2: not a text file"),
    ],
)
def test_what_is_wrong_in_a_text_file_is_named(tmp_path, data, message):
    path = save(tmp_path, "a.md", data)
    with pytest.raises(InputError, match=message):
        load_writing(path)


def test_an_encoding_that_is_given_is_taken(tmp_path):
    path = save(tmp_path, "a.txt", "Café".encode("cp1252"))
    assert read(path, encoding="cp1252") == ["Café"]
    with pytest.raises(InputError, match="no encoding 'none'"):
        load_writing(path, encoding="none")
    for name, data in (("b.txt", "Café"), ("c.csv", "text\nCafé\n")):
        assert read(save(tmp_path, name, data.encode("utf-16"))) == ["Café"]
    page = '<meta charset="windows-1252"><p>Café</p>'.encode("cp1252")
    assert read(save(tmp_path, "d.html", page)) == ["Café"]


def test_paths_that_are_no_writing_are_named(tmp_path):
    with pytest.raises(InputError, match="none: there is no such file or f"):
        load_writing(tmp_path / "none")
    with pytest.raises(InputError, match="the kind must be one of .txt, .md"):
        load_writing(save(tmp_path, "a.pdf", b"x"))
    (tmp_path / "a.pdf").unlink()
    with pytest.raises(InputError, match="there is no text in it"):
        load_writing(tmp_path)


@pytest.mark.parametrize(
    ("dates", "read"),
    [
        (["31.12.21", "01.01.22"], ["2021-12-31", "2022-01-01"]),
        (["12/31/21", "1/1/22"], ["2021-12-31", "2022-01-01"]),
        # The order of the lines tells.
        (["01.05.21", "02.04.21"], ["2021-01-05", "2021-02-04"]),
        (["2021-03-04", "2021-03-05"], ["2021-03-04", "2021-03-05"]),
        (["01/01/2021", "02/02/2021"], ["2021-01-01", "2021-02-02"]),
        (["01.02.21", "01.03.21"], None),
    ],
)
def test_a_chats_dates(tmp_path, dates, read):
    lines = [f"[{d}, 10:00:00] U{i}: hello" for i, d in enumerate(dates)]
    path = save(tmp_path, "a.txt", "\n".join(lines).encode())
    if read is None:
        with pytest.raises(InputError, match="line 1: 01.02.21 could mean two"):
            load_writing(path)
        read, how = ["2021-02-01", "2021-03-01"], {"date_format": "%d.%m.%y"}
    else:
        how = {}
    writing = load_writing(path, **how)
    found = [documents[0].date for documents in writing.users.values()]
    assert found == [f"{day}T10:00:00" for day in read]


@pytest.mark.parametrize(
    ("time", "read"),
    [
        ("9:05", "09:05:00"),
        ("21.05.30", "21:05:30"),
        ("9:05\u202fPM", "21:05:00"),
        ("9:05 p.m.", "21:05:00"),
        ("12:00 AM", ""),
    ],
)
def test_a_chats_times(tmp_path, time, read):
    path = save(tmp_path, "a.txt", f"[31.12.21, {time}] Ann: hello".encode())
    (document,) = load_writing(path).documents
    assert document.date == f"2021-12-31T{read}".removesuffix("T")


def test_a_slack_export_is_a_folder(tmp_path):
    (tmp_path / "general").mkdir()
    save(tmp_path / "general", "2022-01-03.json", json.dumps(SLACK).encode())
    for name in ("users.json", "channels.json"):
        save(tmp_path, name, b'[{"id": "U1"}]')
    writing = load_writing(tmp_path, user="U1")
    assert [d.text for d in writing.documents] == SLACK_TEXT
    assert writing.documents[0].date.startswith("2022-01-03T")
    assert writing.left_out["Slack's lists"] == 2


def test_a_table_with_an_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_FIELD", 1 << 10)
    data = b"text\nshort\n" + b"x" * (1 << 20)
    assert "line 3: not CSV" in refusal(save(tmp_path, "a.csv.gz", data))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(
    st.sampled_from([*KINDS.values()]), st.binary(max_size=9), st.floats(0, 1)
)
def test_bytes_within_a_file_are_read_or_refused(
    tmp_path_factory, kind, extra, place
):
    name, data, _ = kind
    data = data.encode()
    cut = int(place * len(data))
    folder = tmp_path_factory.getbasetemp()
    path = save(folder, name, data[:cut] + extra + data[cut + 3 :])
    try:
        read(path)
    except InputError as error:
        assert str(path) in str(error)


def test_a_packed_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "LONGEST", 1 << 20)
    assert "larger" in refusal(save(tmp_path, "a.txt.gz", b"x" * (1 << 24)))


def test_no_keras_is_loaded(tmp_path):
    save(tmp_path, "a.md", b"mine")
    code = (
        "import sys; from keras_restpg.data import load_writing\n"
        f"load_writing({str(tmp_path)!r}).documents\n"
        "sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
