"""The interface of retrieval, R(x, P, k) of §2, and two simple ones."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keras_restpg.data import dates
from keras_restpg.records import Document, Example
from keras_restpg.seeds import draw


class Retriever:
    """Chooses documents of a user's profile; one method to override.

    Example:
        ```python
        class Longest(Retriever):
            def rank(self, query, documents, k):
                order = range(len(documents))
                return sorted(order, key=lambda i: -len(documents[i].text))[:k]
        ```
    """

    def rank(
        self, query: str, documents: Sequence[Document], k: int
    ) -> list[int]:
        """The k best documents of one profile.

        Args:
            query: str.
            documents: tuple of `Document`.
            k: how many; all of them where there are fewer.

        Returns:
            list of indices into `documents`, best first; of equally good
            ones the earlier first.
        """
        raise NotImplementedError

    def retrieve(
        self, examples: Sequence[Example], k: int = 5
    ) -> list[tuple[Document, ...]]:
        """The k best documents of each example's profile.

        Args:
            examples: list of `Example`.
            k: how many, at least 1.

        Returns:
            list of tuples of `Document`, aligned with `examples`.

        Raises:
            ValueError: `k` below 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1. Received: {k}")
        return [
            tuple(
                example.documents[index]
                for index in self.rank(query_of(example), example.documents, k)
            )
            for example in examples
        ]


def query_of(example: Example) -> str:
    """What is searched for."""
    return example.query or example.prompt


def indexed_text(document: Document) -> str:
    """What of a document is searched."""
    return document.search_text or document.text


# A retriever, or a function from query, documents and k to indices.
RetrieverLike = (
    Retriever | Callable[[str, Sequence[Document], int], Iterable[int]]
)


class MostRecent(Retriever):
    """The latest documents first, those without a date by their position.

    A profile without any dates is taken to be in the order of writing; of
    equal dates the later position comes first.

    Args:
        date_format: how all dates are written, as for `strptime`; empty: in
            any form that `keras_restpg.data.dates.parse` reads.
    """

    def __init__(self, date_format: str = "") -> None:
        self.date_format = date_format

    def rank(
        self, query: str, documents: Sequence[Document], k: int
    ) -> list[int]:
        """As `Retriever.rank`.

        Raises:
            InputError: a date that cannot be read or could mean two days.
        """
        moments = [dates.moment(d, self.date_format) for d in documents]
        order = range(len(documents) - 1, -1, -1)
        return sorted(order, key=moments.__getitem__, reverse=True)[:k]

    def get_config(self) -> dict[str, Any]:
        return {"date_format": self.date_format}


class Random(Retriever):
    """Documents in a random order that the seed and the query decide."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def rank(
        self, query: str, documents: Sequence[Document], k: int
    ) -> list[int]:
        order = range(len(documents))
        return sorted(order, key=lambda i: draw(self.seed, i, query))[:k]

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class _Function(Retriever):
    def __init__(self, function):
        self.function = function

    def rank(self, query, documents, k):
        order = list(self.function(query, documents, k))
        known = all(0 <= index < len(documents) for index in order)
        if not known or len(set(order)) < len(order):
            raise ValueError(
                "A retriever must return different indices of documents, "
                f"here from 0 to {len(documents) - 1}. Received: {order}"
            )
        return order[:k]

    def get_config(self):
        return {"function": self.function}


def as_retriever(retriever: Any) -> Retriever:
    """A `Retriever`, also of `(query, documents, k) -> indices`."""
    if hasattr(retriever, "retrieve"):
        return retriever
    if callable(retriever):
        return _Function(retriever)
    raise ValueError(
        "A retriever must have the method `retrieve` or be a function "
        f"(query, documents, k) -> indices. Received: {retriever!r}"
    )
