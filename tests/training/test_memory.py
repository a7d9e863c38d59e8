"""Self-training goes on for days: its memory must not grow."""

import gc
import os

import pytest

from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.records import TrainingExample
from keras_restpg.training.batches import Batches
from keras_restpg.training.features import tokenize
from keras_restpg.training.model import RewardWeightedLM, tickets
from keras_restpg.training.optimizer import paper_optimizer
from tests.model import vocabulary

pytestmark = [pytest.mark.backend, pytest.mark.slow]

PROMPTS = ["the old garden", "a letter from the quiet river"]


def resident():
    """Bytes of this process that are in memory."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_thirty_cycles_of_sampling_and_training_keep_their_memory():
    causal_lm = vocabulary.causal_lm()
    engine = SamplingEngine(causal_lm, 64, 8)
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer(1e-2, 1, 100))
    sizes = []
    for cycle in range(30):
        sampling = Sampling(8, temperature=1.0, seed=str(cycle))
        rows = engine.sample(PROMPTS, sampling)
        data = [
            TrainingExample(
                prompt, "t", prompt, tuple(g.text for g in row), (1.0,) * 8
            )
            for prompt, row in zip(PROMPTS, rows, strict=True)
        ]
        tokens = tokenize(data, engine.codec, 64, 8)
        # One shape in all cycles: it is the cycles that are tested here.
        batches = Batches(tokens, 16, 2**14)
        model.source = iter(map(batches.batch, range(2))).__next__
        model.fit(tickets(), steps_per_epoch=2, shuffle=False, verbose=0)
        sizes.append(resident())
    assert sizes[-1] <= 1.02 * sizes[2], sizes
