"""The run directory.

    recipe.toml                     what was asked, where there is a recipe
    run.json                        settings, parts and environment, as they are
    lock.json                       who runs it now
    state.json                      the stage that is reached
    base/                           the weights that every stage starts from
    reasoning/                      shards of `Reasoning`
    sft/, iteration-1/, …           a folder for each stage (`stage.py`):
        samples/, scores-<reward>/      shards (stages of self-training)
        weights/                        the best weights and the last
        test/                           the same of the test split
    model/                          the trained model
    metrics.jsonl, seconds.json, table.json, report.html

What is computed holds for the inputs that led to it. A folder's `inputs.json`
names them; where they change (another threshold, another optimizer), the
folder is moved aside, never deleted, and what it held is computed again;
what does not depend on the change stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_restpg._types import Json, Path
from keras_restpg.errors import InputError
from keras_restpg.identity import digest as digest_json
from keras_restpg.records import Record
from keras_restpg.store import arrays as safetensors
from keras_restpg.store import folders
from keras_restpg.store.files import Files, digest
from keras_restpg.store.lock import Lock
from keras_restpg.store.shards import Shards

if TYPE_CHECKING:
    import keras

_INPUTS = "inputs.json"


class RunDirectory:
    """A run's files, held by one process between `open` and `close`.

    Args:
        url: local path, or URL that fsspec knows.
    """

    def __init__(self, url: Path) -> None:
        self.files = Files(url)
        self._lock = None

    def open(self) -> Self:
        """Holds the directory for this process.

        Raises:
            InputError: another process runs here.
        """
        self._lock = Lock(self.files).__enter__()
        try:
            folders.sweep(self.files)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        if self._lock is not None:
            self._lock.__exit__()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shards(self, folder: str, cls: type[Record]) -> Shards[Record]:
        """The `Shards` of a folder, for the inputs that it was claimed for."""
        return Shards(self.files, folder, cls, self.claimed(folder) or "")

    def claim(self, folder: str, inputs: Mapping[str, Json]) -> list[str]:
        """Gives a folder to what is computed from `inputs`.

        A folder that was computed from others, or from nobody knows what, is
        moved aside.

        Args:
            folder: such as `"iteration-1/samples"`.
            inputs: JSON values, `{what: value}`.

        Returns:
            What has changed since the folder was filled, a list of names of
            inputs; empty where it holds, or held nothing.
        """
        before = self.inputs(folder)
        if before == inputs:
            return []
        changed = []
        # Without its inputs nobody knows what its files were made from.
        if self.files.names(folder):
            names = [*inputs, *(name for name in before if name not in inputs)]
            changed = [n for n in names if before.get(n) != inputs.get(n)]
            number = 1
            while self.files.exists(f"{folder}.old-{number}"):
                number += 1
            self.files.move(folder, f"{folder}.old-{number}")
        self.write_json(f"{folder}/{_INPUTS}", inputs)
        return changed

    def inputs(self, folder: str) -> dict[str, Json]:
        """What a folder was claimed for; empty where nobody knows."""
        try:
            found = self.read_json(f"{folder}/{_INPUTS}", {})
        except InputError:
            return {}
        return found if isinstance(found, dict) else {}

    def claimed(self, folder: str) -> str | None:
        """The fingerprint of a folder's inputs, None where it has none."""
        found = self.inputs(folder)
        return digest_json(found) if found else None

    def read_json(self, name: str, default: Json = None) -> Json:
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

    def noted(self) -> dict[str, Json]:
        """What `run.json` says, a dict; empty where it is damaged."""
        try:
            found = self.read_json("run.json", {})
        except InputError:
            return {}
        return found if isinstance(found, dict) else {}

    def write_json(self, name: str, value: Json) -> None:
        self.files.write(name, json.dumps(value, indent=1).encode())

    def log(self, name: str, value: Json) -> None:
        """Adds a line to a JSONL file."""
        self.files.append(name, json.dumps(value).encode())

    def read_log(self, name: str) -> list[Json]:
        """The whole lines of a JSONL file; damaged ones are left out."""
        values = []
        for line in (self.files.read(name) or b"").split(b"\n")[:-1]:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
        return values

    def save_weights(self, name: str, model: keras.Model) -> None:
        """Saves all weights of a Keras model, compared after saving."""
        self.save_arrays(name, [np.asarray(w) for w in _values(model)])

    def load_weights(self, name: str, model: keras.Model) -> bool:
        """Loads what `save_weights` saved.

        Returns:
            Whether there were sound weights to load.

        Raises:
            InputError: they are those of another model.
        """
        arrays = self.load_arrays(name)
        if arrays is None:
            return False
        fit_into(model.weights, arrays, f"{self.files.url}/{name}")
        return True

    def save_arrays(
        self, name: str, arrays: Iterable[np.ndarray], noted: bool = True
    ) -> str:
        """Saves NumPy arrays in order, compared after saving.

        Unlike Keras' own weights files these leave LoRA's factors apart from
        the weights under them, and hold what is trained alone.

        Args:
            name: of the file.
            arrays: iterable of arrays; bfloat16 among them is fine.
            noted: as for `save_bytes`.

        Returns:
            The checksum of its bytes.
        """
        return self.save_bytes(name, safetensors.to_bytes(arrays), noted)

    def load_arrays(
        self, name: str, checksum: str | None = None
    ) -> list[np.ndarray] | None:
        """The list that `save_arrays` saved, None where it is not sound.

        Args:
            name: of the file.
            checksum: what `save_arrays` returned; None: as is noted beside
                the file.
        """
        data = self.load_bytes(name, checksum)
        return None if data is None else safetensors.from_bytes(data)

    def save_bytes(self, name: str, data: bytes, noted: bool = True) -> str:
        """Saves bytes, compared after saving.

        Args:
            name: of the file.
            data: bytes.
            noted: whether their checksum is written beside them; False where
                the caller keeps it.

        Returns:
            The checksum, which is of the bytes and of the place: a file of
            another place, or made from other inputs, does not have it.

        Raises:
            InputError: what was read back is not what was written.
        """
        checksum = self._checksum(name, data)
        self.files.write(name, data)
        if self._checksum(name, self.files.read(name) or b"") != checksum:
            raise InputError(f"{self.files.url}/{name} was not saved soundly.")
        if noted:
            self.files.write(f"{name}.sha256", checksum.encode())
        return checksum

    def load_bytes(
        self, name: str, checksum: str | None = None
    ) -> bytes | None:
        """What `save_bytes` saved, None where it is missing, damaged or not
        of this place and these inputs."""
        data = self.files.read(name)
        noted = self.files.read(f"{name}.sha256") or b""
        wanted = (
            noted.decode("ascii", "replace") if checksum is None else checksum
        )
        if data is None or self._checksum(name, data) != wanted:
            return None
        return data

    def _checksum(self, name, data):
        folder = name.rpartition("/")[0]
        return digest(data, name, self.claimed(folder) or "")

    def save_folder(self, name: str, save: Callable[[str], Any]) -> None:
        """Saves a folder, whole or not at all.

        Args:
            name: of the folder; an older one is replaced.
            save: called with the path of a new local folder, which it fills.

        Raises:
            InputError: the disk is full, or the folder can't be written.
        """
        folders.save(self.files, name, save)

    def folder(self, name: str) -> str | None:
        """The local path of what `save_folder` saved, None where there is none.

        What is remote is downloaded, and removed when the process ends.
        """
        return folders.load(self.files, name)


def fit_into(
    variables: Iterable[keras.Variable],
    arrays: Sequence[np.ndarray],
    where: str,
) -> None:
    """Assigns arrays to Keras variables.

    Raises:
        InputError: their shapes are those of another model.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in arrays] != shapes:
        raise InputError(
            f"{where} does not hold the weights of this model. Remove it to "
            "have them made anew."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _values(model):
    from keras import ops

    return [ops.convert_to_numpy(weight.value) for weight in model.weights]
