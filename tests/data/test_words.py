import unicodedata

import hypothesis
from hypothesis import strategies as st

from keras_restpg.data.words import ngrams, words, words_and_marks


def test_words_of_several_scripts():
    text = "It's fine, 我们 ดี!"
    assert words(text) == ["it's", "fine", "我", "们", "ด"]
    assert words_and_marks("a, b") == ["a", ",", "b"]
    assert ngrams("a b a b".split(), 2) == {("a", "b"), ("b", "a")}


@hypothesis.given(st.text())
def test_an_accent_apart_makes_no_other_word(text):
    text += "Café"
    assert words(unicodedata.normalize("NFD", text)) == words(text)


@hypothesis.given(st.text(st.characters(categories=["Cs", "Lu", "Zs"])))
def test_lone_surrogates_are_no_words(text):
    assert "\ud800" not in "".join(words(text + "\ud800"))
