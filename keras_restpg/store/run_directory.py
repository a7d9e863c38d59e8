"""The run directory.

    recipe.toml                     what was asked
    lock.json                       who runs it now
    state.json                      the stage that is reached
    base/                           the base of a model from scratch
    reasoning/                      shards of `Reasoning`
    sft/, iteration-1/, …           one folder a stage:
        samples/, scores-<name>/        shards (stages of self-training)
        validation.jsonl                scores of each validation
        weights/best.h5                 and last, with their checksums
    results/                        outputs and scores on the test split
    model/                          the trained model
    metrics.jsonl, seconds.json, report.html

What a stage computed holds for the settings and data that led to it, named by
a fingerprint in its folder. Where these change (another threshold or judge),
the stage's folder is moved aside, never deleted, and the stage begins anew;
stages before it stay.
"""

import json
import os
import tempfile

from keras_restpg.errors import InputError
from keras_restpg.run import recipe as recipes
from keras_restpg.store import arrays as hdf5
from keras_restpg.store import folders
from keras_restpg.store.files import Files, digest
from keras_restpg.store.lock import Lock
from keras_restpg.store.shards import Shards

# Settings that a run may be continued with after a change. A folder of data
# may have moved: what is computed is known by the examples in it.
MAY_CHANGE = ("iterations", "data.folder", "reward.", "selection.")
# What holds anything computed.
_COMPUTED = ("base", "reasoning", "sft", "iteration-")


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
                may not change once anything is computed; they are named.
        """
        self._lock = Lock(self.files).__enter__()
        try:
            self._check_recipe(recipe)
            folders.sweep(self.files)
            self.files.write("recipe.toml", recipe.to_toml().encode())
        except BaseException:
            self.close()
            raise
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
            fingerprint: short text; a folder with another one, or with
                files and none, is moved aside.
        """
        if self.claimed(folder) == fingerprint:
            return
        # Without a fingerprint nobody knows what its files were made from.
        if self.files.names(folder):
            number = 1
            while self.files.exists(f"{folder}.old-{number}"):
                number += 1
            self.files.move(folder, f"{folder}.old-{number}")
        self.files.write(f"{folder}/fingerprint", fingerprint.encode())

    def claimed(self, folder):
        """The fingerprint of a stage's folder, None where it has none."""
        found = self.files.read(f"{folder}/fingerprint")
        return None if found is None else found.decode("ascii", "replace")

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
        with (
            folders.writing(self.files, name),
            tempfile.TemporaryDirectory() as folder,
        ):
            path = os.path.join(folder, "x.weights.h5")
            model.save_weights(path)
            with open(path, "rb") as file:
                data = file.read()
        self.save_bytes(name, data)

    def load_weights(self, name, model):
        """Loads what `save_weights` saved.

        Returns:
            Whether there were sound weights to load.

        Raises:
            InputError: they are those of another model.
        """
        data = self.load_bytes(name)
        if data is None or not hdf5.is_plain(data):
            return False
        with (
            folders.writing(self.files, name),
            tempfile.TemporaryDirectory() as folder,
        ):
            path = os.path.join(folder, "x.weights.h5")
            with open(path, "wb") as file:
                file.write(data)
            self._load_keras(name, model, path)
        return True

    def save_arrays(self, name, arrays):
        """Saves NumPy arrays in order, as HDF5, compared after saving.

        Unlike Keras' own weights files it leaves LoRA's factors apart from
        the weights under them, and holds what is trained alone.

        Args:
            name: of the file.
            arrays: iterable of arrays; bfloat16 among them is fine.
        """
        self.save_bytes(name, hdf5.to_bytes(arrays))

    def load_arrays(self, name):
        """The list that `save_arrays` saved, None where it is not sound."""
        data = self.load_bytes(name)
        return None if data is None else hdf5.from_bytes(data)

    def save_bytes(self, name, data):
        """Saves bytes with their checksum beside, compared after saving.

        Raises:
            InputError: what was read back is not what was written.
        """
        self.files.write(name, data)
        if digest(self.files.read(name) or b"") != digest(data):
            raise InputError(f"{self.files.url}/{name} was not saved soundly.")
        self.files.write(f"{name}.sha256", digest(data).encode())

    def load_bytes(self, name):
        """What `save_bytes` saved, None where it is missing or damaged."""
        data, check = self.files.read(name), self.files.read(f"{name}.sha256")
        if data is None or check is None:
            return None
        return data if digest(data).encode() == check else None

    def save_folder(self, name, save):
        """Saves a folder, whole or not at all.

        Args:
            name: of the folder; an older one is replaced.
            save: called with the path of a new local folder, which it fills.

        Raises:
            InputError: the disk is full, or the folder can't be written.
        """
        folders.save(self.files, name, save)

    def folder(self, name):
        """The local path of what `save_folder` saved, None where there is none.

        What is remote is downloaded, and removed when the process ends.
        """
        return folders.load(self.files, name)

    def _load_keras(self, name, model, path):
        # Keras raises errors of many kinds where a file holds other names.
        try:
            model.load_weights(path)
        except Exception as error:
            raise InputError(
                f"{self.files.url}/{name} does not hold the weights of this "
                f"model ({type(error).__name__}). Remove it to have them made "
                "anew."
            ) from error

    def _check_recipe(self, recipe):
        old = self.recipe()
        if old is None or not self._holds_any():
            return
        changed = [
            name
            for name in old.difference(recipe)
            if not name.startswith(MAY_CHANGE)
        ]
        if changed:
            free = ", ".join(name.rstrip(".") for name in MAY_CHANGE)
            raise InputError(
                f"{self.files.url} holds a run with other settings: "
                f"{', '.join(changed)}. Give these the values in its "
                f"recipe.toml, or another --out. May be changed: {free}."
            )

    def _holds_any(self):
        """Whether anything was computed here."""
        return self.files.exists("state.json") or any(
            self.files.names(name)
            for name in self.files.names()
            if name.startswith(_COMPUTED)
        )
