"""How far a run has come: its weights and `state.json`."""

import numpy as np
from keras import ops

from keras_restpg.errors import InputError

_BASE = "base/start.h5"
_PLACES = "ab"


class Checkpoints:
    """The best and the last weights of each stage, and what is reached.

    Weights are never written over those that `state.json` names: each kind
    has two places, the free one is written, then `state.json`, then the other
    one is removed. So a kill between any two writes leaves the state before.

    Args:
        run: a `RunDirectory`.
        fingerprints: what each stage's outcome depends on, a dict from the
            stages' names in their order.
        epochs_per_stage: int.
    """

    def __init__(self, run, fingerprints, epochs_per_stage):
        self.run = run
        self.fingerprints = fingerprints
        self.names = list(fingerprints)
        self.epochs_per_stage = epochs_per_stage

    @property
    def epoch(self):
        """Whole epochs that are done and hold for these settings."""
        state = self.state()
        epoch = state.get("epoch", 0)
        for number, name in enumerate(self.names):
            before = number * self.epochs_per_stage
            if epoch <= before or not self._holds(name, state):
                return min(epoch, before)
        return min(epoch, len(self.names) * self.epochs_per_stage)

    def _holds(self, name, state):
        """Whether a stage's weights are those that `state.json` means."""
        known = state.get("stages", {}).get(name)
        claimed = self.run.claimed(f"{name}/weights")
        return known == claimed == self.fingerprints[name]

    def state(self):
        """What `state.json` says, a dict.

        Raises:
            InputError: it says something else.
        """
        state = self.run.read_json("state.json", {})
        sound = (
            isinstance(state, dict)
            and type(state.get("epoch", 0)) is int
            and state.get("epoch", 0) >= 0
            and isinstance(state.get("score"), float | None)
            and isinstance(state.get("last", ""), str)
            and _is_text(state.get("stages", {}))
            and _is_text(state.get("best", {}))
        )
        if not sound:
            raise InputError(
                f"{self.run.files.url}/state.json is damaged. Remove it: "
                "samples are kept, trainings are done anew."
            )
        return state

    def save(self, epoch, name, model, score):
        """Saves the weights after an epoch.

        Args:
            epoch: its number, from 0.
            name: of its stage.
            model: a `RewardWeightedLM`.
            score: its validation; None where it had none.
        """
        old = self.state()
        top, now = old.get("score"), old.get("last")
        best = dict(old.get("best", {}))
        if epoch % self.epochs_per_stage == 0:
            # A stage of this name that was moved aside counts no more.
            top, now = None, None
            best.pop(name, None)
        if score is not None and (top is None or score > top):
            top = float(score)
            best[name] = _other(best.get(name), name, "best")
            self.run.save_arrays(best[name], host(model.trainable_variables))
        last = _other(now, name, "last")
        self.run.save_arrays(last, host(_all(model)))
        number = self.names.index(name)
        stages = self.names[: number + 1]
        self.run.write_json(
            "state.json",
            {
                "stage": name,
                "epoch": epoch + 1,
                "epochs": len(self.names) * self.epochs_per_stage,
                "score": top,
                "best": {s: best[s] for s in stages if s in best},
                "last": last,
                "stages": {each: self.fingerprints[each] for each in stages},
            },
        )
        self._remove({old.get("last"), old.get("best", {}).get(name)})

    def sweep(self):
        """Removes what a kill left: weights that `state.json` does not name."""
        self._remove(
            {
                f"{name}/weights/{kind}-{place}.h5"
                for name in self.state().get("stages", {})
                for kind in ("best", "last")
                for place in _PLACES
            }
        )

    def _remove(self, names):
        state = self.state()
        kept = {None, state.get("last"), *state.get("best", {}).values()}
        for name in names - kept:
            self.run.files.remove(name)
            self.run.files.remove(f"{name}.sha256")

    def keep_base(self, model):
        """Keeps the base weights of a run, once for all its sessions."""
        if self.run.load_arrays(_BASE) is None:
            self.run.save_arrays(_BASE, host(model.trainable_variables))

    def load_base(self, model):
        """The base weights into a `RewardWeightedLM`.

        Raises:
            InputError: they are missing or damaged, or those of another model.
        """
        self._load(_BASE, model.trainable_variables)

    def load_last(self, model):
        """The weights and optimiser after the last whole epoch.

        Raises:
            InputError: they are missing or damaged.
        """
        self._load(self.state().get("last", "the last weights"), _all(model))

    def load_best(self, name, model):
        """The best weights of a stage into a `RewardWeightedLM`.

        Raises:
            InputError: they are missing or damaged.
        """
        best = self.state().get("best", {}).get(name, f"{name}'s best weights")
        self._load(best, model.trainable_variables)

    def _load(self, name, variables):
        arrays = self.run.load_arrays(name)
        fits = arrays is not None and [a.shape for a in arrays] == [
            tuple(v.shape) for v in variables
        ]
        if not fits:
            raise InputError(
                f"{self.run.files.url}/{name} is missing, damaged, or of "
                f"another model. Remove {self.run.files.url}/state.json: "
                "samples are kept, trainings are done anew."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)


def host(variables):
    """Copies of variables' values in host memory, a list of arrays."""
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def _all(model):
    """What a training goes on with."""
    return [*model.trainable_variables, *model.optimizer.variables]


def _is_text(values):
    return isinstance(values, dict) and all(
        isinstance(value, str) for value in values.values()
    )


def _other(place, name, kind):
    """The place for weights that the present ones do not have."""
    first, second = (f"{name}/weights/{kind}-{each}.h5" for each in _PLACES)
    return second if place == first else first
