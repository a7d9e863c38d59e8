"""Words of any script, with nothing to download.

Words keep their combining marks: vowel signs of Indic scripts, points of
Arabic and Hebrew, accents. Scripts written without spaces (Chinese, Japanese,
Thai, Lao, Khmer, Burmese, …) have no words that could be told apart without a
dictionary; there each character with its marks counts as one.
"""

import unicodedata
from collections.abc import Sequence

import regex

_UNSPACED = (
    r"\p{Line_Break=SA}\p{Ideographic}\p{scx=Han}\p{scx=Hiragana}"
    r"\p{scx=Katakana}\p{Balinese}\p{Javanese}"
)
_LETTER = r"\p{L}\p{N}"
# Some vowel signs of Burmese and others are no part of \X.
_CHARACTER = rf"(?=[[{_LETTER}]&&[{_UNSPACED}]])\X\p{{M}}*"
_RUN = rf"[[{_LETTER}]--[{_UNSPACED}]][\p{{M}}\p{{Join_Control}}]*"
# An apostrophe between letters, also the geresh of Hebrew.
_SPACED = rf"(?:{_RUN})+(?:['׳״](?:{_RUN})+)*"
_WORD = regex.compile(rf"{_CHARACTER}|{_SPACED}", regex.V1)
_WORD_OR_MARK = regex.compile(
    rf"{_CHARACTER}|{_SPACED}|(?=[\p{{P}}\p{{S}}])\X", regex.V1
)
# What no reader sees: soft hyphens, marks of direction, byte order marks.
_INVISIBLE = regex.compile(
    r"[\xad\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)


def words_and_marks(text: str) -> list[str]:
    """The case-folded words and punctuation marks of `text`, a list."""
    return _WORD_OR_MARK.findall(_folded(text))


def words(text: str) -> list[str]:
    """The case-folded words of `text`, a list."""
    return _WORD.findall(_folded(text))


def _folded(text):
    """A letter is the same whether its accent is part of it or follows it."""
    text = _INVISIBLE.sub("", text).replace("’", "'")
    return unicodedata.normalize("NFC", text).casefold()


def ngrams(tokens: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """The distinct n-grams of a list, a set of tuples."""
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


class WordTokenizer:
    """`words` in the form that rouge-score wants."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)
