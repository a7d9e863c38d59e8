"""Which of a user's documents go into a prompt.

Names load on first use.
"""

from typing import TYPE_CHECKING

from keras_restpg._lazy import lazy

_PUBLIC = {
    "BM25": "lexical",
    "Contriever": "contriever",
    "DenseRetriever": "dense",
    "MostRecent": "retriever",
    "Random": "retriever",
    "Retriever": "retriever",
    "as_retriever": "retriever",
}

# What type checkers and editors see.
if TYPE_CHECKING:
    from keras_restpg.retrieval.contriever import Contriever as Contriever
    from keras_restpg.retrieval.dense import DenseRetriever as DenseRetriever
    from keras_restpg.retrieval.lexical import BM25 as BM25
    from keras_restpg.retrieval.retriever import MostRecent as MostRecent
    from keras_restpg.retrieval.retriever import Random as Random
    from keras_restpg.retrieval.retriever import Retriever as Retriever
    from keras_restpg.retrieval.retriever import as_retriever as as_retriever
else:
    __all__ = list(_PUBLIC)
    __getattr__, __dir__ = lazy(__name__, _PUBLIC)
