"""A SentencePiece vocabulary like Gemma's, trained on made text."""

import functools
import io

import keras_hub
import sentencepiece

WORDS = (
    "the a my your this warm small old quiet kind garden letter river paper "
    "train heater question answer reader morning likes writes sees keeps "
    "finds with near after before because and but so score of to for"
).split()


def sentences():
    for i, first in enumerate(WORDS):
        for j, second in enumerate(WORDS):
            yield f"{first} {second} {WORDS[(i * 7 + j) % len(WORDS)]}."
    yield 'Score: 10 7 5 3 1\n[Score]: <answer> | "quoted" (2020)'


@functools.cache
def proto(
    vocabulary_size=400,
    start="<bos>",
    end="<eos>",
    symbols=("<start_of_turn>", "<end_of_turn>"),
):
    """The bytes of a model: digits split, byte fallback, turn tokens."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(),
        model_writer=out,
        vocab_size=vocabulary_size,
        model_type="bpe",
        split_digits=True,
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        bos_piece=start,
        eos_piece=end,
        unk_piece="<unk>",
        user_defined_symbols=[*symbols, "\n"],
        minloglevel=2,
    )
    return out.getvalue()


def tokenizer():
    return keras_hub.models.GemmaTokenizer(proto=proto())


def causal_lm(**options):
    """A two-layer Gemma with this vocabulary and a preprocessor."""
    import keras

    keras.utils.set_random_seed(0)
    tokens = tokenizer()
    sizes = {
        "num_layers": 2,
        "num_query_heads": 2,
        "num_key_value_heads": 1,
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "head_dim": 8,
    }
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=tokens.vocabulary_size(), **{**sizes, **options}
    )
    preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(
        tokens, sequence_length=64
    )
    return keras_hub.models.GemmaCausalLM(
        backbone=backbone, preprocessor=preprocessor
    )
