import io

import h5py
import numpy as np
import pytest

from keras_restpg.store.arrays import from_bytes, is_plain, to_bytes


def hdf5(fill):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def plain(file, name="00000", value=None):
    file[name] = np.arange(3.0) if value is None else value
    file[name].attrs["dtype"] = file[name].dtype.name


def other_dtype(file):
    plain(file)
    file["00000"].attrs["dtype"] = "int64"


def no_attribute(file):
    file["00000"] = np.arange(3.0)


def odd_attribute(file):
    plain(file)
    file["00000"].attrs["dtype"] = np.zeros((2, 2))


def external_link(file):
    plain(file)
    file["00001"] = h5py.ExternalLink("/etc/secret.h5", "/x")


def soft_link(file):
    plain(file)
    file["00001"] = h5py.SoftLink("/00000")


def external_storage(file):
    file.create_dataset(
        "00000", (4,), "uint8", external=[("/etc/hostname", 0, 4)]
    )
    file["00000"].attrs["dtype"] = "uint8"


def virtual(file):
    layout = h5py.VirtualLayout((4,), "uint8")
    layout[:] = h5py.VirtualSource("/etc/secret.h5", "x", (4,))
    file.create_virtual_dataset("00000", layout)
    file["00000"].attrs["dtype"] = "uint8"


def group(file):
    plain(file, "00000/inner")


def huge(file):
    file.create_dataset("00000", (2**40,), "uint8")
    file["00000"].attrs["dtype"] = "uint8"


def packed(file):
    zeros = np.zeros(2**20, "uint8")
    file.create_dataset("00000", data=zeros, compression="gzip")
    file["00000"].attrs["dtype"] = "uint8"


def many_names(file):
    plain(file, value=np.arange(2.0**12))
    for number in range(1, 20):
        file[f"{number:05d}"] = file["00000"]


def text(file):
    file["00000"] = "text"
    file["00000"].attrs["dtype"] = "object"


@pytest.mark.parametrize(
    "fill",
    [
        other_dtype,
        no_attribute,
        odd_attribute,
        external_link,
        soft_link,
        external_storage,
        virtual,
        group,
        huge,
        packed,
        many_names,
        text,
    ],
)
def test_what_is_not_plain_numbers_in_the_file_is_not_sound(fill):
    assert from_bytes(hdf5(plain)) is not None
    assert from_bytes(hdf5(fill)) is None


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\x89HDF\r\n\x1a\n" + b"x" * 99]
)
def test_what_is_not_hdf5_is_not_sound(data):
    assert from_bytes(data) is None
    assert not is_plain(data)


@pytest.mark.parametrize(
    "fill", [external_link, soft_link, external_storage, virtual]
)
def test_files_that_lead_elsewhere_are_not_plain(fill):
    assert is_plain(hdf5(group)) and is_plain(hdf5(packed))
    assert not is_plain(hdf5(fill))


def test_an_empty_list_comes_back():
    assert from_bytes(to_bytes([])) == []
