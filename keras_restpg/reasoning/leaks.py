"""What a teacher wrote: cleaned, and measured for what it gives away."""

import re
from collections.abc import Sequence

from keras_restpg import prompts
from keras_restpg.data.words import ngrams, words
from keras_restpg.records import Document, Example

# What chat models put around what they were asked for.
_TURN_END = re.compile(
    r"<end_of_turn>|<eos>|</s>|<\|(?:im_end|eot_id|end|endoftext|end_of_text)\|>"
)
_CONTROL = re.compile(
    r"<bos>|<pad>|<start_of_turn>(?:model|user)?\n?|<\|begin_of_text\|>"
    r"|<\|im_start\|>(?:assistant|user|system)?\n?"
    r"|<\|start_header_id\|>\w*<\|end_header_id\|>\n*"
    r"|^\s*(?:<s>|\[/?INST\])"
)
_FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.DOTALL)
_HEADING = re.compile(
    r"^(?:#+ *(?:your )?output:?[ \t]*\n"
    r"|\*\*(?:your )?output(?::\*\*|\*\*:)\s*)",
    re.IGNORECASE,
)
# "Sure!" alone, or a line that ends with a colon: sentences are kept.
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok|here(?:['’]s| is| are))\b"
    r"[^\n]*:|(?:sure(?: thing)?|certainly|of course|okay|ok)[.!])[ \t]*\n+",
    re.IGNORECASE,
)
# Its opening may have stood in the prompt, and its end may be missing.
_THOUGHT = re.compile(
    r"^\s*<think>.*?(?:</think>|\Z)|^(?:(?!<think>).)*?</think>", re.DOTALL
)


def clean(text: str) -> str:
    """A teacher's output without the artefacts of chat models.

    Control tokens as text, what follows the end of the turn, the thoughts
    that a reasoning model writes first, a code fence around it all, "Sure,
    here is …:" and a repeated heading. The sentences of Figure 8 are taken
    out too: an output is split at the first of them, so in a summary they
    would end it. What one removal joins, the next round finds.
    """
    before = None
    while text != before:
        before = text
        text = _CONTROL.sub("", _TURN_END.split(text, maxsplit=1)[0])
        text = _THOUGHT.sub("", text)
        text = text.partition(prompts.ANSWER_SENTENCE)[0]
        text = text.replace(prompts.SUMMARY_SENTENCE, "").strip()
        for pattern in (_PREAMBLE, _HEADING):
            text = pattern.sub("", text).strip()
        text = _FENCE.sub(r"\1", text).strip()
    return text


def copied_share(
    text: str, example: Example, documents: Sequence[Document], n: int = 5
) -> float:
    """How much of the expected output a summary gives away.

    Args:
        text: the summary.
        example: the `Example`.
        documents: the `Document`s that the summary is about.
        n: words in an n-gram; a shorter expected output counts whole.

    Returns:
        Of the expected output's distinct n-grams the share that `text`
        contains and no document does, from 0 to 1.
    """
    expected = words(example.expected)
    n = min(n, len(expected))
    if not n:
        return 0.0
    wanted = ngrams(expected, n)
    leaked = wanted & ngrams(words(text), n)
    for document in documents:
        leaked -= ngrams(words(document.text), n)
    return len(leaked) / len(wanted)
