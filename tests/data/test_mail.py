import time

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data.mail import own_text, parse_mail
from tests.data.test_avocado import PARTS, PLAIN, REPLY


def test_mails_are_parsed_without_replies_and_attachments():
    assert parse_mail(PLAIN)[0] == "Plan of the day"
    assert parse_mail(REPLY) == ("Re: Plan", "Fine with me")
    subject, text = parse_mail(PARTS)
    assert subject == "Über" and "binary" not in text
    assert parse_mail(b"\xff no mail") == ("", "\ufffd no mail")


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("> theirs\n\nmine", "mine"),
        ("> one\nmine\n > two\n>> three\nmine too", "mine\nmine too"),
        ("On Mon, 3 Jan 2000, Ann wrote:\n> theirs\nmine", "mine"),
        ("mine\nOn 3 Jan 2000, Ann Bell\n<ann@x> wrote:\n> a", "mine"),
        (
            "On the one hand\nhe once wrote:\nit",
            "On the one hand\nhe once wrote:\nit",
        ),
        ("mine\n-----Original Message-----\nFrom: a\ntheirs", "mine"),
        ("mine\n------- Forwarded by Ann on 1/2/00 -------\ntheirs", "mine"),
        ("mine\r\n\r\nFrom: a\r\nSent: b\r\nTo: c\r\nSubject: d", "mine"),
        ("mine\nFrom: a\nTo: b\n\nSubject: c\n\ntheirs", "mine"),
        ("From: my point of view\nit is", "From: my point of view\nit is"),
        (
            "From: London\nTo: Paris\nby train",
            "From: London\nTo: Paris\nby train",
        ),
    ],
)
def test_what_is_quoted_is_left_out(text, own):
    assert own_text(text) == own


@pytest.mark.parametrize(
    "text",
    [
        "From: my point of view\nit is",
        "From: London\nTo: Paris\nby train",
        "On the one hand\nhe once wrote:\nit",
        "a > b\n- original\n-- \nAnn",
    ],
)
def test_the_authors_own_lines_stay(text):
    assert own_text(text) == text


def test_html_is_read_as_text():
    page = (
        "<style>p {color: red}</style><SCRIPT>if (a < b) c()</SCRIPT>"
        "<!-- <p>no</p> --><p>caf&eacute; &amp; tea</p>1 &lt; 2<br>"
        "-----Original Message-----<br>theirs"
    )
    mail = f"Content-Type: text/html\n\n{page}".encode()
    assert parse_mail(mail)[1].split() == ["café", "&", "tea", "1", "<", "2"]


@pytest.mark.parametrize(
    "charset",
    ["idna", "punycode", "undefined", "unicode_escape", "base64", "a\0b", "no"],
)
def test_what_is_no_charset_is_latin(charset):
    head = f"Content-Type: text/plain; charset={charset}\n\n".encode()
    assert parse_mail(head + b"caf\xe9-b\\n")[1] == "café-b\\n"


PIECES = st.lists(
    st.sampled_from(
        [
            b"Subject: ",
            b"Content-Type: multipart/mixed; boundary=x\n",
            b"Content-Type: text/html; charset=",
            b"Content-Transfer-Encoding: base64\n",
            b"--x\n",
            b"--x--\n",
            b"=?utf-8?q?=C3?=",
            b"\n\n",
            b"\0",
            b"\xff",
            b"<style",
            b"On 1 wrote:\n",
            b"From: a\n",
            b"To: b\n",
        ]
    )
).map(b"".join)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(PIECES | st.binary())
def test_any_bytes_are_a_mail(data):
    subject, text = parse_mail(data)
    assert isinstance(subject, str) and isinstance(text, str)


@pytest.mark.parametrize(
    "text",
    ["From: x\n", "From: a\nTo: b\n", "On 1\n", "-", "\n", "<", "<!--", "<p "],
)
def test_a_megabyte_takes_no_time(text):
    head = b"Content-Type: text/html\n\n"
    start = time.perf_counter()
    parse_mail(head + (text * (10**6 // len(text))).encode())
    assert time.perf_counter() - start < 3
