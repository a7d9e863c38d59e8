import pytest

from keras_restpg.records import Sample, Score, ScoredSample
from keras_restpg.self_training.algorithm import algorithm_1
from keras_restpg.settings import Settings


class Steps:
    """Notes what is asked of it, in order."""

    def __init__(self):
        self.asked = []

    def reasoning(self):
        self.asked.append("reasoning")
        return ["why"]

    def supervised(self, reasoning):
        self.asked.append(("supervised", reasoning))
        return ["first"]

    def sample(self, t):
        self.asked.append(("sample", t))
        return [
            ScoredSample(
                Sample("e", i, f"text {i}", (i,), True, -1.0),
                Score("e", i, reward),
            )
            for i, reward in enumerate((0.2, 1.0, 0.7))
        ]

    def note(self, t, scored, kept, tau):
        self.asked.append(("note", t, len(scored), tau))

    def rewarded(self, kept):
        return [each.sample.index for each in kept]


def test_the_lines_come_in_the_papers_order():
    steps = Steps()
    trainings = algorithm_1(steps, Settings(iterations=2, tau=0.7))
    first = next(trainings)
    assert (first.number, first.start, first.data) == (0, "base", ["first"])
    assert steps.asked == ["reasoning", ("supervised", ["why"])]
    second = next(trainings)
    assert (second.number, second.data) == (1, [1, 2])
    # The second iteration is not sampled before the first one is trained.
    assert steps.asked[2:] == [("sample", 1), ("note", 1, 3, 0.7)]
    assert [m_step.number for m_step in trainings] == [2]


@pytest.mark.parametrize("start", ["base", "sft", "previous"])
def test_only_iterations_start_elsewhere(start):
    settings = Settings(iterations=2, start=start)
    trainings = list(algorithm_1(Steps(), settings))
    assert [each.start for each in trainings] == ["base", start, start]


def test_no_iteration_is_supervised_fine_tuning():
    steps = Steps()
    assert len(list(algorithm_1(steps, Settings(iterations=0)))) == 1
    assert ("sample", 1) not in steps.asked


def test_the_threshold_is_lowered_only_where_asked():
    steps = Steps()
    steps.sample = lambda t: [
        ScoredSample(
            Sample("e", 0, "text", (1,), True, -1.0), Score("e", 0, 0.5)
        )
    ]
    (_, kept) = algorithm_1(steps, Settings(iterations=1))
    assert kept.data == [] and steps.asked[-1] == ("note", 1, 1, 1.0)
    lowering = Settings(iterations=1, on_empty="lower_tau")
    (_, kept) = algorithm_1(steps, lowering)
    assert kept.data == [0] and steps.asked[-1] == ("note", 1, 1, 0.5)
