"""Which of a user's documents go into a prompt.

Names load on first use.
"""

import importlib

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


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"keras_restpg.retrieval has no {name!r}")
    module = importlib.import_module(f"keras_restpg.retrieval.{_PUBLIC[name]}")
    return getattr(module, name)


def __dir__():
    return __all__
