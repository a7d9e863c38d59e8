"""How far a run has come: `state.json`, with a checksum of its own."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_restpg._types import Json
from keras_restpg.errors import InputError
from keras_restpg.store.files import digest

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory

_STATE = "state.json"
_STAGE = r"(?:sft|iteration-[1-9][0-9]{0,18})"
_NAME = re.compile(_STAGE)
_WEIGHTS = re.compile(_STAGE + r"/weights/(?:best|last)-[ab]\.safetensors")


def read_state(run: RunDirectory) -> dict[str, Json]:
    """What `state.json` says, a dict; empty where there is none.

    Raises:
        InputError: it is damaged, or was changed by hand; or it is of a
            holder of the directory that had been given up.
    """
    state = _sound(run)
    if state and state.pop("generation", 1) < run.files.generation:
        raise InputError(
            f"{run.files.url}/{_STATE} was written over by a process that did "
            "not answer for long and was given up. End that process, remove "
            f"{_STATE}, and run the same command again: samples are kept."
        )
    return state


def adopt_state(run: RunDirectory) -> None:
    """Makes the state ours: what earlier holders still write is no more."""
    # One that is damaged is left for who reads it, and says so.
    with contextlib.suppress(InputError):
        if state := _sound(run):
            write_state(run, state)


def write_state(run: RunDirectory, state: Mapping[str, Json]) -> None:
    """Writes `state.json` with its checksum and who holds the directory."""
    state = {**state, "generation": run.files.generation}
    run.write_json(_STATE, {**state, "sha256": _digest(state)})


def _sound(run):
    state = run.read_json(_STATE, {})
    if state == {}:
        return state
    found = state.pop("sha256", None) if isinstance(state, dict) else None
    if found is None or found != _digest(state) or not _is_state(state):
        raise InputError(
            f"{run.files.url}/{_STATE} is damaged or not of this run. Remove "
            "it: samples are kept, trainings are done again."
        )
    return state


def _digest(state):
    return digest(json.dumps(state, sort_keys=True).encode(), _STATE)


def _is_state(state):
    """Whether everything that is there is of its kind.

    Names are among those that a stage gives its weights: they are read, and
    removed.
    """
    checks = {
        "epoch": _is_count,
        "epochs": _is_count,
        "generation": _is_count,
        "last": lambda last: last is None or _is_weights(last),
        "best": lambda best: _is_dict(best, _NAME.fullmatch, _is_weights),
        "weights": lambda sums: _is_dict(sums, _is_weights, _is_text),
        "stages": lambda prints: _is_dict(prints, _NAME.fullmatch, _is_text),
    }
    return all(
        check(state[name]) for name, check in checks.items() if name in state
    )


def _is_count(value):
    return type(value) is int and 0 <= value < 2**63


def _is_text(value):
    return isinstance(value, str)


def _is_weights(value):
    return _is_text(value) and _WEIGHTS.fullmatch(value) is not None


def _is_dict(value, is_key, is_value):
    return isinstance(value, dict) and all(
        is_key(key) and is_value(each) for key, each in value.items()
    )
