"""Dense retrieval: the inner product of a query's and a document's vectors.

Each distinct text is embedded once, over all users together, and kept on
disk by its content and its model. A user's search is exact, by FAISS over the
profile's vectors: profiles hold tens to hundreds of documents.
"""

import hashlib
import pathlib

import faiss
import numpy as np

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
        name: of the model and its weights; names the cache.
        cache: folder where vectors are kept, or None.

    Example:
        ```python
        embedder = keras_hub.models.TextEmbedder.from_preset(
            "all_minilm_l6_v2_en"
        )
        DenseRetriever(embedder.encode_text, "minilm", cache="vectors")
        ```
    """

    def __init__(self, embed, name="embedder", cache=None):
        self.embed = embed
        self.vectors = Vectors(cache and pathlib.Path(cache) / name)

    def rank(self, query, documents, k):
        texts = [indexed_text(document) for document in documents]
        self._embed([query, *texts])
        return self._rank(query, texts, k)

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
            self.vectors.add(part, np.asarray(self.embed(part), "float32"))

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

    On disk are `keys.txt`, a checksum of a text a line, and `vectors.f32`,
    as many float32 rows; what a kill left half written is cut off.

    Args:
        folder: where they are kept, or None.
    """

    def __init__(self, folder=None):
        self.folder = folder
        self._rows = {}
        self._parts = []
        self._matrix = np.zeros((0, 0), "float32")
        if folder is not None:
            self._load()

    def __contains__(self, text):
        return _key(text) in self._rows

    def __getitem__(self, texts):
        """The vectors of a list of texts, float32 (n, width)."""
        if self._parts:
            known = [self._matrix] if len(self._matrix) else []
            self._matrix = np.concatenate([*known, *self._parts])
            self._parts = []
        return self._matrix[[self._rows[_key(text)] for text in texts]]

    def add(self, texts, vectors):
        """Keeps the vectors (n, width) of n new texts."""
        keys = [_key(text) for text in texts]
        for key in keys:
            self._rows[key] = len(self._rows)
        self._parts.append(vectors)
        if self.folder is not None:
            # Vectors first: a key counts only where its vector is whole.
            with open(self.folder / "vectors.f32", "ab") as file:
                file.write(vectors.tobytes())
            with open(self.folder / "keys.txt", "a", encoding="ascii") as file:
                file.writelines(f"{key} {vectors.shape[1]}\n" for key in keys)

    def _load(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        names = self.folder / "keys.txt", self.folder / "vectors.f32"
        if not all(name.exists() for name in names):
            for name in names:
                name.unlink(missing_ok=True)
            return
        lines = names[0].read_text(encoding="ascii").split("\n")[:-1]
        if not lines:
            names[1].unlink()
            return
        width = int(lines[0].split()[1])
        data = np.fromfile(names[1], "float32")
        count = min(len(lines), len(data) // width)
        self._matrix = data[: count * width].reshape(count, width)
        self._rows = {
            line.split()[0]: row for row, line in enumerate(lines[:count])
        }
        text = "".join(line + "\n" for line in lines[:count])
        names[0].write_text(text, encoding="ascii")
        with open(names[1], "r+b") as file:
            file.truncate(count * width * 4)


def _key(text):
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()
