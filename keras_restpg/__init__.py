"""REST-PG: reasoning-enhanced self-training for personalised text generation.

Teaches a small language model to reason over a user's past documents before
it writes for that user (arXiv:2501.04167), as a Keras 3 package.

Names load on first use, so that `import keras_restpg` and the command line
start without loading a backend.
"""

from typing import TYPE_CHECKING

from keras_restpg._lazy import lazy
from keras_restpg._version import __version__ as __version__

# Public name -> the module that holds it; rooms are modules themselves.
_PUBLIC = {
    "BM25": "retrieval",
    "Contriever": "retrieval",
    "DenseRetriever": "retrieval",
    "Document": "records",
    "Example": "records",
    "GemmaParallel": "backend.layout",
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

# What type checkers and editors see.
if TYPE_CHECKING:
    from keras_restpg import data as data
    from keras_restpg import evaluation as evaluation
    from keras_restpg import prompts as prompts
    from keras_restpg import reasoning as reasoning
    from keras_restpg import records as records
    from keras_restpg import retrieval as retrieval
    from keras_restpg import rewards as rewards
    from keras_restpg.backend.layout import GemmaParallel as GemmaParallel
    from keras_restpg.errors import InputError as InputError
    from keras_restpg.identity import named as named
    from keras_restpg.model.engine import Sampling as Sampling
    from keras_restpg.model.engine import SamplingEngine as SamplingEngine
    from keras_restpg.progress import Progress as Progress
    from keras_restpg.records import Document as Document
    from keras_restpg.records import Example as Example
    from keras_restpg.records import Reasoning as Reasoning
    from keras_restpg.records import Sample as Sample
    from keras_restpg.records import Score as Score
    from keras_restpg.records import ScoredSample as ScoredSample
    from keras_restpg.records import TrainingExample as TrainingExample
    from keras_restpg.retrieval import BM25 as BM25
    from keras_restpg.retrieval import Contriever as Contriever
    from keras_restpg.retrieval import DenseRetriever as DenseRetriever
    from keras_restpg.rewards import LLMJudge as LLMJudge
    from keras_restpg.rewards import RougeReward as RougeReward
    from keras_restpg.run.recipe import Recipe as Recipe
    from keras_restpg.run.rest_pg import RestPG as RestPG
    from keras_restpg.run.writer import PersonalizedWriter as PersonalizedWriter
    from keras_restpg.self_training.algorithm import algorithm_1 as algorithm_1
    from keras_restpg.self_training.callback import (
        SelfTrainingCallback as SelfTrainingCallback,
    )
    from keras_restpg.settings import Settings as Settings
    from keras_restpg.store import RunDirectory as RunDirectory
    from keras_restpg.training.model import RewardWeightedLM as RewardWeightedLM
    from keras_restpg.training.optimizer import (
        paper_optimizer as paper_optimizer,
    )
else:
    __all__ = [*_PUBLIC, "__version__"]
    __getattr__, __dir__ = lazy(__name__, _PUBLIC)
