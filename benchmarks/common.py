"""What the benchmarks share: the model's size, the machine's limit, one line.

The model is a small Gemma: 4 layers, width 256, 4 query heads, 1 key/value
head of 64, feed-forward 1024; about 6 million parameters at a vocabulary of
8,192.
"""

import argparse
import json
import os
import resource
import time

import numpy as np

LAYERS, HEADS, KV_HEADS, HEAD_DIM, HIDDEN, FFW = 4, 4, 1, 64, 256, 1024


def arguments(description, **defaults):
    """Flags with the given defaults; sets the Keras backend from --backend."""
    parser = argparse.ArgumentParser(description=description)
    for name, value in defaults.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value
        )
    args = parser.parse_args()
    os.environ["KERAS_BACKEND"] = args.backend
    return args


def causal_lm(vocabulary):
    """The small Gemma, without a preprocessor."""
    import keras_hub

    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=vocabulary,
        num_layers=LAYERS,
        num_query_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        hidden_dim=HIDDEN,
        intermediate_dim=2 * FFW,  # KerasHub counts both halves of the gate.
        head_dim=HEAD_DIM,
    )
    return keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=None)


class Ids:
    """A codec for a model without a tokenizer: ids in, ids out, no end."""

    pad_id = 0
    stop_ids = ()

    def decode(self, token_ids):
        return " ".join(map(str, token_ids))


def timed(step, repeats):
    """Median wall seconds of `step()` after one run that is not counted."""
    step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def product_seconds(shapes):
    """Seconds of matrix products (m, k) x (k, n), each `count` times.

    Args:
        shapes: a dict from `(m, k, n)` to how often it is computed.

    Each shape is timed by itself with NumPy's BLAS on all cores, its inputs
    no warmer than a run would have them: products go round several right-hand
    sides.
    """
    rng = np.random.default_rng(0)
    total = 0.0
    for (m, k, n), count in shapes.items():
        copies = max(1, min(8, int(2**26 // (4 * k * n))))
        left = rng.standard_normal((m, k), dtype="float32")
        rights = [
            rng.standard_normal((k, n), dtype="float32") for _ in range(copies)
        ]
        out = np.empty((m, n), "float32")
        runs = max(3, min(200, int(2e9 // (2 * m * k * n)) or 3))
        np.matmul(left, rights[0], out=out)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            for run in range(runs):
                np.matmul(left, rights[run % copies], out=out)
            best = min(best, (time.perf_counter() - start) / runs)
        total += best * count
    return total


def copy_bandwidth():
    """Bytes a second that this machine reads and writes in a large copy."""
    source = np.ones(2**26, "float32")
    target = np.empty_like(source)
    seconds = timed(lambda: np.copyto(target, source), 3)
    return 2 * source.nbytes / seconds


def peak_rss_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def report(name, args, **figures):
    """Prints one JSON line."""
    line = {"bench": name, **vars(args), **figures}
    print(json.dumps(line), flush=True)
