import pytest

from keras_restpg.self_training.algorithm import algorithm_1


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
        return [f"scored {t}"]

    def keep(self, t, scored):
        self.asked.append(("keep", t, scored))
        return [f"kept {t}"]


def test_the_lines_come_in_the_papers_order():
    steps = Steps()
    stages = algorithm_1(steps, 2)
    first = next(stages)
    assert (first.name, first.start, first.data) == ("sft", "base", ["first"])
    assert steps.asked == ["reasoning", ("supervised", ["why"])]
    second = next(stages)
    assert (second.name, second.data) == ("iteration-1", ["kept 1"])
    # The second iteration is not sampled before the first one is trained.
    assert steps.asked[2:] == [("sample", 1), ("keep", 1, ["scored 1"])]
    assert [stage.name for stage in stages] == ["iteration-2"]


@pytest.mark.parametrize("start", ["base", "sft", "previous"])
def test_only_iterations_start_elsewhere(start):
    stages = list(algorithm_1(Steps(), 2, start))
    assert [stage.start for stage in stages] == ["base", start, start]


def test_no_iteration_is_supervised_fine_tuning():
    steps = Steps()
    assert len(list(algorithm_1(steps, 0))) == 1
    assert ("sample", 1) not in steps.asked
