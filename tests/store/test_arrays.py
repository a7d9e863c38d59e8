import ml_dtypes
import numpy as np
import pytest

from keras_restpg.store.arrays import from_bytes, to_bytes

ARRAYS = [
    np.arange(6, dtype="float32").reshape(2, 3),
    np.array(3, "int32"),
    np.array([1.5, -2.0], ml_dtypes.bfloat16),
    np.zeros((0, 4), "float16"),
    np.arange(12, dtype="int8").reshape(3, 4).T,
    np.array([True, False]),
]


def test_arrays_come_back_bit_for_bit_in_their_order():
    found = from_bytes(to_bytes(ARRAYS * 20))
    assert len(found) == 120
    for ours, theirs in zip(found, ARRAYS * 20, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)


def test_equal_arrays_make_equal_bytes():
    assert to_bytes(ARRAYS) == to_bytes([array.copy() for array in ARRAYS])


def test_no_arrays_are_a_list_too():
    assert from_bytes(to_bytes([])) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"\x00" * 8, b"\xff" * 64, to_bytes(ARRAYS)[:-1]],
)
def test_what_is_no_arrays_is_none(data):
    assert from_bytes(data) is None
