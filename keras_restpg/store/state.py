"""How far a run has come: `state.json`, with a checksum of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_restpg._types import Json
from keras_restpg.errors import InputError
from keras_restpg.store.files import digest

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory

_STATE = "state.json"


def read_state(run: RunDirectory) -> dict[str, Json]:
    """What `state.json` says, a dict; empty where there is none.

    Raises:
        InputError: it is damaged, or was changed by hand.
    """
    state = run.read_json(_STATE, {})
    if state == {}:
        return state
    found = state.pop("sha256", None) if isinstance(state, dict) else None
    if found is None or found != _digest(state):
        raise InputError(
            f"{run.files.url}/{_STATE} is damaged or not of this run. Remove "
            "it: samples are kept, trainings are done again."
        )
    return state


def write_state(run: RunDirectory, state: Mapping[str, Json]) -> None:
    """Writes `state.json` with its checksum."""
    run.write_json(_STATE, {**state, "sha256": _digest(state)})


def _digest(state):
    return digest(json.dumps(state, sort_keys=True).encode(), _STATE)
