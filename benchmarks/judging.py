"""The judge against KerasHub's stock model called on the full sequences.

    python benchmarks/judging.py --backend jax --prefix 600 --answer 128 \
        --answers 32 --vocab 8192

Both give the probabilities of the five scores for `answers` answers of one
prompt. `prefix` counts the tokens that the answers share (instructions,
prompt, expected output), `answer` those of each answer. Ours starts from
texts, tokenising included; the stock model is handed the tokens. The last
line is JSON: median seconds of each, their ratio, the largest difference of
a probability and of its logarithm, and the process's peak memory.

`--only ours` or `--only baseline` runs one of them alone, which is how their
peak memory is compared: `peak_rss_mib` is the whole process, Keras and its
backend included; `base_rss_mib` is what it was before the first run.
"""

import argparse
import io
import json
import os
import random
import resource
import time


def arguments():
    parser = argparse.ArgumentParser()
    backends = ("jax", "tensorflow", "torch")
    parser.add_argument("--backend", default="jax", choices=backends)
    parser.add_argument("--prefix", type=int, default=600)
    parser.add_argument("--answer", type=int, default=128)
    parser.add_argument("--answers", type=int, default=32)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "baseline"))
    return parser.parse_args()


args = arguments()
os.environ["KERAS_BACKEND"] = args.backend

import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import sentencepiece  # noqa: E402
from keras import ops  # noqa: E402

from keras_restpg import backend, prompts  # noqa: E402
from keras_restpg.records import Example  # noqa: E402
from keras_restpg.rewards.judge import LLMJudge  # noqa: E402


def random_words(count, rng):
    letters = "abcdefghijklmnopqrstuvwxyz"
    lengths = (2 + rng.randrange(7) for _ in range(count))
    return ["".join(rng.choices(letters, k=n)) for n in lengths]


def make_tokenizer(words):
    """A Gemma tokenizer of `vocab` pieces, trained on made-up words."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([prompts.JUDGE_PROMPT, " ".join(words)] * 2),
        model_writer=file,
        vocab_size=args.vocab,
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
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\n"],
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        max_sentence_length=10**6,
        minloglevel=2,
    )
    return keras_hub.models.GemmaTokenizer(proto=file.getvalue())


def make_model():
    """4 layers, width 256, 4 query heads, 1 key/value head of 64."""
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=args.vocab,
        num_layers=4,
        num_query_heads=4,
        num_key_value_heads=1,
        hidden_dim=256,
        intermediate_dim=2048,  # KerasHub counts both halves of the gate.
        head_dim=64,
    )
    # Fresh weights are so small that all tokens are nearly alike.
    rng = np.random.default_rng(0)
    table = backbone.token_embedding.trainable_variables[0]
    table.assign(rng.normal(0, 0.1, table.shape).astype("float32"))
    return keras_hub.models.GemmaCausalLM(backbone, preprocessor=None)


def text_of(count, words, tokenizer, rng):
    """Random words that make `count` tokens together."""
    text = rng.choice(words)
    while (missing := count - len(tokenizer.tokenize(text))) > 0:
        text += " " + " ".join(rng.choices(words, k=max(missing // 6, 1)))
        while len(tokenizer.tokenize(text)) > count:
            text = text[:-1]
    return text


def make_task(judge, tokenizer, words, rng):
    """An example whose prompt makes a prefix of the length asked for."""
    expected = text_of(50, words, tokenizer, rng)
    fixed = judge.prompt.tokens("", expected, "")
    tail = 12  # About what follows the answer: "[Score]:" and the turn.
    count = max(args.prefix - len(fixed) + tail, 1)
    prompt = text_of(count, words, tokenizer, rng)
    answers = [
        text_of(args.answer, words, tokenizer, rng) for _ in range(args.answers)
    ]
    return Example("e", "t", "u", prompt, expected, ()), answers


def stock(causal_lm, judge, sequences):
    """KerasHub's model on the whole sequences, and the scores' log-probs."""
    length = max(map(len, sequences))
    token_ids = np.zeros((len(sequences), length), "int32")
    for row, tokens in zip(token_ids, sequences, strict=True):
        row[: len(tokens)] = tokens
    lengths = np.array([len(tokens) for tokens in sequences])
    mask = (np.arange(length) < lengths[:, None]).astype("int32")
    inputs = [ops.convert_to_tensor(each) for each in (token_ids, mask)]
    call = backend.compiled(
        lambda ids, mask: causal_lm({"token_ids": ids, "padding_mask": mask}),
        causal_lm.variables,
    )
    criteria = judge.prompt.criteria
    depth = len(criteria.chain) + 1
    places = lengths[:, None] - depth + np.arange(depth)

    def run():
        logits = ops.convert_to_numpy(call(*inputs))
        rows = logits[np.arange(len(sequences))[:, None], places]
        total = np.logaddexp.reduce(rows, -1, keepdims=True)
        table = rows[..., list(criteria.wanted)] - total
        return np.exp(criteria.log_probs(table))

    return run


def timed(run):
    """The result of `run`, and its median seconds after one not counted."""
    result = run()
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return result, sorted(seconds)[len(seconds) // 2]


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main():
    rng = random.Random(0)
    words = random_words(6000, rng)
    tokenizer = make_tokenizer(words)
    causal_lm = make_model()
    judge = LLMJudge(causal_lm, tokenizer)
    example, answers = make_task(judge, tokenizer, words, rng)
    sequences = judge._tokens(example.prompt, example.expected, answers)
    line = {
        **vars(args),
        "prefix_tokens": judge.scorer._shared_length(sequences),
        "sequence_tokens": sorted(map(len, sequences))[len(answers) // 2],
        "pieces": tokenizer.vocabulary_size(),
        "base_rss_mib": peak_mib(),
    }
    found = {}
    if args.only != "baseline":
        judged, line["seconds"] = timed(
            lambda: judge.judge([example] * len(answers), answers)
        )
        found["ours"] = np.array([each.probabilities for each in judged])
    if args.only != "ours":
        run = stock(causal_lm, judge, sequences)
        found["baseline"], line["baseline_seconds"] = timed(run)
    if len(found) == 2:
        line["speedup"] = line["baseline_seconds"] / line["seconds"]
        difference = np.abs(found["ours"] - found["baseline"]).max()
        line["max_abs_difference"] = float(difference)
        logs = np.abs(np.log(found["ours"]) - np.log(found["baseline"]))
        line["max_abs_log_difference"] = float(logs.max())
    line["peak_rss_mib"] = peak_mib()
    print(json.dumps(line))


if __name__ == "__main__":
    main()
