import io
import json
import math
import os
import signal
import time

import pytest

from keras_restpg import progress as module
from keras_restpg.progress import Progress, Stopped


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(progress, values=(0.25,)):
    with progress.stage("sampling", 4, "samples") as line:
        for value in values:
            line.advance(2, accepted=value)


def test_a_terminal_has_a_live_line():
    stream = Terminal()
    work(Progress(stream=stream))
    text = stream.getvalue()
    assert "sampling" in text and "2/4" in text and "accepted=0.25" in text


def test_elsewhere_a_line_comes_every_so_often(monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    stream = io.StringIO()
    work(Progress(stream=stream), (0.5, 0.75))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("sampling: 4/4 samples")
    assert lines[1].endswith("accepted 0.75")


def test_json_lines_are_json(monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    stream = io.StringIO()
    progress = Progress(log_json=True, stream=stream)
    work(progress)
    progress.say("news")
    values = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert values[0]["done"] == 2 and values[0]["accepted"] == 0.25
    assert values[-1]["text"] == "news"


def test_json_lines_hold_neither_nan_nor_infinity(monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    stream = io.StringIO()
    progress = Progress(log_json=True, stream=stream)
    work(progress, (math.nan,))
    progress.say("news", scores={"email": [math.inf, 0.5]})

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    lines = stream.getvalue().splitlines()
    values = [json.loads(line, parse_constant=refuse) for line in lines]
    assert values[0]["accepted"] is None
    assert values[-1]["scores"] == {"email": [None, 0.5]}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def test_what_was_done_before_says_nothing_of_the_rate(monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    clock, stream = Clock(monkeypatch), io.StringIO()
    with Progress(stream=stream).stage("training", 1000, "steps") as line:
        line.advance(900, fresh=False)
        clock.now += 20
        line.advance(10)
    first, second, _ = stream.getvalue().splitlines()
    assert first == "training: 900/1000 steps, 0.0/s, 0 s"
    assert second == "training: 910/1000 steps, 0.5/s, 20 s, 180 s left"


def test_nor_on_a_terminal():
    with Progress(stream=Terminal()).stage("training", 1000, "steps") as line:
        line.advance(900, fresh=False)
        time.sleep(0.2)
        line.advance(1)
        values = line.bar.format_dict
    assert values["n"] == 901
    rate = values["rate"] or (values["n"] - values["initial"]) / 0.2
    assert 0 < rate < 10


def test_times_are_current_and_go_on_from_earlier_ones(monkeypatch):
    clock = Clock(monkeypatch)
    progress = Progress(quiet=True)
    progress.seconds.update({"training": 100.0, "sampling": 7.0})
    with progress.stage("training", 2):
        clock.now += 3
        assert progress.times() == {"training": 103.0, "sampling": 7.0}
        clock.now += 2
    clock.now += 50
    assert progress.times() == {"training": 105.0, "sampling": 7.0}


def test_a_stage_inside_another_has_its_time_alone(monkeypatch):
    clock = Clock(monkeypatch)
    progress = Progress(quiet=True)
    with progress.stage("training", 2):
        clock.now += 3
        with progress.stage("validation", 1):
            clock.now += 5
            assert progress.times() == {"training": 3.0, "validation": 5.0}
        clock.now += 1
    assert progress.seconds == {"training": 4.0, "validation": 5.0}


def test_quiet_is_quiet_and_time_is_kept():
    for stream in (Terminal(), io.StringIO()):
        progress = Progress(quiet=True, stream=stream)
        work(progress)
        progress.say("news")
        assert stream.getvalue() == ""
        assert progress.seconds["sampling"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_where_all_is_saved_and_the_second_at_once(number):
    progress = Progress(quiet=True)
    before = signal.getsignal(number)
    with progress.stoppable():
        progress.saved()
        os.kill(os.getpid(), number)
        assert progress.stopping
        with pytest.raises(Stopped):
            progress.saved()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
