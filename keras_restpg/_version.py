"""The version, alone in a file so that setup needs no other import."""

__version__ = "0.1.0"
