"""Several devices give what one gives: training, samples, judgements."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

JAX = os.environ.get("KERAS_BACKEND", "jax") in ("", "jax")
pytestmark = pytest.mark.skipif(not JAX, reason="JAX has distributions")


def outcome(kind, distribution):
    done = subprocess.run(
        [sys.executable, "-m", "tests.backend.on_devices", kind, distribution],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        },
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def one():
    return {}


@pytest.mark.parametrize(
    ("kind", "distribution"),
    [
        ("gemma1-multi-query", "mesh"),
        pytest.param("gemma1-multi-query", "data", marks=pytest.mark.slow),
        pytest.param("gemma3", "sharded", marks=pytest.mark.slow),
        pytest.param("gemma3", "tensor", marks=pytest.mark.slow),
    ],
)
def test_equals_one_device(kind, distribution, one):
    if kind not in one:
        one[kind] = outcome(kind, "one")
    expected, found = one[kind], outcome(kind, distribution)
    assert found["tokens"] == expected["tokens"]
    for name in ("scores", "loss", "weights"):
        for a, b in zip(found[name], expected[name], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
