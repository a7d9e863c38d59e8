"""What its author wrote in a mail.

Other people's words stand in almost every mail. They are known by how mail
programs mark them: signs before each line, HTML elements, the line that
introduces an answer ("On … wrote:") and headers within the text. All of these
are known in any language but for introductions with no signs after them: there
they are those that quotequail knows. Where a line looks like an introduction
and nothing tells where the quoted text ends, the mail is not attributed at all
(`Mail.why`).
"""

import codecs
import dataclasses
import email
import email.errors
import email.header
import email.utils
import re

import quotequail

from keras_restpg.data.markup import read_page
from keras_restpg.errors import InputError

# A mail's parts, and a header's characters, beyond which nobody wrote it.
_MOST_PARTS = 256
_LONGEST_HEADER = 20_000
# Lines of a text, and characters of a line that can mark something.
_MOST_LINES = 20_000
_LONGEST_MARK = 300
# A line that introduces quoted lines, whatever its language: it has a date or
# an address, ends in a colon, and may be wrapped.
_INTRODUCES = re.compile(r".*[\d@].*[:：]\s*", re.DOTALL)
_WRAPS = re.compile(r".*[\d@].*[^.!?:\s]\s*").fullmatch
# The same where no quoted lines follow: an address, or a date with a time.
_MAY_INTRODUCE = re.compile(r"(?:.*\w@\w.*|.*\d.*\d[:.h]\d\d.*)[:：]\s*")
# Headers within the text, from which on it is another mail.
_ENGLISH = re.compile(
    r"^[ \t]*\*?From:.*(?:\s*\n[ \t]*\*?(?:Sent|Date|To|Cc|Subject):.*){2}",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER = re.compile(
    r"\s*\*?([^\W\d_][^:：\n]{0,24}?)\s?(?:\*?:\*?\s+|：\s*)\S.*"
)
_FROM = frozenset(
    "from von de da van från fra od от отправитель от_кого expéditeur "
    "remitente mittente afzender nadawca odesílatel lähettäjä feladó kimden "
    "gönderen από מאת من dari từ người_gửi 差出人 发件人 寄件人 寄件者 "
    "보낸사람 보낸_사람".split()
)
# What stands above them: nothing, or a line of signs, often with words.
_ENDS = re.compile(r"\s*(?:[-_=*]{3,}.*)?").fullmatch
_FORWARDED = re.compile(
    r"^[ \t]*-+[ \t]*(?:original message|forwarded by)\b",
    re.IGNORECASE | re.MULTILINE,
)
# Lines that a signature has at most, and where a list's footer begins.
_SIGNATURE_LINES = 12
_FOOTER = re.compile(r"[-_=]{30,}\s*").fullmatch
_SENT_FROM = re.compile(
    r"(?:sent from|get outlook|gesendet (?:von|mit)|von meinem|outlook für"
    r"|envoyé (?:de|depuis)|enviado (?:desde|do|a partir)|inviato da"
    r"|verzonden (?:vanaf|met)|skickat från|sendt fra|wysłane? z|отправлено)"
    r"\b.{0,60}",
    re.IGNORECASE,
)
# How the mail programs mark what they quote, and signatures, in HTML. Behind
# Outlook's line, everything is quoted.
_QUOTED_HTML = " | ".join(
    [
        "//blockquote",
        *(
            f'//*[contains(concat(" ", @class, " "), " {name} ")]'
            for name in (
                *("gmail_quote", "gmail_signature", "gmail_attr"),
                *("moz-cite-prefix", "moz-signature", "yahoo_quoted"),
                *("protonmail_quote", "zmail_extra", "OutlookMessageHeader"),
            )
        ),
        *(
            f'//*[@id="{name}"]{what}'
            for name in ("divRplyFwdMsg", "appendonsend")
            for what in ("", "/following::*")
        ),
        '//*[@id="mail-editor-reference-message-container"]',
        '//*[@id="Signature"]',
    ]
)
# Codecs of Python that are no charset of a mail.
_NO_CHARSETS = (
    "idna",
    "punycode",
    "raw-unicode-escape",
    "undefined",
    "unicode-escape",
)


@dataclasses.dataclass(frozen=True)
class Mail:
    """A mail as its author wrote it.

    Attributes:
        subject: on one line.
        text: the author's own words; empty where there are none.
        sender: the author's address in small letters; empty where unknown.
        date: the header's, as it stands there.
        why: why nothing is attributed; empty: it is.
    """

    subject: str = ""
    text: str = ""
    sender: str = ""
    date: str = ""
    why: str = ""


def parse_mail(data: bytes) -> tuple[str, str]:
    """Subject and own text of a mail's bytes, as of `read_mail`."""
    mail = read_mail(data)
    return mail.subject, mail.text


def read_mail(data: bytes) -> Mail:
    """A mail's bytes as a `Mail`, in time that grows with their number.

    Attachments and what is quoted from other mails are left out, wherever it
    stands; bytes that do not fit their encoding become the replacement sign.
    """
    # A part within a part costs a level of recursion, and time for each line.
    if len(re.findall(rb"boundary\s*=", data, re.IGNORECASE)) > _MOST_PARTS:
        return Mail(why="more than 256 nested parts")
    try:
        message = email.message_from_bytes(data)
        if any(_is_long(part) for part in message.walk()):
            return Mail(why=f"a header of over {_LONGEST_HEADER} characters")
        body = _body(message)
        text = "" if body is None else _text(body)
    except RecursionError:
        return Mail(why="parts nested too deep")
    except InputError:
        return Mail(why="HTML nested too deep")
    own = own_text(text)
    sender = email.utils.parseaddr(_header(message, "From"))[1].lower()
    return Mail(
        _header(message, "Subject"),
        own or "",
        sender,
        _header(message, "Date"),
        "quoted text that can't be told from its own" if own is None else "",
    )


def own_text(text: str) -> str | None:
    """A mail's text without what is quoted from others, and its signature.

    Returns:
        The author's words; None where these can't be told from others'.
    """
    lines = _unquoted(text.splitlines())
    if len(lines) > _MOST_LINES:
        return None
    text = "\n".join(lines)
    if match := _ENGLISH.search(text) or _FORWARDED.search(text):
        lines = _without_end(text[: match.start()].split("\n"))
    lines = _before_headers(_unsigned(lines))
    lines = lines and _before_introduction(lines)
    if lines is None or _may_introduce(lines):
        return None
    return "\n".join(_unsigned(lines)).strip()


def _unquoted(lines):
    """The lines without those that are quoted, and what introduces them."""
    kept = []
    for line in lines:
        if not line.lstrip().startswith(">"):
            kept.append(line)
        elif kept and kept[-1] is not None:
            _drop_introduction(kept)
            kept.append(None)
    return [line for line in kept if line is not None]


def _drop_introduction(kept):
    """Drops the line above quoted lines that introduces them, if one does."""
    blank = len(kept) > 1 and not (kept[-1] or "").strip()
    start = end = len(kept) - blank
    for size in (1, 2, 3):
        line = kept[end - size] if size <= end else None
        if not line or not line.strip() or len(line) > _LONGEST_MARK:
            break
        if size > 1 and not (_is_wrapped(kept[start:end]) and _WRAPS(line)):
            break
        start = end - size
    if start < end and _INTRODUCES.fullmatch("\n".join(kept[start:end])):
        del kept[start:]


def _is_wrapped(lines):
    """Whether an introduction lacks its beginning, which has the date."""
    text = "\n".join(lines)
    return bool(re.match(r"\s*[<(\[a-z]", text)) or not re.search(r"\d", text)


def _before_headers(lines):
    """The lines before three or more that are another mail's headers.

    None where they may be such headers and may be the author's own list.
    """
    start = 0
    for number, line in enumerate([*lines, ""]):
        if len(line) <= _LONGEST_MARK and _HEADER.fullmatch(line):
            continue
        block = lines[start:number]
        if len(block) >= 3:
            names = {_name(line) for line in block}
            if names & _FROM:
                return _without_end(lines[:start])
            if any("@" in line for line in block):
                # Where nothing follows, it is how to reach the author.
                follows = "".join(lines[number:]).strip()
                return None if follows else lines[:start]
        start = number + 1
    return lines


def _name(header):
    return "_".join(_HEADER.sub(r"\1", header).casefold().split())


def _without_end(lines):
    """The lines without the line that stands above another mail's headers."""
    end = len(lines)
    while end and _ENDS(lines[end - 1]):
        end -= 1
    return lines[:end]


def _before_introduction(lines):
    """The lines before the first that introduces another's, as far as known.

    None where there are too many that look like it.
    """
    marks = [line if len(line) <= _LONGEST_MARK else "…" for line in lines]
    start = 0
    for _ in range(5):
        found = quotequail.quote(
            "\n".join(marks[start:]),
            limit=len(marks) + 1,
            quote_intro_line=True,
        )
        if len(found) == 1:
            return lines
        end = len(marks) - found[1][1].count("\n") - 1
        # "On the other hand, he wrote:" has neither date nor address.
        line = " ".join(marks[end : end + 2])
        if re.search(r"[\d@]|^\W", line) or not "".join(lines[end + 1 :]):
            return _without_end(lines[:end])
        start = end + 1
    return None


def _may_introduce(lines):
    """Whether one of the lines may introduce what stands after it."""
    for number, line in enumerate(lines):
        if len(line) > _LONGEST_MARK or not line.rstrip().endswith((":", "：")):
            continue
        # A short one may be the end of a line that was wrapped.
        start = number if len(line.split()) > 2 else max(number - 2, 0)
        marks = [each[:_LONGEST_MARK] for each in lines[start : number + 1]]
        if _MAY_INTRODUCE.fullmatch(" ".join(marks)):
            return True
    return False


def _unsigned(lines):
    """The lines without a signature, which a line `-- ` begins.

    A long line begins the footer of a mailing list.
    """
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    lines = lines[:end]
    for count in range(1, min(_SIGNATURE_LINES, len(lines)) + 1):
        if lines[-count].rstrip() == "--" or _FOOTER(lines[-count]):
            return lines[:-count]
    if lines and _SENT_FROM.fullmatch(lines[-1].strip()):
        return lines[:-1]
    return lines


def _header(message, name):
    """A header on one line, decoded."""
    value = str(message.get(name, "") or "")
    try:
        value = str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, ValueError, email.errors.HeaderParseError):
        pass  # No such charset, or not encoded as it says: as it stands.
    return " ".join(value.split())


def _is_long(part):
    return any(len(str(value)) > _LONGEST_HEADER for _, value in part.items())


def _body(part):
    """The part that is read: plain text, and HTML where there is none."""
    if part.get_content_disposition() == "attachment":
        return None
    kind = part.get_content_type()
    if not part.is_multipart():
        return part if kind in ("text/plain", "text/html") else None
    if part.get_content_maintype() != "multipart":
        return None  # A mail within the mail.
    bodies = map(_body, part.get_payload())
    # A message without headers counts as false.
    found = [body for body in bodies if body is not None]
    if kind == "multipart/alternative":
        found.sort(key=lambda body: body.get_content_type() != "text/plain")
    return found[0] if found else None


def _text(part):
    payload = part.get_payload(decode=True) or b""
    text = _decoded(payload, part.get_content_charset("utf-8"))
    if part.get_content_type() == "text/html":
        return read_page(text, "mail", _QUOTED_HTML).text
    if str(part.get_param("format", "")).lower() == "flowed":
        return _unflowed(text, part.get_param("delsp") == "yes")
    return text


def _unflowed(text, delete_space):
    """Text whose lines end in a space where they go on (RFC 3676)."""
    done, open_depth = [], None
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip(">"))
        line = line[depth:].removeprefix(" ")
        flows = line.endswith(" ") and line != "-- "
        if line == "-- " or depth != open_depth:
            done.append([">" * depth])
        done[-1].append(line[:-1] if flows and delete_space else line)
        open_depth = depth if flows else None
    return "\n".join("".join(pieces) for pieces in done)


def _decoded(payload, charset):
    try:
        if codecs.lookup(charset).name not in _NO_CHARSETS:
            return payload.decode(charset, "replace")
    except (LookupError, ValueError):
        pass
    return payload.decode("latin-1")
