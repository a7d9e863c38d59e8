"""A run that is killed anywhere goes on to the same samples and weights.

`KERAS_RESTPG_KILLS=40 pytest tests/store/test_kills.py` kills more often.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.self_training.test_callback import outcome

KILLS = int(os.environ.get("KERAS_RESTPG_KILLS", "3"))
KEPT = ("samples", "scores", "weights", "reasoning", "base", "test")

pytestmark = pytest.mark.slow


def start(folder, cache):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.small_run", folder],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
    )


def finish(folder, cache):
    with start(folder, cache) as child:
        _, error = child.communicate(timeout=600)
    assert child.returncode == 0, error.decode()[-2000:]


def kept(folder):
    """Samples, scores, reasoning and weights, but not the run's own notes."""
    return {
        name: value
        for name, value in outcome(folder).items()
        if name == "state.json" or any(part in name for part in KEPT)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, how long it takes, and its compiled programs."""
    folder = tmp_path_factory.mktemp("whole")
    cache = tmp_path_factory.mktemp("cache")
    finish(tmp_path_factory.mktemp("first"), cache)
    begun = time.monotonic()
    finish(folder, cache)
    return folder, time.monotonic() - begun, cache


def test_two_runs_are_equal(whole, tmp_path):
    finish(tmp_path, whole[2])
    assert kept(tmp_path) == kept(whole[0])


def test_killed_runs_go_on_to_the_same_end(whole, tmp_path):
    folder, seconds, cache = whole
    rng = random.Random(0)
    landed = 0
    for number in range(KILLS):
        out = tmp_path / str(number // 4)
        with start(out, cache) as child:
            time.sleep(rng.uniform(0.2, 1.0) * seconds)
            how = rng.choice([signal.SIGKILL, signal.SIGTERM])
            landed += child.poll() is None
            child.send_signal(how)
            child.communicate(timeout=600)
        if number % 4 == 3 or number == KILLS - 1:
            finish(out, cache)
            assert kept(out) == kept(folder)
    assert landed >= KILLS // 2
