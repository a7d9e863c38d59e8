"""Words of any script, with nothing to download."""

import re
import unicodedata

# Scripts written without spaces count by the character.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:'\w+)?|[^\w\s]")


def words_and_marks(text):
    """The lower-cased words and punctuation marks of `text`, a list.

    A letter is the same whether its accent is part of it or follows it (NFC).
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def words(text):
    """The lower-cased words of `text`, a list."""
    return [word for word in words_and_marks(text) if word[0].isalnum()]


def ngrams(tokens, n):
    """The distinct n-grams of a list, a set of tuples."""
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


class WordTokenizer:
    """`words` in the form that rouge-score wants."""

    def tokenize(self, text):
        return words(text)
