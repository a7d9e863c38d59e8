"""BM25 over a user's documents (bm25s)."""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import bm25s
import numpy as np

from keras_restpg.data.words import words
from keras_restpg.records import Document
from keras_restpg.retrieval.retriever import Retriever, indexed_text

# It tells of every index that it builds.
logging.getLogger("bm25s").setLevel(logging.WARNING)


class BM25(Retriever):
    """Okapi BM25, by default in the form BM25+ that never scores below 0.

    Args:
        method: of bm25s: `"bm25+"`, `"bm25l"`, `"lucene"`, `"robertson"` or
            `"atire"`.
        k1: how soon more occurrences of a word count no more.
        b: how much long documents are held back, 0 to 1.
        tokenize: from a text to its words; by default those of any script,
            Chinese, Japanese and Thai by the character.

    A query without words, or a profile without any, leaves the documents in
    their order; a warning says so once.
    """

    def __init__(
        self,
        method: str = "bm25+",
        k1: float = 1.5,
        b: float = 0.75,
        tokenize: Callable[[str], list[str]] = words,
    ) -> None:
        self.method = method
        self.k1 = k1
        self.b = b
        self.tokenize = tokenize
        self._warned = False

    def scores(self, query: str, documents: Sequence[Document]) -> np.ndarray:
        """The score of each document, float array (n,)."""
        tokens = [self.tokenize(indexed_text(d)) for d in documents]
        known = set().union(*tokens)
        asked = self.tokenize(query)
        if documents and not (asked and known):
            self._warn("a profile" if asked else f"the query {query[:80]!r}")
        asked = [word for word in asked if word in known]
        if not asked:
            return np.zeros(len(documents))
        index = bm25s.BM25(method=self.method, k1=self.k1, b=self.b, delta=1.0)
        index.index(tokens, show_progress=False)
        return index.get_scores(asked)

    def rank(
        self, query: str, documents: Sequence[Document], k: int
    ) -> list[int]:
        order = np.argsort(-self.scores(query, documents), kind="stable")
        return order[:k].tolist()

    def get_config(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "k1": self.k1,
            "b": self.b,
            "tokenize": self.tokenize,
        }

    def _warn(self, what):
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"BM25 finds no words in {what}: where that is so, the first "
                "documents of the profile are taken. Another `tokenize` may "
                "find some.",
                stacklevel=5,
            )
