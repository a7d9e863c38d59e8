import io
import json
import os
import signal

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
