import keras
import numpy as np
import pytest
from keras import ops

from keras_restpg.training.optimizer import (
    Adafactor,
    WarmupLinearDecay,
    initial_state,
    paper_optimizer,
)

pytestmark = pytest.mark.backend

SHAPES = [(4, 6), (5,), (2, 3, 4)]


def adafactor(weights, gradients, rate, decay_rate=-0.8, clip=1.0, wd=0.0):
    """Shazeer & Stern's Algorithm 4 and 5 in float64, one list a step."""
    weights = [w.astype("float64") for w in weights]
    moments = [None] * len(weights)
    for step, grads in enumerate(gradients, 1):
        decay = 1.0 - step**decay_rate
        for i, g in enumerate(grads):
            square = g.astype("float64") ** 2 + 1e-30
            if g.ndim < 2:
                old = (
                    np.zeros_like(square) if moments[i] is None else moments[i]
                )
                moments[i] = decay * old + (1 - decay) * square
                update = g / np.sqrt(moments[i])
            else:
                row, column = square.mean(-1), square.mean(-2)
                if moments[i] is not None:
                    row = decay * moments[i][0] + (1 - decay) * row
                    column = decay * moments[i][1] + (1 - decay) * column
                moments[i] = row, column
                second = row[..., None] * column[..., None, :]
                second /= row.mean(-1, keepdims=True)[..., None]
                update = g / np.sqrt(second)
            update = update / max(1.0, np.sqrt((update**2).mean()) / clip)
            weights[i] = weights[i] * (1 - wd * rate) - rate * update
    return weights


def draw(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_five_steps_equal_numpy(weight_decay):
    start, gradients = draw(0), [draw(step) for step in range(1, 6)]
    variables = [keras.Variable(value) for value in start]
    optimizer = Adafactor(0.05, weight_decay=weight_decay)
    for grads in gradients:
        grads = [ops.convert_to_tensor(g) for g in grads]
        optimizer.apply(grads, variables)
    expected = adafactor(start, gradients, 0.05, wd=weight_decay or 0.0)
    for ours, theirs in zip(variables, expected, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours.value), theirs, atol=2e-6
        )


def test_a_matrix_keeps_a_row_and_a_column():
    optimizer = Adafactor()
    optimizer.build([keras.Variable(np.zeros((100, 200), "float32"))])
    sizes = [int(np.prod(v.shape)) for v in optimizer.variables]
    # The step counter and the learning rate are scalars.
    assert sum(size for size in sizes if size > 1) == 100 + 200


def test_the_schedule_rises_then_falls_to_a_tenth():
    schedule = WarmupLinearDecay(2.0, warmup_steps=4, total_steps=14)
    rates = [float(ops.convert_to_numpy(schedule(s))) for s in range(16)]
    np.testing.assert_allclose(rates[:5], [0.5, 1.0, 1.5, 2.0, 2.0])
    np.testing.assert_allclose(rates[9], 2.0 - 0.5 * 1.8)
    np.testing.assert_allclose(rates[14:], [0.2, 0.2], rtol=1e-6)
    with pytest.raises(ValueError, match="below total_steps"):
        WarmupLinearDecay(1.0, 5, 5)


def test_the_papers_values_are_the_defaults():
    optimizer = paper_optimizer()
    config = optimizer.get_config()
    assert config["weight_decay"] == 0.01 and config["global_clipnorm"] == 1.0
    schedule = optimizer._learning_rate
    values = (schedule.peak, schedule.warmup_steps, schedule.total_steps)
    assert values == (5e-6, 250, 10_000)


def test_an_optimizer_comes_back_from_its_config():
    optimizer = paper_optimizer(1e-3)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that nobody registered."""

    def __call__(self, step):
        return ops.cast(0.1, "float32")

    def get_config(self):
        return {}


def rate():
    return 0.1


class Own(keras.optimizers.SGD):
    """An optimizer that nobody registered."""


class NoConfig(keras.optimizers.SGD):
    def __init__(self, rate):
        super().__init__(rate)


optimizers = keras.optimizers
STATEFUL = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.1, amsgrad=True),
    # Its product of momenta begins with 1, Adagrad's squares with 0.1.
    "nadam": lambda: optimizers.Nadam(0.1),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "ftrl": lambda: optimizers.Ftrl(0.1),
    "lion": lambda: optimizers.Lion(0.1),
    "muon": lambda: optimizers.Muon(0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.1, centered=True, momentum=0.5),
    "paper": lambda: paper_optimizer(1e-3),
    "schedule": lambda: optimizers.Adam(Constant()),
    "function": lambda: optimizers.Adam(rate),
    "ema": lambda: optimizers.SGD(0.1, use_ema=True),
    "scaled": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(0.1), initial_scale=64.0, dynamic_growth_steps=2
    ),
    "scaled own": lambda: optimizers.LossScaleOptimizer(Own(Constant())),
}


def apply(optimizer, gradients, variables):
    """A step, without state under JAX, as `LossScaleOptimizer` needs it."""
    gradients = [ops.convert_to_tensor(g) for g in gradients]
    if keras.backend.backend() != "jax":
        optimizer.apply(gradients, variables)
        return
    state = optimizer.variables
    weights, values = optimizer.stateless_apply(
        [v.value for v in state], gradients, [v.value for v in variables]
    )
    for variable, value in zip(
        [*variables, *state], [*weights, *values], strict=True
    ):
        variable.assign(value)


@pytest.mark.parametrize("name", STATEFUL)
def test_the_initial_state_is_that_before_the_first_step(name):
    variables = [keras.Variable(value) for value in draw(0)]
    optimizer = STATEFUL[name]()
    optimizer.build(variables)
    before = [ops.convert_to_numpy(v).copy() for v in optimizer.variables]
    first = initial_state(optimizer)
    for step in (1, 2, 3):
        apply(optimizer, draw(step), variables)
    after = [ops.convert_to_numpy(v).copy() for v in optimizer.variables]
    weights = [ops.convert_to_numpy(v).copy() for v in variables]
    for state in (first, initial_state(optimizer)):
        for got, value in zip(state, before, strict=True):
            assert (got is None) == (not value.any())
            if got is not None:
                np.testing.assert_array_equal(got, value)
                assert got.dtype == value.dtype
    # Asking changes nothing.
    for variable, value in zip(optimizer.variables, after, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    for variable, value in zip(variables, weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_a_state_that_can_not_be_had_is_said():
    with pytest.raises(ValueError, match="no state yet"):
        initial_state(keras.optimizers.SGD(0.1))
    variables = [keras.Variable(value) for value in draw(0)]
    optimizer = NoConfig(0.1)
    gradients = [ops.convert_to_tensor(g) for g in draw(1)]
    optimizer.apply(gradients, variables)
    with pytest.raises(ValueError, match="Mend `get_config`"):
        initial_state(optimizer)
