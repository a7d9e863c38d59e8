"""NumPy arrays as the bytes of a safetensors file, and back.

The format holds numbers and their shapes, nothing that could be run and no
way to another file.
"""

import json
from collections.abc import Iterable

import ml_dtypes
import numpy as np
import safetensors.numpy


def to_bytes(arrays: Iterable[np.ndarray]) -> bytes:
    """Arrays in order, bfloat16 among them."""
    tensors, kinds = {}, {}
    for number, array in enumerate(arrays):
        name = f"{number:05d}"
        kinds[name] = array.dtype.name
        # safetensors knows no NumPy type for it.
        plain = array.view("uint16") if kinds[name] == "bfloat16" else array
        tensors[name] = np.ascontiguousarray(plain).reshape(array.shape)
    return safetensors.numpy.save(tensors, kinds)


def from_bytes(data: bytes) -> list[np.ndarray] | None:
    """The list that `to_bytes` was given, None where the bytes hold none."""
    try:
        tensors = safetensors.numpy.load(data)
    # What it raises depends on where in a damaged file it stumbles.
    except Exception:
        return None
    kinds = _kinds(data)
    return [
        array.view(ml_dtypes.bfloat16)
        if kinds.get(name) == "bfloat16" and array.dtype == "uint16"
        else array
        for name, array in sorted(tensors.items())
    ]


def _kinds(data):
    """The types that `to_bytes` noted, of a file that was loaded."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__") or {}
