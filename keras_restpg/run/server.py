"""The judge on a server that a recipe's `[reward]` describes."""

import dataclasses
import os
from typing import Any

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.rewards.http import HTTPJudge
from keras_restpg.rewards.http_settings import Connection, Request

# Environment variable with the key that a judge's server asks for.
API_KEY = "KERAS_RESTPG_API_KEY"


def http_judge(settings: Any, cache: Path | None = None) -> HTTPJudge:
    """An `HTTPJudge`.

    Args:
        settings: the section `reward` of a `Recipe`.
        cache: path of the file that keeps replies; None: in memory.

    Raises:
        InputError: no address or model, or an address that is none.
    """
    if not settings.url or not settings.model:
        raise InputError(
            "reward.kind 'http' needs reward.url, the server's address, and "
            "reward.model, the model's name there."
        )
    return HTTPJudge(
        settings.url,
        settings.model,
        api_key=os.environ.get(API_KEY),
        request=_part(Request, settings),
        connection=_part(Connection, settings),
        cache=cache,
    )


def _part(cls, settings):
    """A dataclass of those settings that are its fields."""
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: getattr(settings, name) for name in names})
