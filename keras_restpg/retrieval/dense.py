"""Dense retrieval: the inner product of a query's and a document's vectors.

Each distinct text is embedded once, over all users together, and kept on
disk by its content and its model. A user's search is exact, by FAISS over the
profile's vectors: profiles hold tens to hundreds of documents.
"""

import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import faiss
import numpy as np

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.retrieval.retriever import (
    Retriever,
    indexed_text,
    query_of,
)
from keras_restpg.store.cache import Cache

# Texts that are embedded between two writes of the cache.
_PART = 4096
_FILE = "vectors.sqlite3"


class DenseRetriever(Retriever):
    """Documents whose vectors have the largest inner product with the query's.

    Args:
        embed: from a list of str to a float32 array (n, width).
        name: of the model and its weights; a cache needs it.
        cache: folder where vectors are kept, in the file `vectors.sqlite3`,
            or None.

    Raises:
        ValueError: a cache without a name.
        InputError: a cache that is a link, is none or can't be read, or that
            holds vectors of another width under this name.

    Example:
        ```python
        embedder = keras_hub.models.TextEmbedder.from_preset(
            "all_minilm_l6_v2_en"
        )
        DenseRetriever(embedder.encode_text, "minilm", cache="vectors")
        ```
    """

    def __init__(
        self,
        embed: Callable[[list[str]], np.ndarray],
        name: str = "",
        cache: Path | None = None,
    ) -> None:
        if cache and not name:
            raise ValueError(
                "A cache needs a `name` of the model and its weights: two "
                "models must not share their vectors."
            )
        self.embed = embed
        self.name = name
        self.vectors = Vectors(cache or None, name)

    @classmethod
    def from_preset(cls, preset: Path, cache: Path | None = None) -> Self:
        """The retriever of a KerasHub text embedder.

        Args:
            preset: as `keras_hub.models.TextEmbedder.from_preset` takes it.
            cache: folder where vectors are kept, or None.

        Raises:
            InputError: the preset can't be loaded.
        """
        import keras_hub

        from keras_restpg.model.embedder import TextEmbedder

        load = keras_hub.models.TextEmbedder.from_preset
        try:
            # Whatever Keras' default is: it would change the vectors.
            embedder = load(str(preset), dtype="float32")
        # Hubs raise errors of many kinds; each is an answer to the setting.
        except Exception as error:
            raise InputError(
                f"The preset {str(preset)!r} can't be loaded "
                f"({type(error).__name__}: {error}). Give a KerasHub preset "
                "of a text embedder or a local folder of one."
            ) from error
        return cls(TextEmbedder(embedder), _fingerprint(preset), cache)

    def rank(
        self, query: str, documents: Sequence[Document], k: int
    ) -> list[int]:
        texts = [indexed_text(document) for document in documents]
        vectors = self._embed([query, *texts])
        return _rank(vectors, query, texts, k) if texts else []

    def get_config(self) -> dict[str, Any]:
        """What tells it from others: the model's name, else the model.

        Returns:
            dict of `name`, or of `embed` as it is where there is no name.
        """
        return {"name": self.name} if self.name else {"embed": self.embed}

    def retrieve(
        self, examples: Sequence[Example], k: int = 5
    ) -> list[tuple[Document, ...]]:
        texts = {query_of(example) for example in examples}
        texts |= {indexed_text(d) for e in examples for d in e.documents}
        self._embed(sorted(texts))
        return super().retrieve(examples, k)

    def _embed(self, texts):
        """`{text: vector}`, from the cache or the model."""
        found = self.vectors.find(texts)
        missing = [t for t in dict.fromkeys(texts) if t not in found]
        # Texts of like length share a batch.
        missing.sort(key=len)
        for first in range(0, len(missing), _PART):
            part = missing[first : first + _PART]
            # No tokenizer takes lone surrogates.
            plain = [t.encode("utf-8", "replace").decode() for t in part]
            vectors = np.asarray(self.embed(plain), "float32")
            vectors = self._checked(vectors, len(part))
            self.vectors.add(part, vectors)
            found |= zip(part, vectors, strict=True)
        return found

    def _checked(self, vectors, count):
        """Vectors that FAISS can compare; of NaN it says nothing."""
        name = f"The embedder {self.name or self.embed!r}"
        if vectors.ndim != 2 or len(vectors) != count or not vectors.size:
            raise InputError(
                f"{name} must return an array of shape ({count}, width), a "
                f"row for each text. Received: shape {vectors.shape}"
            )
        # Where these are finite, so is each inner product (Cauchy-Schwarz).
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", vectors, vectors)
        if not np.isfinite(squares).all():
            raise InputError(
                f"{name} returned vectors that are not finite or whose inner "
                "products outgrow float32. Use another model, or its weights "
                "in float32."
            )
        return vectors


def _rank(vectors, query, texts, k):
    scores, order = faiss.knn(
        np.array([vectors[query]]),
        np.array([vectors[text] for text in texts]),
        len(texts),
        metric=faiss.METRIC_INNER_PRODUCT,
    )
    # FAISS leaves the order of equal scores open: the earlier first.
    return order[0, np.lexsort((order[0], -scores[0]))[:k]].tolist()


class Vectors:
    """Vectors by their model and the content of their texts.

    Args:
        folder: where `vectors.sqlite3` keeps them, for all models and for
            processes that share it; None: in memory.
        name: of the model and its weights.

    Raises:
        InputError: vectors of different widths, a folder that is a link, or
            a file that can't be read or is of another kind.
    """

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        if folder is not None and os.path.islink(folder):
            raise InputError(
                f"{folder} is a link, so no vectors are kept there. Give the "
                "folder that it leads to."
            )
        path = None if folder is None else pathlib.Path(folder, _FILE)
        self._cache = Cache(path, "vectors")
        self._name = name
        kept = self._cache.get([self._key("width", "")]).values()
        self.width = next((int.from_bytes(each, "big") for each in kept), None)

    def find(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """`{text: vector}` of those texts that are kept; float32 (width,)."""
        keys = {self._key("text", text): text for text in texts}
        found = {
            keys[key]: np.frombuffer(value, "<f4")
            for key, value in self._cache.get(keys).items()
        }
        for vector in found.values():
            self._agree(len(vector))
        return found

    def add(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Keeps the vectors (n, width) of n texts.

        Raises:
            InputError: another width than before, or a file that can't be
                written.
        """
        width = vectors.shape[1]
        self._agree(width)
        rows = {self._key("width", ""): width.to_bytes(4, "big")}
        rows |= {
            self._key("text", text): vector.astype("<f4").tobytes()
            for text, vector in zip(texts, vectors, strict=True)
        }
        self._cache.add(rows)

    def _agree(self, width):
        if self.width not in (None, width):
            raise InputError(
                f"{self._cache.path or 'The embedder'}: vectors have "
                f"{self.width} numbers and {width}, so they are of different "
                "models. Give each model a name of its own, or remove the file."
            )
        self.width = width

    def _key(self, what, text):
        digest = hashlib.blake2b(digest_size=16)
        for part in (self._name, what, text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()


def _fingerprint(preset):
    """Names a preset: a hub's by its handle, a folder's by what it holds."""
    folder = pathlib.Path(preset)
    digest = hashlib.sha256()
    if folder.is_dir():
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    else:
        digest.update(str(preset).encode())
    return f"embedder-{digest.hexdigest()[:16]}"
