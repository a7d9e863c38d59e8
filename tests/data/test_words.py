import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data.words import ngrams, words, words_and_marks


def test_words_and_marks():
    assert words("It's a snake_case, _is it_?") == (
        ["it's", "a", "snake", "case", "is", "it"]
    )
    assert words_and_marks("a, b") == ["a", ",", "b"]
    assert words_and_marks("_a_ ❤️!") == ["_", "a", "_", "❤️", "!"]
    assert ngrams("a b a b".split(), 2) == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    "text",
    [
        # With spaces, and vowel signs or points that are marks of their own.
        "हिन्दी में लिखना",
        "বাংলা ভাষায় লেখা",
        "தமிழ் மொழியில் எழுது",
        "മലയാളം ഭാഷ",
        "සිංහල භාෂාව",
        "བོད སྐད",
        # From right to left.
        "كَتَبَ الطَّالِبُ",
        "שָׁלוֹם עולם צה״ל",
        "می‌خواهم بنویسم",
        "ܫܠܵܡܵܐ ܥܠܘܟ݂ܘܢ",
        "ދިވެހި ބަސް",
        # With spaces and without such signs.
        "привет мир",
        "γειά σασ",
        "한국어 문장",
        "እንደምን አደርክ",
        "don't l'été",
    ],
)
def test_words_between_spaces_stay_whole(text):
    text = unicodedata.normalize("NFC", text)
    assert words(text) == text.split()
    assert words_and_marks(f"«{text}»") == ["«", *text.split(), "»"]


@pytest.mark.parametrize(
    "text",
    [
        "我 们 写 作 々",
        "書 き ま し た ガ ー デ ン",
        "ดี มั่ ก",
        "ສ ະ ບ າ ຍ ດີ",
        "ភា សា ខ្មែ រ",
        "မြ န် မာ စာ",
        "ꦧ ꦱ ꦗ ꦮ",
    ],
)
def test_scripts_without_spaces_go_by_the_character(text):
    assert words(text.replace(" ", "")) == text.split()
    mixed = f"Gemma3{text.replace(' ', '')}ok"
    assert words(mixed) == ["gemma3", *text.split(), "ok"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It’s", "it's"),
        ("co\xadoperate", "cooperate"),
        ("\u200fשלום\u200f", "שלום"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "CAFÉ"),
        ("\ufeffword", "word"),
    ],
)
def test_spellings_of_one_word(one, other):
    assert words(one) == words(other)


@hypothesis.given(st.text())
def test_an_accent_apart_makes_no_other_word(text):
    text += "Café"
    assert words(unicodedata.normalize("NFD", text)) == words(text)


@hypothesis.given(st.text())
def test_words_are_among_words_and_marks(text):
    both = words_and_marks(text)
    assert [w for w in both if words(w)] == words(text)


@hypothesis.given(st.text(st.characters(categories=["Cs", "Lu", "Zs"])))
def test_lone_surrogates_are_no_words(text):
    assert "\ud800" not in "".join(words(text + "\ud800"))
