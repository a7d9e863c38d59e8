"""The synthetic world of the demo: a miniature of LongLaMP (world.py)."""

from keras_restpg.demo.world.content_overlap import ContentOverlap
from keras_restpg.demo.world.people import Settings
from keras_restpg.demo.world.world import World

__all__ = ["ContentOverlap", "Settings", "World"]
