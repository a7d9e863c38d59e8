"""Rewards: the judge of the paper, others, and what is done with them."""

import importlib

# Public name -> the file that holds it. Loaded on first use: the judge needs
# a backend, ROUGE does not.
_PUBLIC = {
    "Diagnostics": "diagnostics",
    "EmbeddingReward": "embedding",
    "FunctionReward": "combine",
    "HTTPJudge": "http",
    "Judgement": "reward",
    "LLMJudge": "judge",
    "MixReward": "combine",
    "Reward": "reward",
    "RougeReward": "overlap",
    "SteppedReward": "combine",
    "diagnose": "diagnostics",
    "score_samples": "scoring",
    "select": "selection",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    return getattr(module, name)


def __dir__():
    return __all__
