"""Replies of a judge's server, for tests."""

import math


def listing(**probabilities):
    """`top_logprobs` of probabilities by token; `_7` is " 7"."""
    return [
        {"token": token.replace("_", " ").strip("n"), "logprob": math.log(p)}
        for token, p in probabilities.items()
    ]


def place(token, **probabilities):
    return {"token": token, "top_logprobs": listing(**probabilities)}


def silent(token):
    """A place without probabilities, as some servers send all but the first."""
    return {"token": token, "top_logprobs": None}


def reply(*places, text="7", **message):
    message["content"] = text
    choice = {"message": message, "logprobs": {"content": places}}
    return {"choices": [choice]}
