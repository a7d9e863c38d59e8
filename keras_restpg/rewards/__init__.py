"""Rewards: the judge of the paper, others, and what is done with them."""

from keras_restpg._lazy import lazy

# Public name -> the file that holds it. Loaded on first use: the judge needs
# a backend, ROUGE does not.
_PUBLIC = {
    "EmbeddingReward": "embedding",
    "FunctionReward": "combine",
    "HTTPJudge": "http",
    "Judgement": "reward",
    "LLMJudge": "judge",
    "MixReward": "combine",
    "Reward": "reward",
    "RougeReward": "overlap",
    "SteppedReward": "combine",
    "score_samples": "scoring",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
