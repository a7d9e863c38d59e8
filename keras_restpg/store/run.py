"""The run directory.

    recipe.toml                     what was asked
    state.json                      the stage that is reached
    reasoning/                      shards of `Reasoning`
    sft/, iteration-1/, …           one folder a stage:
        samples/, scores-<name>/        shards (stages of self-training)
        validation.jsonl                scores of each validation
        weights/best.h5                 and last, with their checksums
    results/                        outputs and scores on the test split
    metrics.jsonl, report.html

What a stage computed holds for the settings and data that led to it, named by
a fingerprint in its folder. Where these change (another threshold or judge),
the stage's folder is moved aside, never deleted, and the stage begins anew;
stages before it stay.
"""

import io
import json
import os
import tempfile

import h5py
import ml_dtypes
import numpy as np

from keras_restpg import recipe as recipes
from keras_restpg.errors import InputError
from keras_restpg.store.files import Files, digest
from keras_restpg.store.lock import Lock
from keras_restpg.store.shards import Shards

# Settings that a run may be continued with after a change.
MAY_CHANGE = ("iterations", "reward.", "selection.")


class RunDirectory:
    """A run's files, held by one process between `open` and `close`.

    Args:
        url: local path, or URL that fsspec knows.
    """

    def __init__(self, url):
        self.files = Files(url)
        self._lock = None

    def open(self, recipe):
        """Begins a run, or continues one with the same recipe.

        Raises:
            InputError: another process runs here, or settings differ that
                may not change; they are named.
        """
        self._lock = Lock(self.files).__enter__()
        try:
            self._check_recipe(recipe)
        except BaseException:
            self.close()
            raise
        self.files.write("recipe.toml", recipe.to_toml().encode())
        return self

    def close(self):
        if self._lock is not None:
            self._lock.__exit__()
            self._lock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def recipe(self):
        """The `Recipe` of the run, or None where there is no run.

        Raises:
            InputError: `recipe.toml` does not hold one.
        """
        data = self.files.read("recipe.toml")
        if data is None:
            return None
        return recipes.loads(data, f"{self.files.url}/recipe.toml")

    def shards(self, folder, cls):
        return Shards(self.files, folder, cls)

    def stage(self, folder, fingerprint):
        """Claims a stage's folder for what its outcome depends on.

        Args:
            folder: such as `"iteration-1/samples"`.
            fingerprint: short text; a folder of another one is moved aside.
        """
        name = f"{folder}/fingerprint"
        found = self.files.read(name)
        if (
            found is not None
            and found.decode("ascii", "replace") == fingerprint
        ):
            return
        if found is not None:
            number = 1
            while self.files.exists(f"{folder}.old-{number}"):
                number += 1
            self.files.move(folder, f"{folder}.old-{number}")
        self.files.write(name, fingerprint.encode())

    def read_json(self, name, default=None):
        """A JSON file's value, or `default` where it is not there.

        Raises:
            InputError: it is not JSON.
        """
        data = self.files.read(name)
        if data is None:
            return default
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise InputError(
                f"{self.files.url}/{name} is damaged: not JSON. Remove it to "
                "have its stage done anew."
            ) from None

    def write_json(self, name, value):
        self.files.write(name, json.dumps(value, indent=1).encode())

    def log(self, name, value):
        """Adds a line to a JSONL file."""
        self.files.append(name, json.dumps(value).encode())

    def read_log(self, name):
        """The whole lines of a JSONL file; damaged ones are left out."""
        values = []
        for line in (self.files.read(name) or b"").split(b"\n")[:-1]:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
        return values

    def save_weights(self, name, model):
        """Saves a Keras model's weights, compared after saving.

        Args:
            name: ends in `.weights.h5`.
            model: what is saved: `save_weights`, `load_weights`, `weights`.

        Raises:
            InputError: what was read back is not what was written.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.weights.h5")
            model.save_weights(path)
            with open(path, "rb") as file:
                data = file.read()
        self._save(name, data)

    def load_weights(self, name, model):
        """Loads what `save_weights` saved.

        Returns:
            Whether there were sound weights to load.
        """
        data = self._sound(name)
        if data is None:
            return False
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.weights.h5")
            with open(path, "wb") as file:
                file.write(data)
            model.load_weights(path)
        return True

    def save_arrays(self, name, arrays):
        """Saves NumPy arrays in order, as HDF5, compared after saving.

        Unlike Keras' own weights files it leaves LoRA's factors apart from
        the weights under them, and holds what is trained alone.

        Args:
            name: of the file.
            arrays: iterable of arrays; bfloat16 among them is fine.
        """
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            for number, array in enumerate(arrays):
                kind = array.dtype.name
                if kind == "bfloat16":  # HDF5 does not know it.
                    array = array.view("uint16")
                file[f"{number:05d}"] = array
                file[f"{number:05d}"].attrs["dtype"] = kind
        self._save(name, buffer.getvalue())

    def load_arrays(self, name):
        """The list that `save_arrays` saved, None where it is not sound."""
        data = self._sound(name)
        if data is None:
            return None
        with h5py.File(io.BytesIO(data), "r") as file:
            return [
                np.array(file[key]).view(
                    ml_dtypes.bfloat16
                    if file[key].attrs["dtype"] == "bfloat16"
                    else file[key].dtype
                )
                for key in sorted(file)
            ]

    def _save(self, name, data):
        self.files.write(name, data)
        if digest(self.files.read(name) or b"") != digest(data):
            raise InputError(f"{self.files.url}/{name} was not saved soundly.")
        self.files.write(f"{name}.sha256", digest(data).encode())

    def _sound(self, name):
        """A file's bytes, None where it is missing or damaged."""
        data, check = self.files.read(name), self.files.read(f"{name}.sha256")
        if data is None or check is None:
            return None
        return data if digest(data).encode() == check else None

    def _check_recipe(self, recipe):
        old = self.recipe()
        if old is None:
            return
        changed = [
            name
            for name in old.difference(recipe)
            if not name.startswith(MAY_CHANGE)
        ]
        if changed:
            raise InputError(
                f"{self.files.url} holds a run with other settings: "
                f"{', '.join(changed)}. Give these the values in its "
                "recipe.toml, or another --out. May be changed: "
                f"{', '.join(MAY_CHANGE)}."
            )
