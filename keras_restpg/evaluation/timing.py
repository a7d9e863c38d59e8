"""How much of a run's time passes outside compiled model code."""

import os
import sys
import threading
from typing import Self

# Where the innermost Python frame lies while a backend computes or compiles.
_MODEL = ("jax", "jaxlib", "tensorflow", "torch", "keras")


class PythonShare:
    """Watches the main thread while it is entered.

    A hundred times a second it looks at the innermost frame: one that lies
    in the folder of Keras or its backend, as imported, counts as model code,
    compilation included.

    Attributes:
        share: of the looks, those elsewhere: tokenising, selecting, writing
            files; from 0 to 1.
    """

    def __init__(self, interval: float = 0.01) -> None:
        self.interval = interval
        self.looks = self.outside = 0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self._roots = _roots()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def share(self) -> float:
        return self.outside / max(self.looks, 1)

    def _watch(self):
        while not self._done.wait(self.interval):
            frame = sys._current_frames().get(self._watched)
            if frame is None:
                continue
            self.looks += 1
            self.outside += not frame.f_code.co_filename.startswith(self._roots)


def _roots():
    """Folders of the packages of `_MODEL` that are imported."""
    modules = [sys.modules.get(name) for name in _MODEL]
    files = [getattr(module, "__file__", None) for module in modules]
    return tuple(os.path.dirname(file) + os.sep for file in files if file)
