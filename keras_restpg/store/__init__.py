"""The run directory: what is computed once is never lost."""

from keras_restpg.store.files import Files
from keras_restpg.store.lock import Lock
from keras_restpg.store.run_directory import RunDirectory
from keras_restpg.store.shards import Shards

__all__ = ["Files", "Lock", "RunDirectory", "Shards"]
