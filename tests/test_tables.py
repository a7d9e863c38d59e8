import pytest

from keras_restpg.tables import as_html, as_text, flat, visible


def test_text_is_aligned_left_and_numbers_right():
    lines = as_text(
        [
            ["", "name", "share", "n"],
            ["long row", "b", "0.5000", "7"],
            ["x", "", "-12.0", ""],
        ]
    ).split("\n")
    assert lines == [
        "          name   share  n",
        "-" * 25,
        "long row  b     0.5000  7",
        "x                -12.0",
    ]


def test_a_head_alone_is_a_table():
    assert as_text([["a", "b"]]) == "a  b\n----"


def test_columns_of_wide_and_combining_characters_are_aligned():
    """漢 takes two columns of a terminal, a combining accent none."""
    lines = as_text([["name", "x"], ["漢字表", "a"], ["e\u0301te", "b"]])
    assert lines.split("\n")[2:] == ["漢字表  a", "e\u0301te     b"]


def test_a_cell_commands_no_terminal_and_breaks_no_line():
    lines = as_text([["a", "b"], ["x\x1b[2J\ny\t", "\u202ez\ud800"]])
    assert lines.split("\n")[2:] == [r"x\x1b[2J\ny\t  \u202ez\ud800"]
    assert lines.encode()


def test_a_table_for_a_notebook_shows_markup_as_text():
    shown = as_html([["<b>", "n"], ["a & b\nc\x1b", "0.5"]])

    left, right = (
        f'style="text-align: {side}; white-space: pre-wrap"'
        for side in ("left", "right")
    )
    assert shown == (
        f"<table><tr><th {left}>&lt;b&gt;</th><th {right}>n</th></tr>"
        f"<tr><td {left}>a &amp; b\nc\\x1b</td><td {right}>0.5</td></tr>"
        "</table>"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain — 漢字 🖋\n\tשלום", "plain — 漢字 🖋\n\tשלום"),
        # Joiners belong to emoji and to Persian, marks to Hebrew.
        ("👩\u200d💻 \u200c \u200f", "👩\u200d💻 \u200c \u200f"),
        ("a\r\nb\rc", "a\nb\\rc"),
        ("\x00\x1b\x7f\x9b", r"\x00\x1b\x7f\x9b"),
        ("\u202e\u2066\u2069\u2028", r"\u202e\u2066\u2069\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_shown_of_a_text(text, shown):
    assert visible(text) == shown


def test_nested_dicts_are_flat_however_deep():
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {
        "a.b": 1,
        "a.c": {},
        "d": [2],
    }
    deep = {}
    for _ in range(10_000):
        deep = {"x": deep}
    assert len(flat(deep)) == 1
    assert flat(None) == {}
