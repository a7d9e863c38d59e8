import datetime
import itertools

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data import dates
from keras_restpg.errors import InputError
from keras_restpg.records import Document

MORNING = "2020-01-05T10:30:00+00:00"


def read(text, date_format=""):
    return dates.parse(text, "here", date_format).isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-05T10:30:00Z",
        "2020-01-05 10:30",
        "2020-01-05T11:30+01:00",
        "2020-01-05T05:30:00.000-0500",
        "2020-01-05 16:00:00 +0530",
        "2020-01-05 10:30:00 +0000 UTC",
        "2020-01-05 10:30:00 UTC",
        "2020-1-5 10:30 am",
        "2020/01/05 10:30:00",
        "2020.1.5 10:30",
        "20200105T103000Z",
        "20200105103000",
        "1578220200",
        "1578220200.0",
        "1578220200000",
        "1578220200000000",
        "1578220200000000000",
        "Sun, 05 Jan 2020 10:30:00 +0000",
        "Sun, 5 Jan 2020 02:30:00 -0800 (PST)",
        "5 Jan 2020 02:30:00 PST",
        "Sun, 05 Jan 2020 06:30:00 EDT",
        "Sun, 05 Jan 2020 10:30:00 GMT",
        "Sun Jan  5 10:30:00 2020",
        "Sun Jan 05 10:30:00 +0000 2020",
        "Sun Jan 05 2020 11:30:00 GMT+0100 (CET)",
        "Sunday, January 5, 2020 at 10:30 AM",
        "Jan. 5th 2020, 10:30:00 a.m.",
        "2020年1月5日 10:30",
        "２０２０年１月５日 １０：３０",
        "2020년 1월 5일 10:30",
        " 2020-01-05 10:30 ",
    ],
)
def test_forms_of_one_moment(text):
    assert read(text) == MORNING


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020", "2020-01-01"),
        ("2020.0", "2020-01-01"),
        ("2020-03", "2020-03-01"),
        ("2020/3", "2020-03-01"),
        ("2020.10", "2020-10-01"),
        ("2020年3月", "2020-03-01"),
        ("2020年", "2020-01-01"),
        ("March 2020", "2020-03-01"),
        ("Sept. 2020", "2020-09-01"),
        ("20200115", "2020-01-15"),
        ("2020-W03-3", "2020-01-15"),
        ("2020. 1. 15.", "2020-01-15"),
        ("12 30, 2000", "2000-12-30"),
        ("03 4, 2000", "2000-03-04"),
        ("12/30/2000", "2000-12-30"),
        ("30.12.2000", "2000-12-30"),
        ("04-04-2000", "2000-04-04"),
        ("30-Dec-2000", "2000-12-30"),
        ("30 December, 2000", "2000-12-30"),
        ("December 30, 2000", "2000-12-30"),
        ("2000 Dec 30", "2000-12-30"),
        ("30th of december 2000", "2000-12-30"),
    ],
)
def test_days_months_and_years(text, day):
    assert read(text) == f"{day}T00:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2020",
        "3.4.2020",
        "03-04-2020 10:30",
        "12/30/00",
        "1",
        "202001",
        "2020.1",
        "20201301",
        "2020-02-30",
        "2020-01-15-05:00",
        "2020-01-15 10:30 IST",
        "2020-01-15 25:30",
        "2020-01-15 13:30 pm",
        "0001-01-01T00:00+14:00",
        "15 janvier 2020",
        "yesterday",
        "2019-2020",
        "March",
        "10:30",
        "",
        "9" * 400,
    ],
)
def test_what_is_ambiguous_or_no_date_is_refused(text):
    with pytest.raises(InputError, match="^here: cannot read the date"):
        read(text)


def test_a_format_of_ones_own():
    assert read("03/04/2020", "%d/%m/%Y") == "2020-04-03T00:00:00+00:00"
    assert read("04 2020 +0200", "%m %Y %z") == "2020-03-31T22:00:00+00:00"
    for text, date_format in (
        ("2020-03-04", "%d/%m/%Y"),
        ("03/04", "%d/%m"),
        ("03", "%q"),
    ):
        with pytest.raises(InputError, match="here: cannot read the date"):
            read(text, date_format)


ORDER = [
    "",
    "-315619200",
    "939340800",
    "12 30, 2000",
    "2020",
    "2020-01-05T12:00+14:00",
    "Sat, 04 Jan 2020 23:00:00 +0000",
    "2020-01-05",
    "2020-01-04T20:00-08:00",
    "1578220200000",
    "1578220200.5",
    "March 2020",
]


def test_mixed_forms_and_zones_are_in_order():
    moments = [dates.moment(Document("x", date=date)) for date in ORDER]
    assert all(a < b for a, b in itertools.pairwise(moments))
    with pytest.raises(InputError, match="document 'd7': cannot read"):
        dates.moment(Document("x", "d7", date="soon"))


@hypothesis.given(
    st.datetimes(
        min_value=datetime.datetime(1974, 1, 1),
        max_value=datetime.datetime(2200, 1, 1),
        timezones=st.sampled_from(
            [
                datetime.timezone(datetime.timedelta(minutes=m))
                for m in (-720, -210, 0, 345, 840)
            ]
        ),
    )
)
def test_all_forms_of_a_moment_agree(moment):
    moment = moment.replace(microsecond=0)
    forms = (
        moment.isoformat(),
        str(int(moment.timestamp())),
        str(int(moment.timestamp()) * 1000),
        moment.strftime("%a, %d %b %Y %H:%M:%S %z"),
        moment.strftime("%Y/%m/%d %I:%M:%S %p %z"),
        moment.strftime("%B %d, %Y at %H:%M:%S%z"),
    )
    assert {dates.parse(form, "here") for form in forms} == {moment}


@hypothesis.given(st.text() | st.from_regex(r"[0-9 :/.,+TZ-]{1,30}"))
def test_any_text_is_read_or_refused(text):
    try:
        found = dates.parse(text, "here")
    except InputError:
        return
    assert found.tzinfo is datetime.UTC
