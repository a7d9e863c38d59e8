"""Prompts of mixed lengths together, against the same engine one by one.

    python -m benchmarks.mixed --backend jax --prompts 64 --samples 1 \
        --vocab 8192 --repeats 3

Prompts have 200 to 2,000 tokens. One token in 160 ends an output, so outputs
end anywhere up to 256 tokens, at 130 on average. Both ways draw the same
random numbers; the last line is one JSON object with the share of outputs
that are equal (not all are: products of other shapes round otherwise, which
can tip a draw).
"""

from benchmarks import common

SHORTEST, LONGEST, NEW, EVERY = 200, 2000, 256, 160


class Ends(common.Ids):
    """Ids in, ids out; one in `EVERY` of the vocabulary ends an output."""

    def __init__(self, vocabulary):
        self.stop_ids = tuple(range(vocabulary // EVERY))


def main():
    args = common.arguments(
        __doc__.splitlines()[0],
        backend="jax",
        prompts=64,
        samples=1,
        vocab=8192,
        repeats=3,
    )
    import numpy as np

    from keras_restpg.model.engine import Sampling, SamplingEngine

    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, args.prompts)
    prompts = [
        rng.integers(args.vocab // EVERY, args.vocab, n).tolist()
        for n in lengths
    ]
    keys = [str(number) for number in range(args.prompts)]
    sampling = Sampling(args.samples, temperature=1.0, top_p=1.0)
    engine = SamplingEngine(
        common.causal_lm(args.vocab), LONGEST, NEW, codec=Ends(args.vocab)
    )

    def together():
        return engine.sample(prompts, sampling, keys)

    def apart():
        pairs = zip(prompts, keys, strict=True)
        return [engine.sample([p], sampling, [k])[0] for p, k in pairs]

    seconds = common.timed(together, args.repeats)
    baseline = common.timed(apart, args.repeats)
    rows = [g for row in together() for g in row]
    others = [g for row in apart() for g in row]
    same = [
        a.token_ids == b.token_ids for a, b in zip(rows, others, strict=True)
    ]
    tokens = [len(each.token_ids) for each in rows]
    common.report(
        "mixed",
        args,
        seconds=round(seconds, 4),
        baseline_seconds=round(baseline, 4),
        speedup=round(baseline / seconds, 2),
        tokens_per_second=round(sum(tokens) / seconds, 2),
        shortest_output=min(tokens),
        longest_output=max(tokens),
        equal_outputs=round(float(np.mean(same)), 3),
        peak_rss_mib=common.peak_rss_mib(),
    )


if __name__ == "__main__":
    main()
