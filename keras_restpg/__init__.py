"""REST-PG: reasoning-enhanced self-training for personalised text generation.

Teaches a small language model to reason over a user's past documents before
it writes for that user (arXiv:2501.04167), as a Keras 3 package.

Names load on first use, so that `import keras_restpg` and the command line
start without loading a backend.
"""

from keras_restpg._lazy import lazy
from keras_restpg._version import __version__

# Public name -> the module that holds it; rooms are modules themselves.
_PUBLIC = {
    "BM25": "retrieval",
    "Contriever": "retrieval",
    "DenseRetriever": "retrieval",
    "Document": "records",
    "Example": "records",
    "InputError": "errors",
    "LLMJudge": "rewards",
    "PersonalizedWriter": "run.writer",
    "Progress": "progress",
    "Reasoning": "records",
    "Recipe": "run.recipe",
    "RestPG": "run.rest_pg",
    "RewardWeightedLM": "training.model",
    "RougeReward": "rewards",
    "RunDirectory": "store",
    "Sample": "records",
    "Sampling": "model.engine",
    "SamplingEngine": "model.engine",
    "Score": "records",
    "ScoredSample": "records",
    "SelfTrainingCallback": "self_training.callback",
    "TrainingExample": "records",
    "Settings": "settings",
    "algorithm_1": "self_training.algorithm",
    "named": "identity",
    "paper_optimizer": "training.optimizer",
    "data": "data",
    "evaluation": "evaluation",
    "prompts": "prompts",
    "reasoning": "reasoning",
    "records": "records",
    "retrieval": "retrieval",
    "rewards": "rewards",
}

__all__ = [*_PUBLIC, "__version__"]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
