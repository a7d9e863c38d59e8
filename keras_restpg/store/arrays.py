"""NumPy arrays as the bytes of a safetensors file, and back.

The format holds numbers and their shapes, nothing that could be run and no
way to another file. Equal arrays make equal bytes.
"""

from collections.abc import Iterable

import ml_dtypes
import numpy as np
import safetensors.numpy

# safetensors knows no NumPy type for it: how the names of such arrays end.
_BFLOAT16 = ".bfloat16"


def to_bytes(arrays: Iterable[np.ndarray]) -> bytes:
    """Arrays in order, bfloat16 among them."""
    tensors = {}
    for number, array in enumerate(arrays):
        name, shape = f"{number:05d}", array.shape
        if array.dtype.name == "bfloat16":
            name, array = name + _BFLOAT16, array.view("uint16")
        tensors[name] = np.ascontiguousarray(array).reshape(shape)
    return safetensors.numpy.save(tensors)


def from_bytes(data: bytes) -> list[np.ndarray] | None:
    """The list that `to_bytes` was given, None where the bytes hold none."""
    try:
        tensors = safetensors.numpy.load(data)
        return [
            array.view(ml_dtypes.bfloat16)
            if name.endswith(_BFLOAT16)
            else array
            for name, array in sorted(tensors.items())
        ]
    # What it raises depends on where in a damaged file it stumbles.
    except Exception:
        return None
