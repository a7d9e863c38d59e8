"""Contriever (Izacard et al., 2022), the retriever of the paper (§4.1).

A BERT whose text vector is the mean of the last hidden states over the
tokens, not normalised, of at most 512 tokens. KerasHub's own text embedder
normalises, its tokenizer keeps accents, which Contriever's strips, and its
BERT approximates GELU: vectors would be off by some 1e-4.
"""

import functools
import hashlib
import json
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import tokenizers
from keras import ops

from keras_restpg import backend
from keras_restpg.errors import InputError
from keras_restpg.retrieval.dense import DenseRetriever

# Padded lengths, and the tokens of a batch.
_LENGTHS = (16, 32, 64, 128, 192, 256, 384, 512)
_BATCH_TOKENS = 8192


class MeanEmbedder:
    """Mean-pooled vectors of a KerasHub BERT.

    Args:
        bert: a `keras_hub.models.BertBackbone`.
        vocabulary: path of `vocab.txt`.
        max_tokens: where a text is cut.
        rows: texts of a batch; None: as many as make a good one.
    """

    def __init__(self, bert, vocabulary, max_tokens=512, rows=None):
        self.rows = rows
        self.tokenizer = tokenizers.BertWordPieceTokenizer(
            str(vocabulary), lowercase=True, strip_accents=True
        )
        limit = min(max_tokens, bert.max_sequence_length)
        self.tokenizer.enable_truncation(limit)
        _exact_gelu(bert)
        self.lengths = [n for n in _LENGTHS if n < limit] + [limit]

        def pooled(token_ids, mask):
            inputs = {
                "token_ids": token_ids,
                "segment_ids": ops.zeros_like(token_ids),
                "padding_mask": mask,
            }
            hidden = bert(inputs)["sequence_output"]
            weights = ops.cast(mask, hidden.dtype)[..., None]
            return ops.sum(hidden * weights, 1) / ops.sum(weights, 1)

        self._pooled = backend.compiled(pooled, bert.variables)

    def __call__(self, texts):
        """Vectors float32 (n, width) of n texts."""
        texts = [t.encode("utf-8", "replace").decode() for t in texts]
        ids = [found.ids for found in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        vectors, first = {}, 0
        while first < len(order):
            length = self._fitting(len(ids[order[first]]))
            rows = self.rows or max(_BATCH_TOKENS // length, 1)
            members = [
                i for i in order[first : first + rows] if len(ids[i]) <= length
            ]
            batch = self._embed([ids[i] for i in members], rows, length)
            vectors.update(zip(members, batch, strict=True))
            first += len(members)
        return np.array([vectors[i] for i in range(len(ids))], "float32")

    def _fitting(self, count):
        return next(length for length in self.lengths if length >= count)

    def _embed(self, ids, rows, length):
        token_ids = np.zeros((rows, length), "int32")
        mask = np.zeros((rows, length), "int32")
        # Rows that only fill the batch up must not divide by zero.
        mask[:, 0] = 1
        for row, tokens in enumerate(ids):
            token_ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        out = self._pooled(
            ops.convert_to_tensor(token_ids), ops.convert_to_tensor(mask)
        )
        return ops.convert_to_numpy(out)[: len(ids)]


def _exact_gelu(bert):
    for number in range(bert.num_layers):
        layer = bert.get_layer(f"transformer_layer_{number}")
        dense = layer._feedforward_intermediate_dense
        dense.activation = functools.partial(
            keras.activations.gelu, approximate=False
        )


class Contriever(DenseRetriever):
    """Dense retrieval with Contriever's vectors."""

    @classmethod
    def from_preset(cls, folder, cache=None):
        """The retriever that `convert` wrote.

        Args:
            folder: of the preset.
            cache: folder where vectors are kept, or None.

        Raises:
            InputError: the folder does not hold one.
        """
        import keras_hub

        folder = pathlib.Path(folder)
        vocabulary = folder / "vocab.txt"
        if not vocabulary.is_file() or not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} holds no converted Contriever. Make it with "
                "`keras-restpg contriever convert`."
            )
        bert = keras_hub.models.BertBackbone.from_preset(str(folder))
        name = (folder / "fingerprint.txt").read_text(encoding="ascii")
        return cls(MeanEmbedder(bert, vocabulary), name.strip(), cache)


def convert(source, target):
    """Turns the public Contriever into a KerasHub preset.

    Args:
        source: folder with `pytorch_model.bin` (or `model.safetensors`),
            `config.json` and `vocab.txt`.
        target: folder of the preset.

    Raises:
        InputError: a file is missing or holds more than tensors.
    """
    import keras_hub
    import safetensors.numpy

    source, target = pathlib.Path(source), pathlib.Path(target)
    tensors = _tensors(source)
    width = json.loads(_read(source / "config.json"))["hidden_size"]
    # Contriever has no pooler; KerasHub's BERT wants one and we do not use it.
    tensors.setdefault("pooler.dense.weight", np.zeros((width, width), "f4"))
    tensors.setdefault("pooler.dense.bias", np.zeros(width, "f4"))
    vocabulary = _read(source / "vocab.txt")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        safetensors.numpy.save_file(tensors, folder / "model.safetensors")
        shutil.copy(source / "config.json", folder)
        bert = keras_hub.models.BertBackbone.from_preset(str(folder))
    target.mkdir(parents=True, exist_ok=True)
    bert.save_to_preset(str(target))
    (target / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    (target / "fingerprint.txt").write_text(_fingerprint(tensors))


def _tensors(source):
    """The weights as NumPy arrays; nothing in the file is executed."""
    import safetensors.numpy

    if (source / "model.safetensors").is_file():
        return safetensors.numpy.load_file(source / "model.safetensors")
    path = source / "pytorch_model.bin"
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        import torch
    except ImportError:
        raise InputError(
            f"Reading {path} needs PyTorch: pip install keras-restpg[torch]"
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path} is refused: it is damaged or holds more than tensors "
            f"({type(error).__name__})."
        ) from None
    return {
        name: np.ascontiguousarray(tensor.float().numpy())
        for name, tensor in found.items()
        if tensor.is_floating_point()
    }


def _read(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None


def _fingerprint(tensors):
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return f"contriever-{digest.hexdigest()[:16]}"
