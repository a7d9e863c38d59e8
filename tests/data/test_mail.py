import time

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data.mail import own_text, parse_mail, read_mail
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
        "a > b\n- original\n--\n" + "more\n" * 12 + "Ann",
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


# What a reply has above or around the words it answers, by language.
ANSWERS = {
    "English, unquoted": "On Mon, 3 Jan 2022 at 10:00, Ann <ann@x.org> wrote:",
    "German": "Am Mo., 3. Jan. 2022 um 10:00 Uhr schrieb Ann <ann@x.org>:",
    "French": "Le lun. 3 janv. 2022 à 10:00, Ann <ann@x.org> a écrit :",
    "Spanish": "El lun, 3 ene 2022 a las 10:00, Ann (<ann@x.org>) escribió:",
    "Portuguese": "Em seg., 3 de jan. de 2022, Ann <ann@x.org> escreveu:",
    "Dutch": "Op ma 3 jan. 2022 om 10:00 schreef Ann <ann@x.org>:",
    "Swedish": "Den mån 3 jan. 2022 kl 10:00 skrev Ann <ann@x.org>:",
    "Russian": "пн, 3 янв. 2022 г. в 10:00, Ann <ann@x.org>:",
    "Italian": "Il giorno lun 3 gen 2022 alle ore 10:00 Ann ha scritto:",
    "Polish": "pon., 3 sty 2022 o 10:00 Ann <ann@x.org> napisał(a):",
    "Japanese": "2022年1月3日(月) 10:00 Ann <ann@x.org>:",
    "Chinese": "Ann <ann@x.org> 于2022年1月3日周一 10:00写道：",
    "Korean": "2022년 1월 3일 (월) 오전 10:00, Ann <ann@x.org>님이 작성:",
    "wrapped": "On Mon, 3 Jan 2022 at 10:00, Ann Bell\n<ann@x.org> wrote:",
    "wrapped twice": "On Mon, 3 Jan 2022, Ann Bell\n<ann@x.org>\nwrote:",
}


@pytest.mark.parametrize("line", ANSWERS.values(), ids=ANSWERS)
def test_no_introduction_of_any_language_is_taken_for_own_words(line):
    assert own_text(f"mine\n\n{line}\n> theirs\n>\n> more\n\nmine too") == (
        "mine\n\n\nmine too"
    )
    assert own_text(f"mine\n\n{line}\n\n> theirs") == "mine"
    # Where no signs tell what is quoted, nothing is theirs by mistake.
    assert own_text(f"mine\n\n{line}\n\ntheirs\n") in ("mine", None)


HEADERS = [
    "From: Ann\nSent: Monday\nTo: Bob\nSubject: Tea",
    "Von: Ann <ann@x.org>\nGesendet: Montag, 3. Januar\nAn: Bob\nBetreff: Tee",
    "De : Ann <a@x.org>\nEnvoyé : lundi 3 janvier\nÀ : Bob\nObjet : Thé",
    "De: Ann\nEnviado el: lunes\nPara: Bob\nAsunto: Té",
    "Da: Ann\nInviato: lunedì\nA: Bob\nOggetto: Tè",
    "*Od:* Ann\n*Wysłano:* poniedziałek\n*Do:* Bob\n*Temat:* Herbata",
    "Fra: Ann\nSendt: mandag\nTil: Bob\nEmne: Te",
    "От: Ann\nОтправлено: понедельник\nКому: Bob\nТема: Чай",
    "Date: Mon, 3 Jan 2022\nSubject: Tea\nFrom: ann@x.org\nTo: bob@x.org",
    "发件人：Ann\n发送时间：星期一\n收件人：Bob\n主题：茶",
    "差出人: Ann\n送信日時: 月曜日\n宛先: Bob\n件名: 茶",
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("line", ["", "________________\n", "---- X ----\n"])
def test_headers_of_any_language_begin_another_mail(headers, line):
    assert own_text(f"mine\n\n{line}{headers}\n\ntheirs") == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "mine\nLähetti: Ann <ann@x>\nAika: eilen\nKenelle: Bob\n\ntheirs",
        "mine\nAika: eilen\nLähetti: Ann <ann@x>\nAihe: Tee\n\ntheirs",
        "mine\nAnn <ann@x.org>, 3.1.2022:\ntheirs",
        "x\n" * 20_001,
    ],
)
def test_what_cannot_be_told_apart_is_nobodys(text):
    assert own_text(text) is None
    assert read_mail(f"\n{text}".encode()).why


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("mine\n-- \nAnn\n+1 234", "mine"),
        ("mine\n--\nAnn", "mine"),
        ("mine\n\nTel: 1\nFax: 2\nMail: ann@x.org\n", "mine"),
        (f"mine\n{'_' * 40}\nA list\nhttps://x.org/list", "mine"),
        ("mine\n\nSent from my iPhone", "mine"),
        ("mine\n\nVon meinem iPhone gesendet\n", "mine"),
        ("mine\n-- \nAnn\n\nOn 3 Jan 2022, Bob wrote:\n> a", "mine"),
        (
            "Milk: 2\nTea: 1\nSalt: none\nBuy it",
            "Milk: 2\nTea: 1\nSalt: none\nBuy it",
        ),
    ],
)
def test_signatures_are_left_out_and_lists_are_not(text, own):
    assert own_text(text) == own


def html(body):
    return f"Content-Type: text/html; charset=utf-8\n\n{body}".encode()


@pytest.mark.parametrize(
    "page",
    [
        "<p>mine</p><blockquote>theirs</blockquote>",
        '<div>mine</div><div class="gmail_quote gmail_quote_container"><div '
        'dir="ltr" class="gmail_attr">Am 3. schrieb Ann:<br></div><blockquote '
        'class="gmail_quote">theirs</blockquote></div>',
        '<div>mine</div><div id="divRplyFwdMsg"><b>Von:</b> Ann</div><div>'
        "theirs</div>",
        '<div>mine</div><hr id="appendonsend"><div>theirs</div>',
        '<p>mine</p><div style="border-top:solid #E1E1E1 1.0pt"><p><b>Von:</b> '
        "Ann &lt;ann@x.org&gt;<br><b>Gesendet:</b> Montag<br><b>An:</b> Bob<br>"
        "<b>Betreff:</b> Tee</p></div><p>theirs</p>",
        '<div>mine</div><div class="moz-cite-prefix">Ann wrote:</div>'
        '<blockquote type="cite">theirs</blockquote>'
        '<div class="moz-signature">-- <br>Bob</div>',
    ],
)
def test_what_html_quotes_is_left_out(page):
    assert read_mail(html(page)).text == "mine"


def test_flowed_text_is_joined():
    head = b"Content-Type: text/plain; format=flowed\n\n"
    body = b"one \ntwo\n>> their \n>> words\n From here \non\n-- \nAnn \n"
    assert read_mail(head + body).text == "one two\nFrom here on"


def nested(depth, kind="mixed"):
    if kind == "rfc822":
        return b"Content-Type: message/rfc822\n\n" * depth + b"x"
    heads = [
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i)
        for i in range(depth)
    ]
    return b"".join(heads) + b"Content-Type: text/plain\n\nx"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (nested(3000), "nested"),
        (nested(3000, "rfc822"), "nested"),
        (html("<div>" * 5000 + "x"), "nested"),
        (b"Subject: " + b"a\n " * 500_000 + b"\n\nx", "header"),
        (b"From: " + b"(" * 500_000 + b"\n\nx", "header"),
        (b"Content-Type: text/plain" + b";\n a=b" * 200_000 + b"\n\nx", "head"),
    ],
)
def test_hostile_mails_are_left_out_in_time(data, why):
    start = time.perf_counter()
    mail = read_mail(data)
    assert why in mail.why and not mail.text
    assert time.perf_counter() - start < 3


def test_parts_within_parts_are_read():
    assert read_mail(nested(100)).text == "x"


def test_the_head_is_decoded():
    assert read_mail(b"Subject: =?bad?q?x?=\n\n").subject == "=?bad?q?x?="
    mail = read_mail(
        b"From: =?utf-8?q?Ann_B=C3=A4r?= <Ann@X.org>\n"
        b"Subject: a =?utf-8?q?f=C3=BCr?=\n folded\n"
        b"Date: Mon, 3 Jan 2022 10:00:00 +0100\n\nmine"
    )
    assert mail.sender == "ann@x.org" and mail.subject.startswith(
        "a für folded"
    )
    assert mail.date == "Mon, 3 Jan 2022 10:00:00 +0100"
