"""Trains, samples and judges under a distribution, in a process of its own.

Prints JSON: the samples' tokens, the judgements, the losses of ten updates, and
the sum of each trained weight's absolute values.
"""

import json
import sys

import keras
import numpy as np

import keras_restpg as restpg
from keras_restpg.model.scorers import SharedScorer
from keras_restpg.training.model import tickets
from tests.model import gemmas

DISTRIBUTIONS = {
    "one": lambda: None,
    "data": keras.distribution.DataParallel,
    "sharded": restpg.GemmaParallel,
    "mesh": lambda: restpg.GemmaParallel(data=2, model=2),
    "tensor": lambda: restpg.GemmaParallel(model=4, shard_over_data=False),
}


class Codec:
    stop_ids, pad_id = (0, 1, 2), 0

    def decode(self, token_ids):
        return ""


def batches(rng, prompts=6):
    while True:
        shape = (2, prompts, 2, 5)
        batch = {
            "prompt_ids": rng.integers(5, 60, (2, prompts, 9)).astype("int32"),
            "prompt_lengths": rng.integers(3, 9, shape[:2]).astype("int32"),
            "response_ids": rng.integers(5, 60, shape).astype("int32"),
            "response_lengths": rng.integers(1, 5, shape[:3]).astype("int32"),
            "rewards": rng.uniform(size=shape[:3]).astype("float32"),
        }
        yield (batch,)


def main(kind, name):
    distribution = DISTRIBUTIONS[name]()
    if distribution is not None:
        keras.distribution.set_distribution(distribution)
    backbone = gemmas.KINDS[kind]()
    causal_lm = gemmas.causal_lm(backbone)
    rng = np.random.default_rng(0)
    engine = restpg.SamplingEngine(causal_lm, 16, 12, max_rows=6, codec=Codec())
    prompts = [rng.integers(5, 60, n).tolist() for n in (3, 9, 4, 5, 7, 8)]
    outputs = engine.sample(prompts, restpg.Sampling(num_samples=3))
    scorer = SharedScorer(causal_lm, [7, 8, 9], depth=1, rows=4)
    groups = [[[*p, 11, n] for n in range(12, 17)] for p in prompts]
    scores = scorer.log_probs(groups)
    model = restpg.RewardWeightedLM(causal_lm)
    losses = []
    # Plain gradients show an error at once; the paper's optimizer has a state
    # of other shapes than the weights.
    for optimizer in (
        keras.optimizers.SGD(0.5),
        restpg.paper_optimizer(1e-3, warmup_steps=1),
    ):
        model.compile(optimizer=optimizer)
        history = model.fit(
            batches(rng),
            steps_per_epoch=2,
            epochs=2,
            verbose=0,
            validation_data=batches(rng),
            validation_steps=1,
        ).history
        losses += history["loss"] + history["val_loss"]
    given = batches(rng, prompts=3)
    model.source = lambda: next(given)[0]
    by_ticket = model.fit(tickets(), steps_per_epoch=2, verbose=0).history
    losses += by_ticket["loss"]
    print(
        json.dumps(
            {
                "loss": losses,
                "weights": [
                    float(np.abs(keras.ops.convert_to_numpy(v)).sum())
                    for v in backbone.variables
                ],
                "tokens": [[o.token_ids for o in row] for row in outputs],
                "scores": [table.tolist() for table in scores],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
