"""The weights of a run: the best and the last of each stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from keras_restpg.errors import InputError
from keras_restpg.store.run_directory import fit_into
from keras_restpg.store.state import read_state, write_state

if TYPE_CHECKING:
    import keras

    from keras_restpg.store import RunDirectory
    from keras_restpg.store.stage import Stage

_PLACES = "ab"


class Checkpoints:
    """The best and the last weights of each stage, and what is reached.

    Weights are never written over those that `state.json` names: each kind
    has two places, the free one is written, then `state.json`, then the other
    one is removed. So a kill between any two writes leaves the state before.
    `state.json` holds the checksums of the weights it names and one of its
    own: whole weights of another time, stage or run are not loaded.

    Args:
        run: a `RunDirectory`.
        stages: list of `Stage`, in their order.
        epochs_per_stage: int.
    """

    def __init__(
        self, run: RunDirectory, stages: Iterable[Stage], epochs_per_stage: int
    ) -> None:
        self.run = run
        self.stages = list(stages)
        self.epochs_per_stage = epochs_per_stage

    @property
    def epoch(self) -> int:
        """Whole epochs that are done and hold for these stages."""
        state = read_state(self.run)
        epoch = state.get("epoch", 0)
        for number, stage in enumerate(self.stages):
            before = number * self.epochs_per_stage
            known = state.get("stages", {}).get(stage.name)
            holds = known == stage.fingerprint and stage.has_weights
            if epoch <= before or not holds:
                return min(epoch, before)
        return min(epoch, len(self.stages) * self.epochs_per_stage)

    def save(
        self, epoch: int, stage: Stage, model: keras.Model, score: float | None
    ) -> None:
        """Saves the weights after an epoch.

        Args:
            epoch: its number, from 0.
            stage: its `Stage`.
            model: a `RewardWeightedLM`.
            score: its validation; None where it had none.
        """
        old = read_state(self.run)
        top, last = old.get("score"), old.get("last")
        best, weights = dict(old.get("best", {})), dict(old.get("weights", {}))
        name = stage.name
        if epoch % self.epochs_per_stage == 0:
            # A stage of this name that was moved aside counts no more.
            top, last = None, None
            best.pop(name, None)
        if score is not None and (top is None or score > top):
            top = float(score)
            best[name] = _other(best.get(name), stage, "best")
            weights[best[name]] = self._save(
                best[name], model.trainable_variables
            )
        last = _other(last, stage, "last")
        weights[last] = self._save(last, _all(model))
        stages = self.stages[: self.stages.index(stage) + 1]
        best = {s.name: best[s.name] for s in stages if s.name in best}
        named = {last, *best.values()}
        write_state(
            self.run,
            {
                "stage": name,
                "epoch": epoch + 1,
                "epochs": len(self.stages) * self.epochs_per_stage,
                "score": top,
                "best": best,
                "last": last,
                "weights": {k: v for k, v in weights.items() if k in named},
                "stages": {each.name: each.fingerprint for each in stages},
            },
        )
        self._remove({old.get("last"), old.get("best", {}).get(name)})

    def _save(self, name, variables):
        return self.run.save_arrays(name, host(variables), noted=False)

    def sweep(self) -> None:
        """Removes what a kill left: weights that `state.json` does not name."""
        known = read_state(self.run).get("stages", {})
        self._remove(
            {
                stage.weights(kind, place)
                for stage in self.stages
                if stage.name in known
                for kind in ("best", "last")
                for place in _PLACES
            }
        )

    def _remove(self, names):
        state = read_state(self.run)
        kept = {None, state.get("last"), *state.get("best", {}).values()}
        for name in names - kept:
            self.run.files.remove(name)

    def load_last(self, model: keras.Model) -> None:
        """The weights and optimizer after the last whole epoch.

        Raises:
            InputError: they are missing, damaged, or of another time.
        """
        self._load(read_state(self.run).get("last"), _all(model))

    def load_best(self, stage: Stage, model: keras.Model) -> None:
        """The best weights of a `Stage` into a `RewardWeightedLM`.

        Raises:
            InputError: they are missing, damaged, or of another time.
        """
        best = read_state(self.run).get("best", {}).get(stage.name)
        self._load(best, model.trainable_variables)

    def _load(self, name, variables):
        where = f"{self.run.files.url}/{name or 'the weights'}"
        state = read_state(self.run)
        checksum = state.get("weights", {}).get(name)
        arrays = checksum and self.run.load_arrays(name, checksum)
        if not arrays:
            raise InputError(
                f"{where} is missing, damaged, or not the file that state.json "
                f"means. Remove {self.run.files.url}/state.json: samples are "
                "kept, trainings are done again."
            )
        fit_into(variables, arrays, where)


def host(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Copies of variables' values in host memory, a list of arrays."""
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def _all(model):
    """What a training goes on with."""
    return [*model.trainable_variables, *model.optimizer.variables]


def _other(place, stage, kind):
    """The place for weights that the present ones do not have."""
    first, second = (stage.weights(kind, each) for each in _PLACES)
    return second if place == first else first
