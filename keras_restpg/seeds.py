"""Random draws that a seed and names decide, and nothing else.

Neither the order of the work nor the number of processes or devices changes
them. Names are joined by slashes: `draw(7, "ann")` is that of "7/ann".
"""

import hashlib

import numpy as np


def draw(*names: object) -> bytes:
    """32 random bytes, to order by or to make a number of."""
    return hashlib.sha256(_joined(names)).digest()


def generator(*names: object) -> np.random.Generator:
    """A NumPy generator of the names' own stream.

    Numbers alone are a seed as NumPy takes them; with a text among them, a
    digest keys a counter-based generator.
    """
    numbers = [int(n) for n in names if isinstance(n, int | np.integer)]
    if len(numbers) == len(names):
        return np.random.default_rng(numbers)
    key = hashlib.blake2b(_joined(names), digest_size=16).digest()
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(key, "little"))
    )


def _joined(names):
    return "/".join(map(str, names)).encode("utf-8", "surrogatepass")
