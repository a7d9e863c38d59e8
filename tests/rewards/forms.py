"""What servers take and how they reply.

The fields are those that each server's documentation gives, llama.cpp's those
that its server sent; the values are made up.
"""

import math

_SHARED = {"model", "messages", "temperature", "max_tokens", "seed"}
_LISTED = {"logprobs", "top_logprobs"}


def _places(top, **more):
    """The log-probabilities of a reply of one token."""
    chosen = {"token": "7", "logprob": math.log(0.6), "bytes": [55]}
    other = {"token": "5", "logprob": math.log(0.3), "bytes": [53]}
    listed = [chosen | more, other | more][:top]
    return {"content": [{**chosen, **more, "top_logprobs": listed}]}


def _reply(message, logprobs=None, **choice):
    choice = {"index": 0, "finish_reason": "stop", **choice}
    message = {"role": "assistant", "content": "7", **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m",
        "choices": [{**choice, "message": message, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }


def _gemini():
    found = _reply({})
    del found["choices"][0]["logprobs"]
    return found


# Address, the header of the key, fields that are taken, a reply.
FORMS = {
    "vLLM": (
        "localhost:8000/v1/chat/completions",
        "Authorization",
        _SHARED | _LISTED | {"max_completion_tokens", "chat_template_kwargs"},
        _reply(
            {"reasoning_content": None, "tool_calls": []},
            _places(20),
            stop_reason=107,
        ),
    ),
    "SGLang": (
        "localhost:30000/v1/chat/completions",
        "Authorization",
        _SHARED | _LISTED | {"max_completion_tokens", "chat_template_kwargs"},
        _reply(
            {"reasoning_content": None, "tool_calls": None},
            _places(20),
            matched_stop=107,
        ),
    ),
    "llama.cpp": (
        "localhost:8080/v1/chat/completions",
        "Authorization",
        _SHARED | _LISTED | {"chat_template_kwargs"},
        _reply({}, _places(20, id=39)),
    ),
    "Ollama": (
        "localhost:11434/v1/chat/completions",
        "Authorization",
        _SHARED | _LISTED | {"reasoning_effort"},
        _reply({}, _places(20)),
    ),
    "OpenAI": (
        "api.openai.com/v1/chat/completions",
        "Authorization",
        (_SHARED - {"max_tokens"})
        | _LISTED
        | {"max_completion_tokens", "reasoning_effort"},
        _reply({"refusal": None, "annotations": []}, _places(20)),
    ),
    "Azure": (
        "NAME.openai.azure.com/openai/deployments/DEPLOYMENT/chat/completions"
        "?api-version=2024-10-21",
        "api-key",
        _SHARED | _LISTED,
        {
            **_reply({"refusal": None}, _places(20), content_filter_results={}),
            "prompt_filter_results": [],
        },
    ),
    "Gemini": (
        "generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        "Authorization",
        _SHARED | {"reasoning_effort"},
        _gemini(),
    ),
}
