"""What its author wrote in a mail, with the standard library."""

import codecs
import email
import email.policy
import html
import re

# Here another mail begins, to the end.
_OTHER = re.compile(
    r"^[ \t]*-+[ \t]*(?:original message|forwarded by)\b"
    r"|^[ \t]*\*?From:.*(?:\s*\n[ \t]*\*?(?:Sent|Date|To|Cc|Subject):.*){2}",
    re.IGNORECASE | re.MULTILINE,
)
# Lines about, and of, another mail between the author's own; where the first
# is wrapped it has a date or an address.
_QUOTED = re.compile(
    r"^[ \t]*(?:>.*|On\b.*\bwrote:[ \t]*"
    r"|On\b(?=.*[\d@]).*\n(?![ \t]*>).*\bwrote:[ \t]*)$\n?",
    re.IGNORECASE | re.MULTILINE,
)
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|script)\b.*?(?:</\1\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BREAK = re.compile(r"<(?:br|/?(?:p|div|tr|li|h\d))\b[^<>]*>", re.IGNORECASE)
# Codecs of Python that are no charset of a mail.
_NO_CHARSETS = (
    "idna",
    "punycode",
    "raw-unicode-escape",
    "undefined",
    "unicode-escape",
)


def parse_mail(data: bytes) -> tuple[str, str]:
    """Subject and own text of a mail's bytes.

    Attachments and what is quoted from other mails are left out, wherever it
    stands; bytes that do not fit their encoding become the replacement sign.
    """
    message = email.message_from_bytes(data, policy=email.policy.default)
    subject = str(message.get("subject", "") or "")
    body = message.get_body(preferencelist=("plain", "html"))
    text = "" if body is None else _text(body)
    return " ".join(subject.split()), own_text(text)


def own_text(text: str) -> str:
    """A mail's text without what is quoted from others."""
    text = "\n".join(text.splitlines())
    other = _OTHER.search(text)
    if other:
        text = text[: other.start()]
    return _QUOTED.sub("", text).strip()


def _text(part):
    payload = part.get_payload(decode=True) or b""
    text = _decoded(payload, part.get_content_charset() or "utf-8")
    if part.get_content_subtype() == "html":
        text = _BREAK.sub("\n", _HIDDEN.sub(" ", text))
        text = html.unescape(re.sub(r"<[^<>]*>", " ", text))
    return text


def _decoded(payload, charset):
    try:
        if codecs.lookup(charset).name not in _NO_CHARSETS:
            return payload.decode(charset, "replace")
    except (LookupError, ValueError):
        pass
    return payload.decode("latin-1")
