"""Messages of exported chats: WhatsApp's text, Telegram's and Slack's JSON.

What a person wrote without a break by another is one text: a line for each
message. Words of the programs, and what is forwarded, are left out.
"""

import functools
import html
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from keras_restpg.data import dates, reading
from keras_restpg.data.piece import Piece
from keras_restpg.errors import InputError

# "[31.12.20, 10:00:00] Ann: Hello" and "12/31/20, 10:00 AM - Ann: Hello".
_HEAD = re.compile(
    r"\u200e?\[?(?P<date>\d{1,4}[./-]\d{1,2}[./-]\d{1,4}),?\s"
    r"(?P<time>\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:\s?[ap]\.?\s?m\.?)?)"
    r"(?:\]\s|\s-\s)(?P<rest>.*)",
    re.IGNORECASE,
)
# Android's words for a file, and what was taken back.
_NOT_WRITTEN = re.compile(
    r"<[^<>]{3,40}>|null|(?:This message was|You) deleted(?: this message)?\.?"
)
_SLACK_LINK = re.compile(r"<(?:[^<>|]*\|([^<>]*)|([^<>|]*))>")


def is_whatsapp(text: str) -> bool:
    """Whether a text is WhatsApp's export: its first line is a message."""
    return bool(_HEAD.match(text.lstrip("\ufeff\n")))


def whatsapp(text: str, path: str, date_format: str = "") -> Iterator[Piece]:
    """The messages of WhatsApp's export.

    Raises:
        InputError: dates of which nothing tells which number is the day.
    """
    found = []  # Where, date, time, the rest and its further lines.
    for number, line in enumerate(text.split("\n"), 1):
        if head := _HEAD.fullmatch(line):
            where = f"{path}, line {number}"
            found.append([where, head["date"], head["time"], head["rest"]])
        elif found:
            found[-1][3] += f"\n{line}"
    order = _order([date for _, date, _, _ in found])
    day_of = functools.partial(_day, order=order, date_format=date_format)
    return _joined(
        _whatsapp_message(where, rest, functools.partial(day_of, date), time)
        for where, date, time, rest in found
    )


def _whatsapp_message(where, rest, day_of, time):
    user, colon, text = rest.partition(": ")
    if not colon or "\n" in user:
        return Piece("", where, why="the program's own words")
    if text.startswith("\u200e") or _NOT_WRITTEN.fullmatch(text.strip()):
        return Piece("", where, user=user, why="the program's own words")
    time = re.sub(r"(?<=\d)\.(?=\d)", ":", time)
    clock = dates.iso(f"2000-01-01 {time}", where)
    date = f"{day_of(where)}{clock[10:]}"
    return Piece(text.strip(), where, "", user, date)


def _day(date, where, order, date_format):
    """The day of a message, as ISO text."""
    if date_format:
        return dates.iso(date, where, date_format)[:10]
    if order is None:
        raise InputError(
            f"{where}: {date} could mean two days, and no date of the chat "
            "tells which. Give the date format, such as '%d/%m/%y'."
        )
    numbers = map(int, re.split("[./-]", date))
    parts = dict(zip(order, numbers, strict=True))
    year = parts["y"] + 2000 * (parts["y"] < 100)
    return f"{year}-{parts['m']:02}-{parts['d']:02}"


def _order(written):
    """`"dmy"`, `"mdy"` or `"ymd"`; None where the dates leave it open.

    A chat is in order of time: that tells it too.
    """
    numbers = [list(map(int, re.split("[./-]", date))) for date in written]
    orders = ("dmy", "mdy", "ymd")
    possible = [order for order in orders if _fits(numbers, order)]
    same = len(possible) > 1 and all(a == b for a, b, _ in numbers)
    return possible[0] if len(possible) == 1 or same else None


def _fits(numbers, order):
    moments = []
    for each in numbers:
        parts = dict(zip(order, each, strict=True))
        if (parts["y"] > 99) != (max(each) > 99 or order == "ymd"):
            return False
        try:
            moments.append(
                datetime(parts["y"] % 100 + 2000, parts["m"], parts["d"])
            )
        except ValueError:
            return False
    return moments == sorted(moments)


def is_telegram(whole: object) -> bool:
    """Whether an object is Telegram's export of a chat, or of all chats."""
    return isinstance(whole, dict) and any(
        isinstance(whole.get(name), kind)
        for name, kind in (("messages", list), ("chats", dict))
    )


def telegram(whole: dict, path: str) -> Iterator[Piece]:
    """The messages of Telegram's `result.json`.

    Raises:
        InputError: a message that does not fit, with its place.
    """
    listed = whole["chats"].get("list") if "chats" in whole else [whole]
    for number, chat in enumerate(listed or [], 1):
        messages = chat.get("messages") if isinstance(chat, dict) else None
        if not isinstance(messages, list):
            raise InputError(f"{path}, chat {number}: 'messages' is no list.")
        yield from _joined(
            _telegram_message(each, f"{path}, chat {number}, message {place}")
            for place, each in enumerate(messages, 1)
        )


def _telegram_message(row, where):
    if not isinstance(row, dict):
        raise InputError(f"{where}: must be an object.")
    user = str(row.get("from") or row.get("from_id") or "")
    if row.get("type") != "message" or not user:
        return Piece("", where, why="the program's own words")
    if row.get("forwarded_from") or row.get("via_bot"):
        return Piece("", where, user=user, why="forwarded")
    text = row.get("text", "")
    parts = text if isinstance(text, list) else [text]
    text = "".join(
        str(part.get("text", "") if isinstance(part, dict) else part)
        for part in parts
        if not (isinstance(part, dict) and part.get("type") == "blockquote")
    )
    date = dates.text_or(row, "date", where)
    return Piece(text.strip(), where, "", user, date and dates.iso(date, where))


def is_slack(row: dict) -> bool:
    """Whether a row is a message of Slack's export."""
    return row.get("type") == "message" and "ts" in row


def slack(rows: Iterable[tuple[str, dict]]) -> Iterator[Piece]:
    """The messages of a day's file of Slack's export.

    Raises:
        InputError: a message that does not fit, with its place.
    """
    return _joined(_slack_message(row, where) for where, row in rows)


def _slack_message(row, where):
    profile = row.get("user_profile")
    profile = profile if isinstance(profile, dict) else {}
    user = str(profile.get("real_name") or row.get("user") or "")
    if not user or row.get("subtype") or row.get("bot_id"):
        return Piece("", where, user=user, why="the program's own words")
    text = reading.text_or(row, "text", where)
    lines = [
        line
        for line in text.split("\n")
        if not line.startswith("&gt;")  # Somebody else's, quoted.
    ]
    text = _SLACK_LINK.sub(lambda m: m[1] or m[2] or "", "\n".join(lines))
    date = dates.iso(reading.text_of(row, "ts", where), where)
    return Piece(html.unescape(text).strip(), where, "", user, date)


def _joined(messages):
    """Messages of one person without a break as one text, the first's date."""
    running = None
    for piece in messages:
        if piece.why or not piece.text:
            yield piece
        elif running and running.user == piece.user:
            text = f"{running.text}\n{piece.text}"
            running = Piece(text, running.where, "", running.user, running.date)
        else:
            if running:
                yield running
            running = piece
    if running:
        yield running
