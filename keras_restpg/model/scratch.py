"""A small Gemma made for a run: its vocabulary, its layers, no weights yet.

It stands in for a pretrained model where none can be had, to try out data
and settings. It proves the machinery; its texts are of no use.
"""

import io
from collections.abc import Iterable
from typing import Any

import keras
import keras_hub
import sentencepiece

from keras_restpg.errors import InputError
from keras_restpg.model.text import GEMMA_PIECES

_SYMBOLS = ("<start_of_turn>", "<end_of_turn>", "\n")
# Bytes of a text that the vocabulary's training takes as one line.
_LINE = 4000


def make_vocabulary(texts: Iterable[str], size: int) -> bytes:
    """A SentencePiece vocabulary: digits split, bytes for what is unknown.

    Args:
        texts: iterable of str, of the training split only.
        size: words.

    Returns:
        bytes, for `GemmaTokenizer(proto=…)`.

    Raises:
        InputError: the texts are too few for so many words.
    """
    out = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
            model_writer=out,
            vocab_size=size,
            model_type="bpe",
            split_digits=True,
            byte_fallback=True,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity",
            hard_vocab_limit=False,
            max_sentence_length=2 * _LINE,
            user_defined_symbols=list(_SYMBOLS),
            num_threads=1,
            minloglevel=2,
            **GEMMA_PIECES,
        )
    except RuntimeError as error:
        raise InputError(
            f"No vocabulary of {size} words can be made of these texts "
            f"({error}). Lower model.vocabulary_size."
        ) from None
    return out.getvalue()


def make_gemma(
    vocabulary: bytes, settings: Any, seed: int
) -> keras_hub.models.GemmaCausalLM:
    """A Gemma with random weights.

    Args:
        vocabulary: bytes of a SentencePiece model.
        settings: has `num_layers`, `hidden_dim`, `intermediate_dim`,
            `num_heads`, `head_dim`, `dtype`.
        seed: int.
    """
    keras.utils.set_random_seed(seed)
    tokenizer = keras_hub.models.GemmaTokenizer(proto=vocabulary)
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=settings.num_layers,
        num_query_heads=settings.num_heads,
        num_key_value_heads=1,
        hidden_dim=settings.hidden_dim,
        # Gemma's own setting counts gate and value together.
        intermediate_dim=2 * settings.intermediate_dim,
        head_dim=settings.head_dim,
        dtype=settings.dtype,
    )
    return keras_hub.models.GemmaCausalLM(
        backbone=backbone,
        preprocessor=keras_hub.models.GemmaCausalLMPreprocessor(tokenizer),
    )


def _lines(texts):
    for text in texts:
        for first in range(0, len(text), _LINE):
            line = text[first : first + _LINE].replace("\n", " ")
            if line.strip():
                yield line.replace("\0", " ")
