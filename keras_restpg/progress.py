"""One live line a stage, and a stop that loses nothing.

On a terminal a bar with done, total, rate and time left; elsewhere a line
every half minute; as JSON where a program reads along.
"""

import contextlib
import json
import math
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
        seconds: `{stage: seconds}`; a run that goes on puts those of earlier
            sessions here. See `times` for those of now.
    """

    def __init__(self, quiet=False, log_json=False, stream=None):
        self.quiet = quiet
        self.log_json = log_json
        self.stream = stream or sys.stderr
        self.stopping = False
        self.seconds = {}
        self._running = []
        self._counted = time.monotonic()

    def say(self, text, **values):
        """One line of news."""
        if self.log_json:
            self._json(event="message", text=text, **values)
        elif not self.quiet:
            tqdm.tqdm.write(text, file=self.stream)

    @contextlib.contextmanager
    def stage(self, name, total, unit="it"):
        """A line for one stage; yields an object with `advance`."""
        self._count()
        line = _Line(self, name, total, unit)
        self._running.append(line)
        try:
            yield line
        finally:
            line.close()
            self._count()
            self._running.remove(line)

    def times(self):
        """`{stage: seconds}` up to now, stages that still run included.

        The time of a stage inside another is the inner one's alone: together
        they sum to the time that passed in stages.
        """
        self._count()
        return dict(self.seconds)

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

    def _count(self):
        """Gives the time since the last count to the innermost stage."""
        now = time.monotonic()
        if self._running:
            name = self._running[-1].name
            spent = now - self._counted
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self._counted = now

    def _json(self, **values):
        values = {"time": round(time.time(), 3), **values}
        text = json.dumps(_without_nan(values), allow_nan=False)
        print(text, file=self.stream, flush=True)


class _Line:
    """The live line of one stage."""

    def __init__(self, progress, name, total, unit):
        self.progress = progress
        self.name = name
        self.total = total
        self.unit = unit
        self.done = self.known = 0
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

    def advance(self, count=1, fresh=True, **values):
        """Adds to what is done.

        Args:
            count: how many more are done.
            fresh: False for what an earlier session did: it counts as done,
                and says nothing of the rate.
            **values: shown beside it.
        """
        self.done += count
        self.known += 0 if fresh else count
        if self.bar:
            if values:
                self.bar.set_postfix(_rounded(values), refresh=False)
            self._move(count, fresh)
        elif time.monotonic() - self.last >= _INTERVAL:
            self._print(values)

    def _move(self, count, fresh):
        if fresh:
            self.bar.update(count)
            return
        self.bar.initial += count
        self.bar.n += count
        self.bar.last_print_n += count
        self.bar.refresh()

    def close(self):
        if self.bar:
            self.bar.close()
        else:
            self._print({})

    def _print(self, values):
        self.last = time.monotonic()
        spent = self.last - self.begun
        rate = (self.done - self.known) / max(spent, 1e-9)
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


def _without_nan(value):
    """JSON has neither NaN nor infinity: null stands for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return value
