import io
import json
import math
import os
import re
import signal
import threading
import time

import pytest

from keras_restpg import progress as module
from keras_restpg.progress import Progress, Stopped


def threads():
    """Those that keep a line alive; tqdm has one of its own."""
    return [t for t in threading.enumerate() if t.name == "progress"]


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
    assert first == "training: 900/1000 steps, 0 s"
    assert second == "training: 910/1000 steps, 2.0 s/step, 20 s, 180 s left"


@pytest.mark.parametrize(
    ("steps", "seconds", "rate"),
    [(1, 37, "37 s/step"), (5, 12, "2.4 s/step"), (3, 2, "1.5/s")],
)
def test_slow_steps_are_told_in_seconds_a_step(
    monkeypatch, steps, seconds, rate
):
    clock, stream = Clock(monkeypatch), io.StringIO()
    with Progress(stream=stream).stage("training", 9, "steps") as line:
        clock.now += seconds
        line.advance(steps)
    last = stream.getvalue().splitlines()[-1]
    assert last.startswith(f"training: {steps}/9 steps, {rate}, {seconds} s, ")


@pytest.mark.parametrize("total", [0, None, math.nan, math.inf, -1])
@pytest.mark.parametrize("kind", ["terminal", "file", "json"])
def test_a_total_that_is_not_known_is_left_out(monkeypatch, total, kind):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    stream = Terminal() if kind == "terminal" else io.StringIO()
    progress = Progress(log_json=kind == "json", stream=stream)
    with progress.stage("sampling", total, "samples") as line:
        line.advance(2, fresh=False)
        line.advance(2, accepted=math.nan)
    text = stream.getvalue()
    if kind == "json":
        assert json.loads(text.splitlines()[-1])["total"] is None
    else:
        assert re.search(r"\b4 ?samples", text)
        assert not re.search(r"\d/(\d|None|nan|inf)", text)


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


def test_so_has_a_wait_inside_a_stage_and_a_stage_inside_a_wait(monkeypatch):
    clock = Clock(monkeypatch)
    progress = Progress(quiet=True)
    with progress.waiting("loading"):
        clock.now += 2
        with progress.stage("embedding", 2):
            clock.now += 3
            with pytest.raises(KeyError), progress.waiting("compiling"):
                clock.now += 7
                raise KeyError
            clock.now += 1
        clock.now += 5
    clock.now += 50
    assert progress.times() == {"loading": 7, "embedding": 4, "compiling": 7}


def test_quiet_is_quiet_and_time_is_kept():
    for stream in (Terminal(), io.StringIO()):
        progress = Progress(quiet=True, stream=stream)
        work(progress)
        progress.say("news")
        with progress.waiting("loading"):
            assert not threads()
        assert stream.getvalue() == ""
        assert progress.seconds["sampling"] > 0


def fast(monkeypatch):
    """Lines of a thread come at once."""
    for name in ("_TICK", "_PATIENCE", "_INTERVAL"):
        monkeypatch.setattr(module, name, 0.01)


def wait_for(stream, text):
    """Waits until a thread has written `text`."""
    end = time.monotonic() + 10
    while text not in stream.getvalue():
        assert time.monotonic() < end, stream.getvalue()
        time.sleep(0.01)


def test_a_wait_has_a_live_line_on_a_terminal(monkeypatch):
    monkeypatch.setattr(module, "_TICK", 0.01)
    stream = Terminal()
    with Progress(stream=stream).waiting("loading"):
        wait_for(stream, "loading: 00:01")
    assert stream.getvalue().endswith("\n")
    assert not threads()


def test_elsewhere_a_long_wait_has_lines_and_a_short_one_none(monkeypatch):
    stream = io.StringIO()
    progress = Progress(stream=stream)
    with progress.waiting("loading"):
        time.sleep(0.05)
    assert stream.getvalue() == ""
    fast(monkeypatch)
    with progress.waiting("compiling"):
        wait_for(stream, "\ncompiling… 0 s\n")
    *lines, last = stream.getvalue().splitlines()
    assert set(lines) == {"compiling… 0 s"} and last == "compiling 0 s"


def test_an_exception_ends_a_wait(monkeypatch):
    fast(monkeypatch)
    stream = io.StringIO()
    progress = Progress(stream=stream)
    with pytest.raises(KeyError), progress.waiting("loading"):
        wait_for(stream, "loading")
        raise KeyError
    assert stream.getvalue().endswith("loading 0 s\n")
    assert not threads()
    assert not progress._running


def test_a_wait_is_events_in_json():
    stream = io.StringIO()
    with Progress(log_json=True, stream=stream).waiting("loading"):
        pass
    begun, ended = map(json.loads, stream.getvalue().splitlines())
    assert begun["event"] == ended["event"] == "waiting"
    assert begun["stage"] == ended["stage"] == "loading"
    assert (begun["ended"], ended["ended"]) == (False, True)
    assert ended["seconds"] >= 0


def test_a_stage_that_does_not_advance_is_still_told_of(monkeypatch):
    fast(monkeypatch)
    stream = io.StringIO()
    with Progress(stream=stream).stage("sampling", 192, "samples"):
        wait_for(stream, "sampling: 0/192 samples, 0 s\n")


def test_control_characters_do_not_reach_the_terminal():
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.say("task \x1b[2J")
    with progress.stage("\x1b[2J", 1):
        pass
    assert "\x1b" not in stream.getvalue()
    assert "\\x1b[2J" in stream.getvalue()


NOTEBOOK = """
from keras_restpg.progress import Progress
progress = Progress()
with progress.stage("sampling", 4, "samples") as line:
    line.advance(2, accepted=0.25)
    line.advance(2, accepted=0.75)
with progress.waiting("compiling"):
    pass
"""


def test_a_notebook_has_bars():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipywidgets")
    cell = nbformat.v4.new_code_cell(NOTEBOOK)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=60).execute()
    shown = [each.data for each in cell.outputs if "data" in each]
    assert len(shown) == 2, cell.outputs
    assert all("application/vnd.jupyter.widget-view+json" in d for d in shown)
    assert "sampling" in shown[0]["text/plain"]


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
