"""What a part is: equal where it computes the same, else not."""

import functools

import keras
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.identity import (
    describe,
    describe_model,
    describe_optimizer,
    digest,
    named,
)
from keras_restpg.training.model import RewardWeightedLM
from keras_restpg.training.optimizer import paper_optimizer
from tests.model import vocabulary


class Length:
    def __init__(self, most):
        self.most = most

    def score(self, examples, answers):
        return np.array([min(1, len(a) / self.most) for a in answers])


def holding(value):
    def reward(example, answer):
        return value

    return reward


def one(example, answer):
    return 1.0


def other(example, answer):
    return 1.0


def test_parts_that_compute_the_same_are_the_same():
    for make in (lambda: Length(3), lambda: holding(0.5), lambda: one):
        assert digest(describe(make())) == digest(describe(make()))


@pytest.mark.parametrize(
    "pair",
    [
        (Length(3), Length(4)),
        (holding(0.5), holding(0.6)),
        (one, other),
        (functools.partial(one, 1), functools.partial(one, 2)),
        (Length(3).score, Length(4).score),
        (np.arange(3), np.arange(3.0)),
        (lambda e, a: 1.0, lambda e, a: 0.5),
    ],
)
def test_parts_that_differ_are_told_apart(pair):
    assert describe(pair[0]) != describe(pair[1])


def test_a_function_without_source_has_to_be_named():
    found = {}
    exec("def made(example, answer): return 1.0", found)  # noqa: S102
    with pytest.raises(InputError, match="keras_restpg.named"):
        describe(found["made"])
    assert describe(named(found["made"], "mine")) == {"named": "mine"}


def test_an_endless_object_has_to_be_named():
    part = Length(3)
    part.itself = part
    with pytest.raises(InputError, match="get_config"):
        describe(part)


def test_optimizers_are_told_apart_and_their_steps_do_not_count():
    first = describe_optimizer(keras.optimizers.SGD(0.1))
    # Keras counts how many a process has made, and names them by it.
    assert first == describe_optimizer(keras.optimizers.SGD(0.1))
    scaled = [
        describe_optimizer(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        )
        for _ in range(2)
    ]
    assert scaled[0] == scaled[1] != first
    assert first != describe_optimizer(keras.optimizers.SGD(0.2))
    assert first != describe_optimizer(keras.optimizers.Adam(0.1))
    assert describe_optimizer(paper_optimizer()) != describe_optimizer(
        paper_optimizer(warmup_steps=3)
    )


@pytest.mark.backend
def test_a_model_is_its_weights():
    model = vocabulary.causal_lm()
    before = describe_model(model)
    assert before == describe_model(vocabulary.causal_lm())
    table = model.backbone.token_embedding.embeddings
    table.assign(table * 1.0001)
    after = describe_model(model)
    assert after["weights"] != before["weights"]
    assert {k: v for k, v in after.items() if k != "weights"} == {
        k: v for k, v in before.items() if k != "weights"
    }


@pytest.mark.backend
def test_what_lora_draws_does_not_count_until_it_is_trained():
    found = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        model = vocabulary.causal_lm()
        model.backbone.enable_lora(2)
        found.append(describe_model(model)["weights"])
    assert found[0] == found[1]
    factors = [v for v in model.backbone.variables if v.name.endswith("_b")]
    lora = [v for v in factors if v.name.startswith("lora_")]
    lora[0].assign(lora[0] + 1.0)
    assert describe_model(model)["weights"] != found[0]
    assert RewardWeightedLM(model).trainable_variables
