"""The synthetic world of the demo: a miniature of LongLaMP (world.py)."""

from keras_restpg.data.world.people import Settings
from keras_restpg.data.world.reward import ContentOverlap
from keras_restpg.data.world.world import World

__all__ = ["ContentOverlap", "Settings", "World"]
