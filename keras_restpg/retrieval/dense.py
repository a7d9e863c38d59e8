"""Dense retrieval: the inner product of a query's and a document's vectors.

Each distinct text is embedded once, over all users together, and kept on
disk by its content and its model. A user's search is exact, by FAISS over the
profile's vectors: profiles hold tens to hundreds of documents.
"""

import hashlib
import pathlib
import uuid

import faiss
import numpy as np

from keras_restpg.errors import InputError
from keras_restpg.retrieval.retriever import (
    Retriever,
    indexed_text,
    query_of,
)

# Texts that are embedded between two writes of the cache.
_PART = 4096


class DenseRetriever(Retriever):
    """Documents whose vectors have the largest inner product with the query's.

    Args:
        embed: from a list of str to a float32 array (n, width).
        name: of the model and its weights; names the cache, which needs it.
        cache: folder where vectors are kept, or None.

    Raises:
        ValueError: a cache without a name.
        InputError: a cache that can't be read, or holds the vectors of
            different models.

    Example:
        ```python
        embedder = keras_hub.models.TextEmbedder.from_preset(
            "all_minilm_l6_v2_en"
        )
        DenseRetriever(embedder.encode_text, "minilm", cache="vectors")
        ```
    """

    def __init__(self, embed, name="", cache=None):
        if cache and not name:
            raise ValueError(
                "A cache needs a `name` of the model and its weights: two "
                "models must not share their vectors."
            )
        self.embed = embed
        self.name = name
        self.vectors = Vectors(pathlib.Path(cache) / name if cache else None)

    @classmethod
    def from_preset(cls, preset, cache=None):
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

    def rank(self, query, documents, k):
        texts = [indexed_text(document) for document in documents]
        self._embed([query, *texts])
        return self._rank(query, texts, k) if texts else []

    def retrieve(self, examples, k=5):
        texts = {query_of(example) for example in examples}
        texts |= {indexed_text(d) for e in examples for d in e.documents}
        self._embed(sorted(texts))
        return super().retrieve(examples, k)

    def _embed(self, texts):
        missing = [t for t in dict.fromkeys(texts) if t not in self.vectors]
        # Texts of like length share a batch.
        missing.sort(key=len)
        for first in range(0, len(missing), _PART):
            part = missing[first : first + _PART]
            # No tokenizer takes lone surrogates.
            plain = [t.encode("utf-8", "replace").decode() for t in part]
            vectors = np.asarray(self.embed(plain), "float32")
            self.vectors.add(part, self._checked(vectors, len(part)))

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

    def _rank(self, query, texts, k):
        scores, order = faiss.knn(
            self.vectors[[query]],
            self.vectors[texts],
            len(texts),
            metric=faiss.METRIC_INNER_PRODUCT,
        )
        # FAISS leaves the order of equal scores open: the earlier first.
        return order[0, np.lexsort((order[0], -scores[0]))[:k]].tolist()


class Vectors:
    """Vectors by the content of their texts, in memory and on disk.

    On disk are files `<width>-<random>.vectors` of records, each a text's
    checksum of 16 bytes and its vector, float32. Whoever adds vectors writes
    a file of their own, so that processes which share a folder can't write
    into each other's records; half a record, which a kill leaves at the end
    of a file, is not read.

    Args:
        folder: where they are kept, or None.

    Raises:
        InputError: vectors of different widths, or a folder that can't be
            read.
    """

    def __init__(self, folder=None):
        self.folder = folder
        self.width = None
        self._rows = {}
        self._own = f"{uuid.uuid4().hex}.vectors"
        if folder is not None:
            self._on_disk(self._load)

    def __contains__(self, text):
        return _key(text) in self._rows

    def __getitem__(self, texts):
        """The vectors of a list of texts, float32 (n, width)."""
        return np.array([self._rows[_key(text)] for text in texts])

    def add(self, texts, vectors):
        """Keeps the vectors (n, width) of n new texts.

        Raises:
            InputError: another width than before, or a folder that can't be
                written.
        """
        self._agree(vectors.shape[1])
        keys = [_key(text) for text in texts]
        self._rows.update(zip(keys, vectors, strict=True))
        if self.folder is not None:
            records = np.empty(len(keys), _record(self.width))
            records["key"] = keys
            records["vector"] = vectors
            self._on_disk(self._append, records)

    def _agree(self, width):
        if self.width not in (None, width):
            raise InputError(
                f"{self.folder or 'The embedder'}: vectors have {self.width} "
                f"numbers and {width}, so they are of different models. Give "
                "each model a name of its own, or remove the folder."
            )
        self.width = width

    def _load(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.glob("[0-9]*-*.vectors")):
            self._agree(int(path.name.partition("-")[0]))
            records = np.fromfile(path, _record(self.width))
            keys = records["key"].tolist()
            self._rows.update(zip(keys, records["vector"], strict=True))

    def _append(self, records):
        with open(self.folder / f"{self.width}-{self._own}", "ab") as file:
            # A write that was interrupted may have left half a record.
            file.truncate(file.tell() // records.itemsize * records.itemsize)
            file.write(records.tobytes())

    def _on_disk(self, action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            raise InputError(
                f"{self.folder}: vectors can't be read or written "
                f"({error.strerror}). Make space or mend the access and run "
                "the same command again: what was embedded is kept."
            ) from error


def _record(width):
    return np.dtype([("key", "V16"), ("vector", "<f4", (width,))])


def _key(text):
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()


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
