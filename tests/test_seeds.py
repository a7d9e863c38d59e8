import hashlib

import numpy as np

from keras_restpg import seeds


def test_a_draw_is_that_of_the_names_and_slashes():
    assert seeds.draw(7, "ann") == hashlib.sha256(b"7/ann").digest()
    assert seeds.draw(7, "ann") != seeds.draw(8, "ann")
    # Users' names may be no UTF-8.
    assert len(seeds.draw(7, "\ud800")) == 32


def test_streams_are_known_numbers():
    """They make what earlier runs made: a change would be one of all runs."""
    named = seeds.generator("0/1", "a", 2).integers(1000, size=4)
    numbered = seeds.generator(0, 1).integers(1000, size=4)
    assert named.tolist() == [754, 324, 616, 748]
    assert (
        numbered.tolist()
        == np.random.default_rng([0, 1]).integers(1000, size=4).tolist()
    )
    again = seeds.generator(np.int64(0), 1).integers(1000, size=4)
    assert again.tolist() == numbered.tolist()
