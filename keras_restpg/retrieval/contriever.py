"""Contriever (Izacard et al., 2022), the retriever of the paper (§4.1).

A BERT whose text vector is the mean of the last hidden states over the
tokens, not normalised, of at most 512 tokens. KerasHub's own text embedder
normalises, its tokenizer keeps accents, which Contriever's strips, and its
BERT approximates GELU: vectors would be off by some 1e-4.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import tempfile
from typing import TYPE_CHECKING, Self

import keras
import numpy as np
import tokenizers
from keras import ops

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.model.embedder import BucketedEmbedder
from keras_restpg.retrieval.dense import DenseRetriever

if TYPE_CHECKING:
    from keras_hub.models import Backbone

_ANEW = (
    "Download the files of facebook/contriever anew and convert them with "
    "`keras-restpg contriever convert`."
)
_FILES = ("config.json", "vocab.txt", "fingerprint.txt")


class MeanEmbedder:
    """Mean-pooled vectors of a KerasHub BERT.

    Args:
        bert: a `keras_hub.models.BertBackbone`.
        vocabulary: path of `vocab.txt`.
        max_tokens: where a text is cut.
        rows: texts of a batch; None: as many as make a good one.
    """

    def __init__(
        self,
        bert: Backbone,
        vocabulary: Path,
        max_tokens: int = 512,
        rows: int | None = None,
    ) -> None:
        vocabulary = pathlib.Path(vocabulary)
        self.tokenizer = _tokenizer(vocabulary, bert.vocabulary_size)
        limit = min(max_tokens, bert.max_sequence_length)
        self.tokenizer.enable_truncation(limit)
        _exact_gelu(bert)

        def pooled(inputs):
            hidden = bert(inputs)["sequence_output"]
            weights = ops.cast(inputs["padding_mask"], hidden.dtype)[..., None]
            return ops.sum(hidden * weights, 1) / ops.sum(weights, 1)

        self._embed = BucketedEmbedder(pooled, bert.variables, limit, rows)

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Vectors float32 (n, width) of n texts."""
        ids = [found.ids for found in self.tokenizer.encode_batch(texts)]
        counts = np.array([len(tokens) for tokens in ids])
        mask = np.arange(counts.max(initial=1)) < counts[:, None]
        token_ids = np.zeros(mask.shape, "int32")
        token_ids[mask] = np.concatenate(ids)
        inputs = {
            "token_ids": token_ids,
            "segment_ids": np.zeros_like(token_ids),
            "padding_mask": mask.astype("int32"),
        }
        return self._embed(inputs, counts)


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
    def from_preset(cls, folder: Path, cache: Path | None = None) -> Self:
        """The retriever that `convert` wrote.

        Args:
            folder: of the preset.
            cache: folder where vectors are kept, or None.

        Raises:
            InputError: the folder does not hold one, or a file of it is
                damaged.
        """
        folder = pathlib.Path(folder)
        for name in _FILES:
            path = folder / name
            if not path.is_file() or not path.stat().st_size:
                raise InputError(
                    f"{folder} holds no converted Contriever: {name} is "
                    "missing or empty. Make it with `keras-restpg contriever "
                    "convert`."
                )
        name = _read(folder / "fingerprint.txt").strip()
        bert = _bert(folder, f"the weights in {folder}")
        return cls(MeanEmbedder(bert, folder / "vocab.txt"), name, cache)


def convert(source: Path, target: Path) -> None:
    """Turns the public Contriever into a KerasHub preset.

    Args:
        source: folder with `pytorch_model.bin` (or `model.safetensors`),
            `config.json` and `vocab.txt`.
        target: folder of the preset.

    Raises:
        InputError: a file is missing, damaged, or holds more than tensors.
    """
    import safetensors.numpy

    source, target = pathlib.Path(source), pathlib.Path(target)
    weights = _weights(source)
    tensors = _tensors(weights)
    config = _read(source / "config.json")
    width = _width(config, source / "config.json")
    # Contriever has no pooler; KerasHub's BERT wants one and we do not use it.
    tensors.setdefault("pooler.dense.weight", np.zeros((width, width), "f4"))
    tensors.setdefault("pooler.dense.bias", np.zeros(width, "f4"))
    vocabulary = _read(source / "vocab.txt")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        safetensors.numpy.save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(config, encoding="utf-8")
        bert = _bert(folder, weights)
    _tokenizer(source / "vocab.txt", bert.vocabulary_size)
    try:
        target.mkdir(parents=True, exist_ok=True)
        bert.save_to_preset(str(target))
        (target / "vocab.txt").write_text(vocabulary, encoding="utf-8")
        name = _fingerprint(tensors, vocabulary)
        (target / "fingerprint.txt").write_text(name, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{target} can't be written ({error.strerror}). Give a folder "
            "with space for the weights."
        ) from error


def _weights(source):
    """The file of the weights, as one or the other library writes it."""
    path = source / "model.safetensors"
    path = path if path.is_file() else source / "pytorch_model.bin"
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file. Download the files of "
            "facebook/contriever into this folder."
        )
    return path


def _tensors(path):
    """The weights as NumPy arrays; nothing in the file is executed."""
    import safetensors.numpy

    pickled = path.suffix == ".bin"
    load = _load_pickled if pickled else safetensors.numpy.load_file
    try:
        return load(path)
    except InputError:
        raise
    # Both libraries raise errors of many kinds for what they don't read.
    except Exception as error:
        raise InputError(
            f"{path} is refused: it is damaged or holds more than tensors "
            f"({type(error).__name__}). {_ANEW}"
        ) from None


def _load_pickled(path):
    try:
        import torch
    except ImportError:
        raise InputError(
            f"Reading {path} needs PyTorch: pip install keras-restpg[torch]"
        ) from None
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not all(
        isinstance(value, torch.Tensor) for value in found.values()
    ):
        raise TypeError("not a dict of tensors")
    return {
        name: np.ascontiguousarray(tensor.float().numpy())
        for name, tensor in found.items()
        if tensor.is_floating_point()
    }


def _width(config, path):
    """The width that a `config.json` gives."""
    try:
        width = int(json.loads(config)["hidden_size"])
        if not 0 < width < 1 << 16:
            raise ValueError(f"hidden_size={width}")
        return width
    except (
        ArithmeticError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(
            f"{path}: not the configuration of a BERT ({error!r}). {_ANEW}"
        ) from None


def _bert(folder, weights):
    """The BERT in a folder, whatever Keras' default dtype is."""
    import keras_hub

    load = keras_hub.models.BertBackbone.from_preset
    try:
        return load(str(folder), dtype="float32")
    # KeyError, ValueError, SafetensorError: whatever does not fit.
    except Exception as error:
        raise InputError(
            f"{weights} and config.json beside them make no BERT "
            f"({type(error).__name__}: {str(error)[:300]}). {_ANEW}"
        ) from error


def _tokenizer(path, size):
    """Contriever's tokenizer; a model has vectors of `size` tokens."""
    _read(path)
    try:
        tokenizer = tokenizers.BertWordPieceTokenizer(
            str(path), lowercase=True, strip_accents=True
        )
        if tokenizer.get_vocab_size() > size:
            raise ValueError(f"more than the {size} tokens of the model")
    # Among others TypeError, for a token such as [SEP] that is missing.
    except Exception as error:
        raise InputError(
            f"{path}: not the model's vocabulary ({error}). {_ANEW}"
        ) from error
    return tokenizer


def _read(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}. {_ANEW}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start + 1} is not UTF-8. {_ANEW}"
        ) from None


def _fingerprint(tensors, vocabulary):
    digest = hashlib.sha256(vocabulary.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return f"contriever-{digest.hexdigest()[:16]}"
