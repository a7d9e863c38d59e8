import json
import os
import re

import keras
import pytest

from keras_restpg import __version__
from keras_restpg.environment import changes, environment, line


@pytest.mark.backend
def test_what_a_run_runs_on():
    found = environment()
    assert json.loads(json.dumps(found)) == found
    backend = os.environ["KERAS_BACKEND"]
    assert found["backend"] == backend
    assert found["devices"]
    assert all(re.fullmatch(r"\w+:\d+", name) for name in found["devices"])
    versions = found["versions"]
    assert {"keras", "keras_hub", "numpy", backend} < set(versions)
    assert all(versions.values())
    assert versions["keras"] == keras.__version__
    assert versions["keras_restpg"] == __version__
    assert found["python"] and found["platform"] and found["machine"]


NOW = {
    "backend": "jax",
    "devices": ["gpu:0", "gpu:1"],
    "versions": {"keras": "3.15.1", "jax": "0.10.2", "jaxlib": "0.10.2"},
    "python": "3.12.1",
    "platform": "Linux-6.1",
    "machine": "x86_64",
}


def test_its_line_has_the_model_too():
    model = keras.Sequential(
        [keras.layers.Dense(1000), keras.layers.Dense(1)], name="net"
    )
    model.build((None, 1999))
    model.layers[0].trainable = False
    assert line(NOW, model) == (
        "jax 0.10.2 on 2 gpu; keras 3.15.1, jaxlib 0.10.2; Sequential, 2M "
        "weights, 0.05% trained; float32"
    )
    model.trainable = True
    model.dtype_policy = keras.DTypePolicy("bfloat16")
    assert line(NOW, model).endswith("2M weights, 100% trained; bfloat16")


def test_a_model_without_weights_has_a_line():
    assert "0 weights, 0% trained" in line(NOW, keras.Sequential())


@pytest.mark.parametrize(
    ("old", "found"),
    [
        ({}, []),
        ({"platform": "Darwin"}, []),
        ({"devices": ["gpu:0"]}, []),
        ({"devices": ["cpu:0"]}, ["devices: cpu -> gpu"]),
        ({"backend": "torch"}, ["backend: torch -> jax"]),
        ({"python": "3.11.7"}, ["python: 3.11.7 -> 3.12.1"]),
        ({"machine": "arm64"}, ["machine: arm64 -> x86_64"]),
        (
            {"versions": {"jax": "0.9", "keras": "3.15.1", "torch": "2"}},
            ["jax: 0.9 -> 0.10.2"],
        ),
        (
            {"backend": "torch", "versions": {"keras": "3.14"}},
            ["keras: 3.14 -> 3.15.1", "backend: torch -> jax"],
        ),
    ],
)
def test_what_can_change_results_is_told(old, found):
    assert changes(NOW | old, NOW) == found


JUNK = [
    None,
    7,
    1.5,
    True,
    "text",
    [],
    [1],
    {},
    {"a": 1},
    [["cpu:0"]],
    {"": {}},
]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_what_a_damaged_file_says_does_not_count(junk):
    assert changes(junk, NOW) == []
    for name in ("backend", "devices", "versions", "python", "machine"):
        found = changes(NOW | {name: junk}, NOW)
        text = isinstance(junk, str) and name not in ("devices", "versions")
        assert found == ([f"{name}: text -> {NOW[name]}"] if text else [])
    odd = {"keras": junk, "backend": junk, "devices": junk}
    assert changes(NOW | {"versions": odd}, NOW) == (
        ["keras: text -> 3.15.1"] if junk == "text" else []
    )
