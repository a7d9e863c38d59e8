"""One live line a stage, and a stop that loses nothing.

On a terminal and in a notebook a bar with done, total, rate and time left;
elsewhere a line every half minute; as JSON where a program reads along.
"""

import contextlib
import json
import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TextIO

import tqdm

from keras_restpg._types import Json
from keras_restpg.errors import printable

# Seconds between two lines where there is no terminal.
_INTERVAL = 30.0
# Seconds after which a wait is worth a line there.
_PATIENCE = 5.0
# Seconds between two looks of the thread that keeps a line alive.
_TICK = 1.0


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

    def __init__(
        self,
        quiet: bool = False,
        log_json: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.quiet = quiet
        self.log_json = log_json
        self.stream = stream or sys.stderr
        self.stopping = False
        self.seconds = {}
        self._running = []
        self._counted = time.monotonic()
        self._bar = None if quiet or log_json else _bar_class(stream)

    def say(self, text: str, **values: Json) -> None:
        """One line of news."""
        if self.log_json:
            self._json(event="message", text=text, **values)
        elif not self.quiet:
            tqdm.tqdm.write(printable(text), file=self.stream)

    def stage(
        self, name: str, total: float | None, unit: str = "it"
    ) -> AbstractContextManager["_Stage"]:
        """A line for one stage; a context that yields an object with `advance`.

        Args:
            name: of the stage.
            total: how much there is to do; None, or what is no positive
                finite number: not known.
            unit: what is counted, in the plural.
        """
        return self._shown(_Stage, name, total, unit)

    def waiting(self, title: str) -> AbstractContextManager["_Wait"]:
        """A line with the seconds that pass, for what has no steps to count.

        Loading, embedding and compiling keep one waiting. On a terminal the
        line is live; elsewhere it is there for what takes more than
        seconds, at the start, every half minute and at the end. The line
        ends where the context does, by an exception too.

        Example:
        ```python
        with progress.waiting("loading the model"):
            model = keras_hub.models.CausalLM.from_preset(preset)
        ```
        """
        return self._shown(_Wait, title)

    def times(self) -> dict[str, float]:
        """`{stage: seconds}` up to now, stages that still run included.

        The time of a stage, or a wait, inside another is the inner one's
        alone: together they sum to the time that passed in stages.
        """
        self._count()
        return dict(self.seconds)

    def saved(self) -> None:
        """Called where all that was computed is saved.

        Raises:
            Stopped: a stop was asked for.
        """
        if self.stopping:
            raise Stopped

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
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

    @contextlib.contextmanager
    def _shown(self, kind, *arguments):
        self._count()
        line = kind(self, *arguments)
        self._running.append(line)
        try:
            with line:
                yield line
        finally:
            self._count()
            self._running.remove(line)

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
        self._write(json.dumps(_without_nan(values), allow_nan=False))

    def _write(self, text):
        # In one piece, as threads write too.
        self.stream.write(text + "\n")
        self.stream.flush()


class _Line:
    """A line that a thread keeps alive, as the work itself may be silent.

    Args:
        progress: the `Progress` that it belongs to.
        name: what the line is of.
        **bar: arguments of tqdm, where there is a bar.
    """

    def __init__(self, progress, name, **bar):
        self.progress = progress
        self.name = name
        self.begun = self.last = time.monotonic()
        self.bar = progress._bar and progress._bar(
            desc=printable(name),
            file=progress.stream,
            dynamic_ncols=True,
            **bar,
        )
        self.ended = False
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._live, name="progress", daemon=True
        )

    def __enter__(self):
        if not self.progress.quiet:
            self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self.ended = True
        self._close()

    def _live(self):
        while not self._end.wait(_TICK):
            if self.bar is not None:
                self.bar.refresh()
            elif time.monotonic() - self.last >= self._pause():
                self._print()

    def _pause(self):
        """Seconds between two lines where there is no bar."""
        return _INTERVAL

    def _tell(self, spent):
        raise NotImplementedError

    def _close(self):
        if self.bar is not None:
            self.bar.close()
        elif not self.progress.quiet:
            self._print()

    def _print(self):
        self.last = time.monotonic()
        self._tell(self.last - self.begun)

    def _write(self, text, event, spent, **values):
        """One line: JSON where a program reads along, else `text`."""
        if self.progress.log_json:
            seconds = round(spent, 1)
            self.progress._json(
                event=event, stage=self.name, seconds=seconds, **values
            )
        elif not self.progress.quiet:
            self.progress._write(printable(text))


class _Stage(_Line):
    """The line of work that is counted."""

    def __init__(self, progress, name, total, unit):
        self.total = total if _known(total) else None
        self.unit = unit
        self.done = self.known = 0
        self.values = {}
        super().__init__(progress, name, total=self.total, unit=unit)

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
        self.values = _rounded(values)
        if self.bar is not None:
            if values:
                self.bar.set_postfix(self.values, refresh=False)
            self._move(count, fresh)
        elif time.monotonic() - self.last >= self._pause():
            self._print()

    def _move(self, count, fresh):
        if fresh:
            self.bar.update(count)
            return
        self.bar.initial += count
        self.bar.n += count
        self.bar.last_print_n += count
        self.bar.refresh()

    def _close(self):
        self.values = {}  # They were those of a part of it.
        super()._close()

    def _tell(self, spent):
        beside = [f"{name} {value}" for name, value in self.values.items()]
        parts = ", ".join([*self._counts(spent), *beside])
        values = {"done": self.done, "total": self.total}
        self._write(parts, "progress", spent, **values, **self.values)

    def _counts(self, spent):
        of = "" if self.total is None else f"/{self.total}"
        yield f"{self.name}: {self.done}{of} {self.unit}"
        fresh = self.done - self.known
        if fresh > 0 < spent:
            yield _rate(fresh / spent, self.unit)
        yield f"{spent:.0f} s"
        if fresh > 0 < spent and self.total is not None:
            left = (self.total - self.done) * spent / fresh
            if left > 0:
                yield f"{left:.0f} s left"


class _Wait(_Line):
    """The line of work that has no steps."""

    def __init__(self, progress, name):
        self.told = False
        super().__init__(progress, name, bar_format="{desc}: {elapsed}")
        if progress.log_json:
            self._print()

    def _pause(self):
        return _INTERVAL if self.told else _PATIENCE

    def _close(self):
        if self.bar is not None or self.told:
            super()._close()

    def _tell(self, spent):
        text = f"{self.name}{'' if self.ended else '…'} {spent:.0f} s"
        self._write(text, "waiting", spent, ended=self.ended)
        self.told = True


def _bar_class(stream):
    """The `tqdm` of a terminal or a notebook; None where there is neither."""
    if (stream or sys.stderr).isatty():
        return tqdm.tqdm
    if stream is not None or "ipykernel" not in sys.modules:
        return None
    with warnings.catch_warnings():
        # Without ipywidgets it is a bar of characters, which will do.
        warnings.simplefilter("ignore", tqdm.TqdmWarning)
        from tqdm.auto import tqdm as notebook
    return notebook


def _known(total):
    return total is not None and math.isfinite(total) and total > 0


def _rate(rate, unit):
    """Steps in a second or, where they are slower, the seconds of a step."""
    if rate >= 1:
        return f"{rate:.1f}/s"
    seconds = 1 / rate
    digits = 1 if seconds < 10 else 0
    return f"{seconds:.{digits}f} s/{unit.removesuffix('s')}"


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
