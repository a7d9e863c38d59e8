"""One reward-weighted step on several outputs of one prompt, through `fit`.

    python -m benchmarks.training --backend jax --prompt 384 --response 128 \
        --outputs 4 --vocab 32000 --repeats 3

The last line is one JSON object; tokens counted are those of the responses.
`fraction_of_limit` is the time of the matrix products of one forward and
backward pass alone over the time taken, both measured in this run.

    python -m benchmarks.training --backend jax --repeats 1 \
        --curve 8192,32000,64000,128000,256000

prints such a line for each of these vocabularies, from a process of its own:
`peak_rss_mib` beside `start_rss_mib`, that of the process before its first
step, `weights_mib`, the bytes of weights and optimiser state, and
`logits_mib`, what float32 logits of the response tokens would take. Peak
memory grows with the response tokens of a micro-batch and with the
embeddings, their gradient included, not with vocabulary x tokens.
"""

import subprocess
import sys

from benchmarks import common


def products(args):
    """`(m, k, n)` of every matrix product of a step, and how often."""
    heads, head, hidden = common.HEADS, common.HEAD_DIM, common.HIDDEN
    shapes = {}

    def add(m, k, n, count=1):
        # Backward, each product becomes two of as many multiplications.
        shapes[m, k, n] = shapes.get((m, k, n), 0) + 3 * count

    responses = args.outputs * args.response
    tokens = args.prompt + responses
    for _ in range(common.LAYERS):
        add(tokens, hidden, heads * head)
        add(tokens, hidden, head, 2)
        add(tokens, heads * head, hidden)
        add(tokens, hidden, common.FFW, 2)
        add(tokens, common.FFW, hidden)
        add(args.prompt * heads, head, args.prompt // 2, 2)
        add(responses * heads, head, args.prompt, 2)
        add(args.response * heads, head, args.response // 2, 2 * args.outputs)
    add(responses, hidden, args.vocab)
    return shapes


def batch_of(args):
    """One prompt with its outputs, all rewarded alike."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (1, 1, args.outputs)
    return {
        "prompt_ids": rng.integers(3, args.vocab, (1, 1, args.prompt)),
        "prompt_lengths": np.full((1, 1), args.prompt),
        "response_ids": rng.integers(3, args.vocab, (*shape, args.response)),
        "response_lengths": np.full(shape, args.response),
        "rewards": np.full(shape, 0.7, "float32"),
    }


def curve(args):
    """A process for each vocabulary: peaks are those of a whole process."""
    for vocabulary in args.curve.split(","):
        command = [sys.executable, "-m", "benchmarks.training"]
        for name, value in vars(args).items():
            if name not in ("curve", "vocab"):
                command += [f"--{name}", str(value)]
        subprocess.run([*command, "--vocab", vocabulary], check=True)


def mib(variables):
    """MiB that variables of four bytes a number take."""
    import numpy as np

    return sum(4 * int(np.prod(v.shape)) for v in variables) >> 20


def main():
    args = common.arguments(
        __doc__.splitlines()[0],
        backend="jax",
        prompt=384,
        response=128,
        outputs=4,
        vocab=32000,
        repeats=3,
        curve="",
    )
    if args.curve:
        return curve(args)
    from keras_restpg.training.model import RewardWeightedLM, tickets
    from keras_restpg.training.optimizer import paper_optimizer

    model = RewardWeightedLM(common.causal_lm(args.vocab))
    model.compile(optimizer=paper_optimizer())
    batch = {
        name: array.astype("int32" if array.dtype.kind == "i" else "float32")
        for name, array in batch_of(args).items()
    }
    model.source = lambda: batch
    start = common.peak_rss_mib()
    seconds = common.timed(
        lambda: model.fit(
            tickets(), steps_per_epoch=1, shuffle=False, verbose=0
        ),
        args.repeats,
    )
    peak = common.peak_rss_mib()
    arithmetic = common.product_seconds(products(args))
    tokens = args.outputs * args.response
    common.report(
        "training",
        args,
        seconds=round(seconds, 4),
        tokens_per_second=round(tokens / seconds, 2),
        peak_rss_mib=peak,
        start_rss_mib=start,
        weights_mib=mib([*model.variables, *model.optimizer.variables]),
        logits_mib=4 * tokens * args.vocab >> 20,
        limit_arithmetic_seconds=round(arithmetic, 4),
        fraction_of_limit=round(arithmetic / seconds, 3),
    )


if __name__ == "__main__":
    main()
