import pytest

from keras_restpg.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[2J\r\x07\x9b", "\\x1b[2J\\r\\x07\\x9b"),
        ("a\u202eb\u2066c\u200e", "a\\u202eb\\u2066c\\u200e"),
        ("\ud800\u2028", "\\ud800\\u2028"),
        ("क्\u200dष, می\u200cخواهم, 👩\u200d🔬, naïve", None),
        ("\u3000\xa0", None),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == (text if shown is None else shown)
    printable(text).encode()


def test_what_is_no_text_is_made_one():
    assert printable(ValueError("a\x00")) == "a\\x00"
