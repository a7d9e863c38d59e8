"""When documents were written: dates as people and programs write them.

A date is compared by the first moment it can mean: 2020 is before 2020-03,
and that before 2020-03-01 12:00. One without a zone is taken as UTC. What
cannot be read, or could mean two days (03/04/2020), is refused and never
guessed: a wrong order puts a user's later texts before a model that is to
write an earlier one.
"""

import datetime
import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from keras_restpg.data import reading
from keras_restpg.errors import InputError
from keras_restpg.records import Document

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UNDATED = datetime.datetime.min.replace(tzinfo=datetime.UTC)
# Since 1970 in seconds, milli-, micro- or nanoseconds: the number of digits
# tells which, for all dates from 1973 to 2286.
_SINCE_EPOCH = re.compile(r"-?(\d{9,10})(\d{3}|\d{6}|\d{9})?(\.\d*)?")
_COMPACT = re.compile(r"\d{8}(\d{6})?")
# What `fromisoformat` may read: it takes "2020-01-15-05:00" for five o'clock.
_ISO = re.compile(r"\d{4}-?(\d\d-?\d\d|W\d\d(-?\d)?)([T ]\d.*)?", re.IGNORECASE)
_ZONE = (
    r"(?:GMT|UTC)?(?P<sign>[-+])(?P<hours>\d\d):?(?P<minutes>\d\d)?(?: UTC)?"
    r"|(?P<zone>Z|UTC?|GMT|[ECMP][SD]T)"
)
_TIME = re.compile(
    r"(?:\bat\s+|T)?(?<![-+\d])(?P<hour>\d{1,2}):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    rf"(?:\s*(?P<half>[ap])\.?m\b\.?)?(?:\s*(?:{_ZONE}))?(?![\w:])",
    re.IGNORECASE,
)
# Those of RFC 2822; other letters mean different zones to different people.
_ZONE_HOURS = {"E": -5, "C": -6, "M": -7, "P": -8}
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?"
    r"|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?"
    r"|dec(?:ember)?)\.?"
)
_WEEKDAY = re.compile(
    r"\b(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\b\.?,?",
    re.IGNORECASE,
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12]\d{3})"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # 2020, and 2020.0, as tables with gaps have it
        rf"{_YEAR}(?:\.0)?",
        # 2020-03, 2020/3, 2020.03; 2020.1 may be a number's 2020.10
        rf"{_YEAR}(?:[-/](?P<month>\d\d?)|\.(?P<padded>\d\d))",
        # 2020/3/1, 2020. 3. 1.
        rf"{_YEAR}([-/.]) ?(?P<month>\d\d?)\2 ?(?P<day>\d\d?)\.?",
        # Amazon's 12 30, 2000
        rf"(?P<month>\d\d?) (?P<day>\d\d?), {_YEAR}",
        # Either may be the day.
        rf"(?P<one>\d\d?)([-/.])(?P<other>\d\d?)\2{_YEAR}",
        # March 2020, March 1, 2020
        rf"{_MONTH}(?:[-\s]+{_DAY})?[-,\s]*\b{_YEAR}",
        # 1 March 2020, 1-Mar-2020
        rf"{_DAY}(?:\s+of)?[-\s]*{_MONTH}[-,\s]*{_YEAR}",
        # 2020 Mar 1
        rf"{_YEAR}[-,\s]*{_MONTH}(?:[-\s]*{_DAY})?",
    )
]


def parse(text: str, where: str, date_format: str = "") -> datetime.datetime:
    """The first moment that a date can mean.

    Args:
        text: ISO 8601; a year or a month; year first with any of `-/.`, or
            with 年月日; numbers of seconds, milli-, micro- or nanoseconds
            since 1970; as in mails (RFC 2822); with an English name of the
            month; Amazon's `12 30, 2000`; day and month in any order where
            one of them is over 12.
        where: file, line and field, for messages.
        date_format: as of `strptime`, such as `"%d/%m/%Y"`: how all dates
            are written; empty: as above.

    Returns:
        `datetime.datetime` in UTC.

    Raises:
        InputError: no such date, or one that could mean two days.
    """
    try:
        return _moment(text, date_format)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: cannot read the date {text[:80]!r} ({error}). Write it "
            "as 2020-01-31, or give `date_format`, such as '%d/%m/%Y'."
        ) from None


def iso(text: str, where: str, date_format: str = "") -> str:
    """The first moment that a date can mean, as ISO text in UTC.

    A date without a time stays one: `2020-01-31`.

    Raises:
        InputError: as `parse`.
    """
    written = parse(text, where, date_format).isoformat()
    return written.removesuffix("+00:00").removesuffix("T00:00:00")


def text_of(
    row: Mapping[str, Any], field: str, where: str, date_format: str = ""
) -> str:
    """The text of a row's date, as given; empty where it is blank.

    Raises:
        InputError: the field is missing or no date, with file and line.
    """
    text = reading.text_of(row, field, where).strip()
    if text:
        parse(text, f"{where}, the field {field!r}", date_format)
    return text


def text_or(
    row: Mapping[str, Any], field: str, where: str, date_format: str = ""
) -> str:
    """As `text_of`, but empty where the field is missing or null."""
    if row.get(field) is None:
        return ""
    return text_of(row, field, where, date_format)


def moment(document: Document, date_format: str = "") -> datetime.datetime:
    """When a `Document` was written, to sort by; undated ones come first.

    Raises:
        InputError: as `parse`.
    """
    if not document.date:
        return _UNDATED
    where = f"document {document.id!r}"
    return parse(document.date, where, date_format)


@functools.lru_cache(maxsize=1 << 16)
def _moment(text, date_format):
    found = (_by_format if date_format else _by_form)(text, date_format)
    if found.tzinfo is None:
        return found.replace(tzinfo=datetime.UTC)
    return found.astimezone(datetime.UTC)


def _by_format(text, date_format):
    # Without one, strptime takes 1900 for the year of all dates.
    if not re.search("%[YyGcx]", date_format):
        raise ValueError(f"the format {date_format!r} has no year")
    return datetime.datetime.strptime(text, date_format)


def _by_form(text, _):
    """A date in one of the known forms."""
    text = unicodedata.normalize("NFKC", text).strip()
    if _COMPACT.fullmatch(text):
        return datetime.datetime.fromisoformat(f"{text[:8]}T{text[8:] or '00'}")
    if match := _SINCE_EPOCH.fullmatch(text):
        return _since_epoch(text, match)
    if _ISO.fullmatch(text):
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            pass  # "2020-01-15 9:30 PM" looks like ISO and is not.
    return _written(text)


def _since_epoch(text, match):
    # In whole microseconds: floats would move the last digits.
    unit = 10 ** len(match[2] or "")
    whole, _, part = text.partition(".")
    micros = int(whole) * 10**6 // unit
    if unit == 1:
        micros += int(f"{whole[:1].strip('0123456789')}{part[:6]:0<6}")
    return _EPOCH + datetime.timedelta(microseconds=micros)


def _written(text):
    """A date as it is written, with a time and a zone anywhere in it."""
    text = re.sub(r"\([^()]*\)$", "", text)  # A mail's "(PST)".
    time = _TIME.search(text)
    if time:
        text = f"{text[: time.start()]} {text[time.end() :]}"
    text = re.sub(r"\s*[년年月월]\s*", "-", _WEEKDAY.sub(" ", text))
    text = re.sub("[日일]", " ", text).strip(" -,\t")
    day = _day(" ".join(text.split()))
    return _at(day, time.groupdict()) if time else day


def _day(text):
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match:
            parts = {"month": 1, "day": 1}
            parts |= {k: v for k, v in match.groupdict().items() if v}
            return _calendar(parts)
    raise ValueError("no known form of a date")


def _calendar(parts):
    """Midnight of the day that year, month and day name."""
    if "padded" in parts:
        parts["month"] = parts["padded"]
    if "name" in parts:
        parts["month"] = _MONTHS.index(parts["name"][:3].lower()) + 1
    if "one" in parts:
        month, day = sorted((int(parts["one"]), int(parts["other"])))
        if day <= 12 and day != month:
            raise ValueError("which is the day and which the month?")
        parts |= {"month": month, "day": day}
    return datetime.datetime(
        int(parts["year"]), int(parts["month"]), int(parts["day"])
    )


def _at(day, time):
    """A day at a time of `_TIME`'s groups."""
    hour = int(time["hour"])
    if time["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("hours before a.m. and p.m. are from 1 to 12")
        hour = hour % 12 + 12 * (time["half"] in "pP")
    return day.replace(
        hour=hour,
        minute=int(time["minute"]),
        second=int(time["second"] or 0),
        microsecond=int(f"{(time['fraction'] or '')[:6]:0<6}"),
        tzinfo=_zone(time),
    )


def _zone(time):
    if time["sign"]:
        sign = -1 if time["sign"] == "-" else 1
        minutes = int(time["hours"]) * 60 + int(time["minutes"] or 0)
        offset = datetime.timedelta(minutes=sign * minutes)
    elif time["zone"]:
        name = time["zone"].upper()
        hours = _ZONE_HOURS.get(name[0], 0) + (name[1:] == "DT")
        offset = datetime.timedelta(hours=hours)
    else:
        return None
    return datetime.timezone(offset)
