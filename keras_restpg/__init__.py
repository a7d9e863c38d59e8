"""REST-PG: reasoning-enhanced self-training for personalised text generation.

Teaches a small language model to reason over a user's past documents before
it writes for that user (arXiv:2501.04167), as a Keras 3 package.

Names load on first use, so that `import keras_restpg` and the command line
start without loading a backend.
"""

import importlib

from keras_restpg._version import __version__

# Public name -> the module that holds it.
_PUBLIC = {
    "Document": "records",
    "Example": "records",
    "InputError": "errors",
    "Reasoning": "records",
    "Sample": "records",
    "Score": "records",
    "ScoredSample": "records",
    "TrainingExample": "records",
}
_MODULES = ("data", "prompts", "records")

__all__ = [*_PUBLIC, *_MODULES, "__version__"]


def __getattr__(name):
    if name in _PUBLIC:
        module = importlib.import_module(f"keras_restpg.{_PUBLIC[name]}")
        return getattr(module, name)
    if name in _MODULES:
        return importlib.import_module(f"keras_restpg.{name}")
    raise AttributeError(f"module 'keras_restpg' has no attribute {name!r}")


def __dir__():
    return __all__
