"""One live line a stage, and a stop that loses nothing.

On a terminal a bar with done, total, rate and time left; elsewhere a line
every half minute; as JSON where a program reads along.
"""

import contextlib
import json
import signal
import sys
import time

import tqdm

# Seconds between two lines where there is no terminal.
_INTERVAL = 30.0


class Stopped(Exception):
    """The user asked to stop, and what was in hand is saved."""


class Progress:
    """Where a run reports what it does.

    Args:
        quiet: no live lines.
        log_json: JSON lines instead of text.
        stream: where to; None is standard error.

    Attributes:
        stopping: whether a stop was asked for.
        seconds: `{stage: seconds}` so far.
    """

    def __init__(self, quiet=False, log_json=False, stream=None):
        self.quiet = quiet
        self.log_json = log_json
        self.stream = stream or sys.stderr
        self.stopping = False
        self.seconds = {}

    def say(self, text, **values):
        """One line of news."""
        if self.log_json:
            self._json(event="message", text=text, **values)
        elif not self.quiet:
            tqdm.tqdm.write(text, file=self.stream)

    @contextlib.contextmanager
    def stage(self, name, total, unit="it"):
        """A line for one stage; yields an object with `advance`."""
        line = _Line(self, name, total, unit)
        begun = time.monotonic()
        try:
            yield line
        finally:
            line.close()
            spent = time.monotonic() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def saved(self):
        """Called where all that was computed is saved.

        Raises:
            Stopped: a stop was asked for.
        """
        if self.stopping:
            raise Stopped

    @contextlib.contextmanager
    def stoppable(self):
        """Ctrl-C and SIGTERM stop at the next `saved`; the second at once."""
        old = {}

        def stop(number, frame):
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True
            self.say("Stopping when the work in hand is saved…")

        with contextlib.suppress(ValueError):  # not the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                old[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _json(self, **values):
        values = {"time": round(time.time(), 3), **values}
        print(json.dumps(values), file=self.stream, flush=True)


class _Line:
    """The live line of one stage."""

    def __init__(self, progress, name, total, unit):
        self.progress = progress
        self.name = name
        self.total = total
        self.unit = unit
        self.done = 0
        self.begun = self.last = time.monotonic()
        terminal = progress.stream.isatty()
        shown = terminal and not progress.quiet and not progress.log_json
        self.bar = shown and tqdm.tqdm(
            total=total,
            desc=name,
            unit=unit,
            file=progress.stream,
            dynamic_ncols=True,
        )

    def advance(self, count=1, **values):
        """Adds to what is done; `values` are shown beside it."""
        self.done += count
        if self.bar:
            if values:
                self.bar.set_postfix(_rounded(values), refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.last >= _INTERVAL:
            self._print(values)

    def close(self):
        if self.bar:
            self.bar.close()
        else:
            self._print({})

    def _print(self, values):
        self.last = time.monotonic()
        spent = self.last - self.begun
        rate = self.done / max(spent, 1e-9)
        values = _rounded(values)
        if self.progress.log_json:
            self.progress._json(
                event="progress",
                stage=self.name,
                done=self.done,
                total=self.total,
                seconds=round(spent, 1),
                **values,
            )
            return
        if self.progress.quiet:
            return
        left = (self.total - self.done) / max(rate, 1e-9)
        parts = [f"{self.name}: {self.done}/{self.total} {self.unit}"]
        parts.append(f"{rate:.1f}/s, {spent:.0f} s")
        if 0 < left < 1e6:
            parts.append(f"{left:.0f} s left")
        parts += [f"{name} {value}" for name, value in values.items()]
        print(", ".join(parts), file=self.progress.stream, flush=True)


def _rounded(values):
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in values.items()
    }
