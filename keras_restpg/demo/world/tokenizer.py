"""A SentencePiece vocabulary with one piece a word.

The demo's model is tiny and trained from scratch, so every word of the world
is one piece, and so is every fixed sentence of the prompt templates: the
paper's templates are used in full and cost four or five tokens. The model
file loads into KerasHub's `GemmaTokenizer` like any other.
"""

import io
import string
from collections.abc import Iterable

import sentencepiece

from keras_restpg.demo.world import vocabulary as words
from keras_restpg.model.text import GEMMA_PIECES

SPECIAL = ("<start_of_turn>", "<end_of_turn>")


def tokenizer_proto(templates: Iterable[str]) -> bytes:
    """A serialised SentencePiece model for the world.

    Args:
        templates: the prompt and output templates, with their `{fields}`;
            the text between two fields becomes one piece.

    Returns:
        bytes, what `GemmaTokenizer(proto=…)` takes. Encoding and decoding
        any text of printable ASCII and line breaks gives it back.
    """
    pieces = [_escape(text) for text in _sentences(templates)]
    pieces += ["\n-", "\n", "|"]
    pieces += [form for word in words.all_words() for form in _forms(word)]
    pieces = list(dict.fromkeys(pieces))
    out = io.BytesIO()
    letters = string.ascii_letters + string.digits + string.punctuation
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([letters, " " + letters]),
        model_writer=out,
        model_type="char",
        vocab_size=len(pieces) + len(SPECIAL) + 4 + len(set(letters)) + 1,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        user_defined_symbols=[*SPECIAL, *pieces],
        minloglevel=2,
        **GEMMA_PIECES,
    )
    return out.getvalue()


def _sentences(templates):
    """The texts between the fields of templates, without outer spaces."""
    for template in templates:
        parts = string.Formatter().parse(template)
        yield from (text.strip(" ") for text, *_ in parts if text.strip())


def _escape(text):
    return text.replace(" ", "▁")


def _forms(word):
    """A word after a space and, as at the start of a text, without one."""
    return ("▁" + word, word)
