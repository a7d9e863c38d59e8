"""A run of a real model, in a process of its own that is killed for real.

`test_crashes.py` goes through the single operations.
"""

import signal
import subprocess
import sys
import time

import pytest

from tests.self_training.test_callback import outcome

KEPT = ("samples", "scores", "weights", "reasoning", "base", "test")
# Where in the run which signal comes.
KILLS = {
    "iteration-1/samples/manifest.jsonl": signal.SIGKILL,
    "iteration-2/weights/inputs.json": signal.SIGTERM,
}

pytestmark = pytest.mark.slow


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.small_run", folder],
        stderr=subprocess.PIPE,
    )


def finish(folder):
    with start(folder) as child:
        _, error = child.communicate(timeout=600)
    assert child.returncode == 0, error.decode()[-2000:]


def wait_for(path, child):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert child.poll() is None, child.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(folder):
    """Samples, scores, reasoning and weights, but not the run's own notes."""
    return {
        name: value
        for name, value in outcome(folder).items()
        if name == "state.json" or any(part in name for part in KEPT)
    }


def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(whole)
    for name, how in KILLS.items():
        with start(killed) as child:
            wait_for(killed / name, child)
            child.send_signal(how)
            child.communicate(timeout=600)
    finish(killed)
    assert kept(killed) == kept(whole)
