import numpy as np
import pytest

from keras_restpg.demo.judge import agreement
from keras_restpg.demo.world import World
from keras_restpg.rewards.reward import Judgement, Judging


class Silent(Judging):
    """Judges no answer."""

    def judge(self, examples, answers):
        return [Judgement(0.0, unjudged="an empty reply") for _ in answers]


def test_no_judgement_is_not_the_lowest_score():
    world = World(3, (400, 40, 200))
    wanted = world.scored_answers("validation", 50)[2]
    assert np.isclose(wanted, 0.1).any()
    with pytest.warns(RuntimeWarning, match="50 of 50"):
        _, row = agreement(Silent(), world, 50)
    assert row[1:] == ["0.000", "0.000", "none"]
