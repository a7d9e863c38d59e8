"""Which of a user's documents go into a prompt.

Names load on first use.
"""

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

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
