"""How far a run has come: its weights and `state.json`."""

import numpy as np
from keras import ops

from keras_restpg.errors import InputError


class Checkpoints:
    """The best and the last weights of each stage, and what is reached.

    `state.json` is written last and names the weights that it goes with, so
    a kill between two writes leaves the state before.

    Args:
        run: a `RunDirectory`.
        names: the stages' names, in order.
        fingerprints: what each stage's outcome depends on, a dict.
        epochs_per_stage: int.
    """

    def __init__(self, run, names, fingerprints, epochs_per_stage):
        self.run = run
        self.names = names
        self.fingerprints = fingerprints
        self.epochs_per_stage = epochs_per_stage

    @property
    def epoch(self):
        """Whole epochs that are done and hold for these settings."""
        state = self.state()
        epoch = state.get("epoch", 0)
        for number, name in enumerate(self.names):
            before = number * self.epochs_per_stage
            known = state.get("stages", {}).get(name)
            if epoch <= before or known != self.fingerprints[name]:
                return min(epoch, before)
        return min(epoch, len(self.names) * self.epochs_per_stage)

    def state(self):
        """What `state.json` says, a dict.

        Raises:
            InputError: it says something else.
        """
        state = self.run.read_json("state.json", {})
        sound = (
            isinstance(state, dict)
            and isinstance(state.get("epoch", 0), int)
            and isinstance(state.get("stages", {}), dict)
            and isinstance(state.get("last", ""), str)
            and isinstance(state.get("best"), float | None)
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
        inside = epoch % self.epochs_per_stage
        old = self.state()
        best = old.get("best") if inside else None
        if score is not None and (best is None or score > best):
            self.run.save_arrays(_best(name), host(model.trainable_variables))
            best = score
        last = f"{name}/weights/last-{epoch}.h5"
        self.run.save_arrays(last, host(_all(model)))
        number = self.names.index(name)
        self.run.write_json(
            "state.json",
            {
                "stage": name,
                "epoch": epoch + 1,
                "epochs": len(self.names) * self.epochs_per_stage,
                "best": best,
                "last": last,
                "stages": {
                    stage: self.fingerprints[stage]
                    for stage in self.names[: number + 1]
                },
            },
        )
        passed = old.get("last")
        for file in (passed, f"{passed}.sha256") if passed else ():
            if file not in (last, f"{last}.sha256"):
                self.run.files.remove(file)

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
        self._load(_best(name), model.trainable_variables)

    def _load(self, name, variables):
        arrays = self.run.load_arrays(name)
        if arrays is None or len(arrays) != len(variables):
            raise InputError(
                f"{self.run.files.url}/{name} is missing or damaged. Remove "
                f"{self.run.files.url}/state.json: samples are kept, "
                "trainings are done anew."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)


def host(variables):
    """Copies of variables' values in host memory, a list of arrays."""
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def _all(model):
    """What a training goes on with."""
    return [*model.trainable_variables, *model.optimizer.variables]


def _best(name):
    return f"{name}/weights/best.h5"
