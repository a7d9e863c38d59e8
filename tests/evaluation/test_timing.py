"""The share of time outside model code."""

import os
import time

import h5py
import keras
import pytest

from keras_restpg.evaluation.timing import PythonShare

KERAS = os.path.dirname(keras.__file__)


def share_of(path):
    """The share that is found where a file of this path is busy."""
    names = {"time": time}
    busy = "for _ in range(100): time.sleep(0.003)"
    code = compile(busy, path, "exec")
    with PythonShare(0.005) as timing:
        exec(code, names)
    assert timing.looks > 5
    return timing.share


@pytest.mark.parametrize(
    "path",
    [
        os.path.join(KERAS, "src", "layers", "dense.py"),
        os.path.join(KERAS, "any.py"),
    ],
)
def test_keras_counts_as_model_code(path):
    assert share_of(path) < 0.2


@pytest.mark.parametrize(
    "path",
    [
        "/home/me/keras/keras_restpg/data/own.py",
        "/home/torch/venv/site-packages/keras_hub/tokenizer.py",
        f"{KERAS}_restpg/progress.py",
        os.path.join(os.path.dirname(h5py.__file__), "_hl", "files.py"),
    ],
)
def test_whatever_else_has_such_a_name_does_not(path):
    assert share_of(path) > 0.8
