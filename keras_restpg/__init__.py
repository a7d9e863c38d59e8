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
    "BM25": "retrieval",
    "Contriever": "retrieval",
    "DenseRetriever": "retrieval",
    "Document": "records",
    "Example": "records",
    "InputError": "errors",
    "LLMJudge": "rewards",
    "PersonalizedWriter": "writer",
    "Progress": "progress",
    "Reasoning": "records",
    "Recipe": "recipe",
    "RestPG": "run",
    "RewardWeightedLM": "training.model",
    "RougeReward": "rewards",
    "RunDirectory": "store",
    "Sample": "records",
    "Sampling": "model.engine",
    "SamplingEngine": "model.engine",
    "Score": "records",
    "ScoredSample": "records",
    "SelfTrainingCallback": "training.callback",
    "TrainingExample": "records",
    "algorithm_1": "algorithm",
    "paper_optimizer": "training.optimizer",
}
_MODULES = (
    "data",
    "prompts",
    "reasoning",
    "records",
    "retrieval",
    "rewards",
)

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
