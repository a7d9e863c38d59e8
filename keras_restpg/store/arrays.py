"""NumPy arrays as the bytes of an HDF5 file, and back.

HDF5 can name other files as the place of its data. What is read back may come
from elsewhere, so only data that lies in the bytes themselves is accepted.
"""

import io

import h5py
import ml_dtypes
import numpy as np


def to_bytes(arrays):
    """Arrays in order, bfloat16 among them, as HDF5."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for number, array in enumerate(arrays):
            kind = array.dtype.name
            if kind == "bfloat16":  # HDF5 does not know it.
                array = array.view("uint16")
            file[f"{number:05d}"] = array
            file[f"{number:05d}"].attrs["dtype"] = kind
    return buffer.getvalue()


def from_bytes(data):
    """The list that `to_bytes` was given, None where the bytes hold none."""
    # What HDF5 raises depends on where in a damaged file it stumbles.
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            datasets = _datasets(file)
            # All of them together: one may stand in a file many times.
            if sum(each.nbytes for each in datasets) > len(data):
                return None
            return [_array(dataset) for dataset in datasets]
    except Exception:
        return None


def is_plain(data):
    """Whether HDF5 bytes lead to no other file, as weights from Keras."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            links, sound = [], []
            file.visititems_links(lambda name, link: links.append(link))
            file.visititems(lambda name, item: sound.append(_is_inside(item)))
            return all(sound) and all(map(_is_hard, links))
    except Exception:
        return False


def _datasets(file):
    """All that is in a file, in order of the names."""
    names = sorted(file)
    if not all(_is_hard(file.get(name, getlink=True)) for name in names):
        raise ValueError("a link")
    found = [file[name] for name in names]
    for each in found:
        if not isinstance(each, h5py.Dataset) or not _is_inside(each):
            raise ValueError("not a dataset with its data inside")
        # Packed data could fill the memory.
        if each.chunks is not None or each.dtype.kind not in "biuf":
            raise ValueError("not plain numbers")
    return found


def _is_hard(link):
    return type(link) is h5py.HardLink


def _is_inside(item):
    if not isinstance(item, h5py.Dataset):
        return True
    return item.external is None and not item.is_virtual


def _array(dataset):
    kind = dataset.attrs["dtype"]
    array = np.array(dataset)
    if kind == "bfloat16" and array.dtype == "uint16":
        return array.view(ml_dtypes.bfloat16)
    if kind != array.dtype.name:
        raise ValueError("another type than it says")
    return array
