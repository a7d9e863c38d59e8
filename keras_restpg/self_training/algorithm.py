"""Algorithm 1 of the paper, line by line, and its four methods.

    sft             line 5 on (x, y, P)
    sft-reasoning   lines 1 to 5: (x, reasoning and y, P)
    rest-em         sft, then lines 7 to 12
    rest-pg         sft-reasoning, then lines 7 to 12

The algorithm is written as a generator, so that `model.fit` can train between
its lines: it yields what to train on, and goes on when that is done.
"""

import dataclasses

from keras_restpg.records import TrainingExample

STARTS = ("base", "sft", "previous")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of Algorithm 1.

    Attributes:
        name: `"sft"`, then `"iteration-1"`, …
        start: the weights it starts from: `"base"`, `"sft"`, `"previous"`.
        data: what it maximises the weighted likelihood of.
    """

    name: str
    start: str
    data: list[TrainingExample]


def algorithm_1(steps, iterations, start="base"):
    """The trainings of Algorithm 1, each yielded when it is to begin.

    Args:
        steps: has `reasoning()`, `supervised(reasoning)`, `sample(t)` and
            `keep(t, scored)`; `sample` uses the weights that the last
            training ended with.
        iterations: T; 0 is supervised fine-tuning alone.
        start: the weights of each maximisation; the paper's is `"base"`
            (Figure 4 compares `"sft"`).

    Yields:
        `Stage`s.
    """
    # 1-3: the teacher explains each expected output (nothing in SFT, ReST-EM)
    reasoning = steps.reasoning()
    # 4-5: supervised fine-tuning; every output has the weight 1
    yield Stage("sft", "base", steps.supervised(reasoning))
    # 7: for t = 1 to T
    for t in range(1, iterations + 1):
        # 8-9: m outputs for each input, their rewards, those of at least τ
        scored = steps.sample(t)
        kept = steps.keep(t, scored)
        # 10-11: maximise E[R(x, y, ŷ) log p(ŷ | x; P)]
        yield Stage(f"iteration-{t}", start, kept)
