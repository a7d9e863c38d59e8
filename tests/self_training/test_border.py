import keras
import pytest

from keras_restpg.self_training import border
from keras_restpg.training.model import RewardWeightedLM
from tests.model import gemmas

callbacks = keras.callbacks


class Patient(callbacks.EarlyStopping):
    """A user's own kind of a callback that is refused."""


def compiled(optimizer="sgd"):
    model = RewardWeightedLM(gemmas.causal_lm(gemmas.gemma1()))
    model.compile(optimizer=optimizer)
    return model


@pytest.mark.parametrize(
    ("callback", "match"),
    [
        (callbacks.EarlyStopping("loss"), "keeps its best weights"),
        (Patient("loss"), "Received: Patient in `callbacks`"),
        (callbacks.ReduceLROnPlateau("loss"), "Give the optimizer a schedule"),
        (
            callbacks.LearningRateScheduler(lambda epoch: 0.1),
            "Give the optimizer a schedule",
        ),
        (callbacks.BackupAndRestore("backup"), "a RunDirectory goes on"),
        (callbacks.SwapEMAWeights(), "averages weights"),
    ],
)
def test_callbacks_that_can_not_be_right_are_refused(callback, match):
    others = [callbacks.TerminateOnNaN(), callback]
    with pytest.raises(ValueError, match=match):
        border.check(compiled(), others)


def test_callbacks_that_only_watch_pass(tmp_path):
    harmless = [
        callbacks.ModelCheckpoint(tmp_path / "last.weights.h5"),
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.TensorBoard(tmp_path),
        callbacks.TerminateOnNaN(),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        callbacks.History(),
    ]
    border.check(compiled(), harmless)
    border.check(compiled(), callbacks.CallbackList(harmless).callbacks)


@pytest.mark.parametrize("scaled", [False, True])
def test_averages_of_weights_are_refused(scaled):
    optimizer = keras.optimizers.SGD(1.0, use_ema=True)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    with pytest.raises(ValueError, match="use_ema averages weights"):
        border.check(compiled(optimizer), [])


def test_accumulation_that_came_after_compile_is_refused():
    model = compiled()
    model.optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="take a larger `batch_size`"):
        border.check(model, [])
