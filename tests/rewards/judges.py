"""Small judges for tests: tiny Gemmas with a tokenizer like Gemma's."""

import functools
import io

import keras
import keras_hub
import numpy as np
import sentencepiece

from keras_restpg import prompts
from tests.model import gemmas

TURNS = ("<start_of_turn>", "<end_of_turn>")


@functools.cache
def vocabulary(symbols=(*TURNS, "\n", "\n\n"), size=700):
    """A SentencePiece model trained on the judge's own prompt.

    As in Gemma: split digits, byte fallback, no dummy space, control symbols
    as user-defined ones.
    """
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([prompts.JUDGE_PROMPT, "0 1 3 5 7 10"] * 20),
        model_writer=file,
        vocab_size=size,
        model_type="bpe",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        split_digits=True,
        byte_fallback=True,
        user_defined_symbols=list(symbols),
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return file.getvalue()


def tokenizer(
    cls=keras_hub.models.GemmaTokenizer, chat=True, more=(), **options
):
    symbols = ("\n", "\n\n", *more)
    proto = vocabulary((*TURNS, *symbols) if chat else symbols)
    return cls(proto=proto, **options)


@functools.cache
def gemma1():
    return _gemma(num_key_value_heads=1)


@functools.cache
def gemma1_with_ten():
    """Its tokenizer has "10" as one token."""
    return _gemma(more=("10",), num_key_value_heads=1)


@functools.cache
def gemma2():
    return _gemma(
        num_key_value_heads=2,
        query_head_dim_normalize=False,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        attention_logit_soft_cap=5.0,
        final_logit_soft_cap=3.0,
        use_sliding_window_attention=True,
        sliding_window_size=32,
    )


@functools.cache
def gemma3(**options):
    """Deep enough for a layer that attends to all that is before."""
    tokens = tokenizer(
        keras_hub.models.Gemma3Tokenizer, has_vision_tokens=False
    )
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.Gemma3Backbone(
        vocabulary_size=tokens.vocabulary_size(),
        image_size=16,
        num_layers=6,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
        sliding_window_size=32,
        dtype="float32",
        **options,
    )
    _sharpen(backbone)
    return keras_hub.models.Gemma3CausalLM(None, backbone), tokens


def gemma3_that_sees():
    return gemma3(vision_encoder=gemmas.vision_encoder())


def _gemma(more=(), **options):
    tokens = tokenizer(more=more)
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=tokens.vocabulary_size(),
        num_layers=2,
        num_query_heads=4,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
        dtype="float32",
        **options,
    )
    _sharpen(backbone)
    return keras_hub.models.GemmaCausalLM(backbone, preprocessor=None), tokens


@functools.cache
def gpt2():
    """A family that the shared forward does not know."""
    tokens = tokenizer(chat=False)
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=tokens.vocabulary_size(),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=1024,
        dtype="float32",
    )
    _sharpen(backbone)
    return keras_hub.models.GPT2CausalLM(backbone, preprocessor=None), tokens


def _sharpen(backbone):
    """Weights far from 0, so that probabilities differ from token to token."""
    rng = np.random.default_rng(7)
    for variable in backbone.trainable_variables:
        noise = rng.normal(0, 0.3, variable.shape)
        variable.assign(variable + noise.astype("float32"))


KINDS = {
    "gemma1": gemma1,
    "gemma1-with-ten": gemma1_with_ten,
    "gemma2": gemma2,
    "gemma3": gemma3,
    "gemma3-that-sees": gemma3_that_sees,
}
