"""Rewards: the judge of the paper, others, and what is done with them."""

from typing import TYPE_CHECKING

from keras_restpg._lazy import lazy

# Public name -> the file that holds it. Loaded on first use: the judge needs
# a backend, ROUGE does not.
_PUBLIC = {
    "Connection": "http_settings",
    "EmbeddingReward": "embedding",
    "FunctionReward": "combine",
    "HTTPJudge": "http",
    "Judgement": "reward",
    "LLMJudge": "judge",
    "MixReward": "combine",
    "Request": "http_settings",
    "Reward": "reward",
    "RougeReward": "overlap",
    "SteppedReward": "combine",
    "score_samples": "scoring",
}

# What type checkers and editors see.
if TYPE_CHECKING:
    from keras_restpg.rewards.combine import FunctionReward as FunctionReward
    from keras_restpg.rewards.combine import MixReward as MixReward
    from keras_restpg.rewards.combine import SteppedReward as SteppedReward
    from keras_restpg.rewards.embedding import (
        EmbeddingReward as EmbeddingReward,
    )
    from keras_restpg.rewards.http import HTTPJudge as HTTPJudge
    from keras_restpg.rewards.http_settings import Connection as Connection
    from keras_restpg.rewards.http_settings import Request as Request
    from keras_restpg.rewards.judge import LLMJudge as LLMJudge
    from keras_restpg.rewards.overlap import RougeReward as RougeReward
    from keras_restpg.rewards.reward import Judgement as Judgement
    from keras_restpg.rewards.reward import Reward as Reward
    from keras_restpg.rewards.scoring import score_samples as score_samples
else:
    __all__ = list(_PUBLIC)
    __getattr__, __dir__ = lazy(__name__, _PUBLIC)
