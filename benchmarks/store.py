"""What the run directory costs: while sampling, and when a run goes on.

    python -m benchmarks.store --backend jax --samples 8 --prompts 64 \
        --new 64 --resumed 100000 --folder /tmp

The last line is one JSON object. `overhead` is the share of a sampling run's
time that is spent in the store: shards of samples and scores, the log and
`state.json`. `resume_seconds` is the time to open a run directory, find how
far it is, and read back all samples, scores, weights and optimiser.
"""

import tempfile
import time

from benchmarks import common

# Samples of a shard, as in training/sampling.py.
SHARD = 2048


class Clock:
    """Sums the seconds of its blocks."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self):
        self.begun = time.perf_counter()

    def __exit__(self, *_):
        self.seconds += time.perf_counter() - self.begun


def records(ids, texts, tokens):
    """A sample of each id, and its score."""
    from keras_restpg.records import Sample, Score

    samples = [
        Sample(each, index, text, token_ids, True, -1.0)
        for index, (each, text, token_ids) in enumerate(
            zip(ids, texts, tokens, strict=True)
        )
    ]
    return samples, [Score(each, i, 0.5) for i, each in enumerate(ids)]


def overhead(args, causal_lm, run):
    """Seconds of a sampling run, and of these in the store."""
    import numpy as np

    from keras_restpg.model.engine import Sampling, SamplingEngine
    from keras_restpg.records import Sample, Score

    engine = SamplingEngine(
        causal_lm, args.prompt, args.new, codec=common.Ids()
    )
    sampling = Sampling(args.samples, temperature=0.7, top_p=0.95)
    shape = (args.prompts, args.prompt)
    prompts = np.random.default_rng(0).integers(3, args.vocab, shape).tolist()
    engine.sample(prompts[: args.shard], sampling)  # Compiled, not counted.
    store, begun = Clock(), time.perf_counter()
    with store:
        stored = run.shards("iteration-1/samples", Sample)
        judged = run.shards("iteration-1/scores", Score)
    for start in range(0, args.prompts, args.shard):
        rows = engine.sample(prompts[start : start + args.shard], sampling)
        found = [each for row in rows for each in row]
        samples, scores = records(
            [f"{start}-{i}" for i in range(len(found))],
            [each.text for each in found],
            [each.token_ids for each in found],
        )
        with store:
            stored.put(f"{start:05d}", samples)
            judged.put(f"{start:05d}", scores)
            run.log("metrics.jsonl", {"kind": "benchmark", "start": start})
            run.write_json("state.json", {"epoch": 0, "epochs": 1})
    return time.perf_counter() - begun, store.seconds


def fill(args, model, run, checkpoints):
    """A run directory as one of many samples has before its last stage."""
    import numpy as np

    from keras_restpg.records import Sample, Score

    rng = np.random.default_rng(0)
    stored = run.shards("iteration-1/samples", Sample)
    judged = run.shards("iteration-1/scores", Score)
    for start in range(0, args.resumed, SHARD):
        count = min(SHARD, args.resumed - start)
        tokens = rng.integers(3, args.vocab, (count, args.new)).tolist()
        samples, scores = records(
            [f"example-{start + i}" for i in range(count)],
            [" ".join(map(str, each)) for each in tokens],
            [tuple(each) for each in tokens],
        )
        stored.put(f"{start // SHARD:05d}", samples)
        judged.put(f"{start // SHARD:05d}", scores)
    (stage,) = checkpoints.stages
    stage.claim_weights()
    checkpoints.save(0, stage, model, 0.5)


def stages(run):
    """The one stage that is trained."""
    from keras_restpg.store.stage import Stage

    return [Stage(run, "sft", {"data": "one"})]


def resume(folder, model):
    """Seconds until what `fill` left is read back."""
    from keras_restpg.records import Sample, Score
    from keras_restpg.store import RunDirectory
    from keras_restpg.store.checkpoints import Checkpoints

    begun = time.perf_counter()
    with RunDirectory(folder).open() as run:
        checkpoints = Checkpoints(run, stages(run), 1)
        if checkpoints.epoch != 1:
            raise RuntimeError("the run directory was not filled")
        for name, cls in (("samples", Sample), ("scores", Score)):
            shards = run.shards(f"iteration-1/{name}", cls)
            for key in shards.keys():
                shards.get(key)
        checkpoints.load_last(model)
        return time.perf_counter() - begun


def main():
    args = common.arguments(
        __doc__.splitlines()[0],
        backend="jax",
        prompt=128,
        prompts=64,
        shard=16,
        samples=8,
        new=64,
        vocab=8192,
        resumed=100_000,
        folder=tempfile.gettempdir(),
    )
    from keras_restpg.store import RunDirectory
    from keras_restpg.store.checkpoints import Checkpoints
    from keras_restpg.training.model import RewardWeightedLM
    from keras_restpg.training.optimizer import paper_optimizer

    causal_lm = common.causal_lm(args.vocab)
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer())
    model.optimizer.build(model.trainable_variables)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        with RunDirectory(f"{folder}/sampling").open() as run:
            seconds, spent = overhead(args, causal_lm, run)
        with RunDirectory(f"{folder}/resumed").open() as run:
            fill(args, model, run, Checkpoints(run, stages(run), 1))
        resumed = resume(f"{folder}/resumed", model)
    common.report(
        "store",
        args,
        sampling_seconds=round(seconds, 3),
        store_seconds=round(spent, 4),
        overhead=round(spent / seconds, 4),
        parameters=causal_lm.count_params(),
        resume_seconds=round(resumed, 3),
        peak_rss_mib=common.peak_rss_mib(),
    )


if __name__ == "__main__":
    main()
