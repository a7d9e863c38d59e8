"""Sampling m outputs for one prompt, or for many of mixed lengths.

    python -m benchmarks.sampling --backend jax --prompt 512 --new 64 \
        --samples 32 --vocab 8192 --repeats 3

The last line is one JSON object. `fraction_of_limit` is the time that the
machine needs for the matrix products alone, or to move their bytes once,
whichever is longer, over the time taken; both are measured in this run.
"""

from benchmarks import common


def products(args):
    """`(m, k, n)` of every matrix product of a run, and how often."""
    heads, head, hidden = common.HEADS, common.HEAD_DIM, common.HIDDEN
    shapes = {}

    def add(m, k, n, count):
        shapes[m, k, n] = shapes.get((m, k, n), 0) + count * common.LAYERS

    def layer(tokens, count):
        add(tokens, hidden, heads * head, count)
        add(tokens, hidden, head, 2 * count)
        add(tokens, heads * head, hidden, count)
        add(tokens, hidden, common.FFW, 2 * count)
        add(tokens, common.FFW, hidden, count)

    steps = args.new - 1
    layer(args.prompt, 1)
    layer(args.samples, steps)
    add(args.prompt * heads, head, args.prompt // 2, 1)
    add(args.prompt * heads, args.prompt // 2, head, 1)
    add(args.samples * heads, head, args.prompt, steps)
    add(args.samples * heads, args.prompt, head, steps)
    shapes[args.samples, hidden, args.vocab] = args.new
    return shapes


def bytes_moved(args):
    """Bytes that must be read at least: weights and prefix, each step."""
    weights = common.LAYERS * (
        2 * common.HIDDEN * common.HEADS * common.HEAD_DIM
        + 2 * common.HIDDEN * common.HEAD_DIM
        + 3 * common.HIDDEN * common.FFW
    )
    weights += args.vocab * common.HIDDEN
    prefix = 2 * common.LAYERS * args.prompt * common.HEAD_DIM
    return 4 * args.new * (weights + prefix)


def main():
    args = common.arguments(
        __doc__.splitlines()[0],
        backend="jax",
        prompt=512,
        new=64,
        samples=32,
        vocab=8192,
        repeats=3,
    )
    import numpy as np

    from keras_restpg.model.engine import Sampling, SamplingEngine

    causal_lm = common.causal_lm(args.vocab)
    engine = SamplingEngine(
        causal_lm,
        max_prompt_tokens=args.prompt,
        max_new_tokens=args.new,
        codec=common.Ids(),
    )
    prompt = np.random.default_rng(0).integers(3, args.vocab, args.prompt)
    sampling = Sampling(args.samples, temperature=0.7, top_p=0.95)
    seconds = common.timed(
        lambda: engine.sample([prompt.tolist()], sampling), args.repeats
    )
    peak = common.peak_rss_mib()
    arithmetic = common.product_seconds(products(args))
    movement = bytes_moved(args) / common.copy_bandwidth()
    common.report(
        "sampling",
        args,
        seconds=round(seconds, 4),
        tokens_per_second=round(args.samples * args.new / seconds, 2),
        peak_rss_mib=peak,
        limit_arithmetic_seconds=round(arithmetic, 4),
        limit_movement_seconds=round(movement, 4),
        fraction_of_limit=round(max(arithmetic, movement) / seconds, 3),
    )


if __name__ == "__main__":
    main()
