"""The templates of Figures 6, 7 and 8, and finding the answer in an output.

Templates are filled by replacing each `{name}` once, never by `str.format`:
users' texts contain braces, and a text that holds `{expected}` must stay as
it is.
"""

import re
from collections.abc import Callable, Sequence

from keras_restpg.errors import InputError

# Figure 8. The two sentences about summarising are what the methods without
# reasoning (SFT, ReST-EM) leave out.
_CONTEXT = (
    "The following context is written by a specific user. Please use the "
    "following context to generate a personalized response to the "
    "instruction. your response should follow the same pattern in terms of "
    "preferences and writing style in the provided context."
)
_SUMMARIZE = (
    " You should first summarize the writing style of the user based on the "
    "provided context. Then, you should use the summarized writing style to "
    "generate a response to the instruction."
)
_FIELDS = "\n\ninstruction: {prompt}\n\ncontext: {documents}\n\nanswer:"

PLAIN_PROMPT = _CONTEXT + _FIELDS
REASONING_PROMPT = _CONTEXT + _SUMMARIZE + _FIELDS

SUMMARY_SENTENCE = (
    "To summarize the writing style of the user, we can consider the "
    "following aspects:"
)
ANSWER_SENTENCE = (
    "Now, considering the style summary, we can generate the final answer:"
)
REASONING_OUTPUT = (
    SUMMARY_SENTENCE + "\n\n{reasoning}\n\n" + ANSWER_SENTENCE + " {answer}"
)

# Figure 6.
JUDGE_PROMPT = """\
You are a helpful assistant. Please act as an impartial judge and evaluate the \
quality of the response provided by an AI assistant to the user instruction \
displayed below. Based on the scoring criteria, given the instruction, please \
provide a score of the AI assistant's answer compared to the ground truth. Be \
as objective as possible.

[Scoring Criteria]:

Score 1: The answer is completely unrelated to the reference.
Score 3: The answer has minor relevance but does not align with the reference.
Score 5: The answer has moderate relevance but contains inaccuracies.
Score 7: The answer aligns with the reference but has minor omissions.
Score 10: The answer is completely accurate and aligns perfectly with the \
reference.

[Instruction]: {prompt}
[Ground truth]: {expected}
[AI assistant's Answer]: {answer}

[Score]:"""

# Figure 7, with "profile" where the drawing has "proile".
TEACHER_PROMPT = """\
# Your role:
You are a professional writing assistant whose task is to summarize the \
writing style of a user from the profile, which is past documents written by \
that user. The extracted writing style summary should contain the unique \
features of users writing style and preferences from the profile that are \
similar to the expected output.

# You task:

Your task is to summarize the user writing style from the profile considering \
the expected output. From the profile, you may infer the user's interests, \
preference, familiarity on various topics, etc. While inferring the user's \
interests, you can make reasonable guesses, e.g. people who are interested in \
topic A are also likely to be interested in topic B or if they write a \
sentence in a specific writing style on topic A it is likely they write it \
with the same style on topic B. As a concrete example, if a user writes "I am \
interested in action movies" in its past document, this is relevant to "I like \
to go to cinema" in the expected output. Another example would be if a person \
prefers specific words or phrases in their writing or using a specific \
grammar. You can also mention such words that they often use in your summary.

# Your input:
  - profile: the past documents written by the same person that are separated \
with | symbol.
  - subject: the subject for the expected output
  - expected output: the expected output written by  the same person as the \
past documents.


# Your output:

a list of bullet points and explanations describing writing style of the user. \
Also, make sure that you only talk about information from the profile while \
considering the expected output in writing style summarization. You cannot \
directly copy or mention anything about the expected output. The expected \
output is only used to determine the writing style of the user and how profile \
can affect the expected output.

# Examples

## profile:
{documents}

## subject:
{prompt}

## expected output:
{expected}

## Your output:
"""

SEPARATOR = "|"


def fill(template: str, **values: str) -> str:
    """`template` with each `{name}` replaced, in one pass."""
    pattern = "|".join(r"\{" + re.escape(name) + r"\}" for name in values)
    return re.sub(pattern, lambda m: values[m.group()[1:-1]], template)


def personalized_prompt(
    prompt: str, documents: Sequence[str], reasoning: bool, connector: str = ""
) -> str:
    """The model's input, of Figure 8 or as LongLaMP's own code has it.

    Args:
        prompt: the instruction x.
        documents: the texts of the retrieved documents, best first.
        reasoning: whether the model is asked to summarise first.
        connector: LongLaMP's words between documents and instruction; empty:
            the prompt of Figure 8.
    """
    if connector:
        context = ", and ".join(documents) + connector if documents else ""
        return context + prompt + (_SUMMARIZE if reasoning else "")
    return fill(
        REASONING_PROMPT if reasoning else PLAIN_PROMPT,
        prompt=prompt,
        documents=SEPARATOR.join(documents),
    )


def join_output(reasoning: str, answer: str) -> str:
    """The output of Figure 8 that the model learns to write."""
    return fill(REASONING_OUTPUT, reasoning=reasoning, answer=answer)


def split_output(text: str) -> tuple[str, str] | None:
    """The reasoning and the answer in an output of Figure 8's form.

    The first occurrence of the answer sentence counts: whatever follows is
    the answer, a second occurrence included.

    Returns:
        `(reasoning, answer)`, stripped, or None where the sentence is absent
        or nothing follows it.
    """
    before, found, after = text.partition(ANSWER_SENTENCE)
    answer = after.strip()
    if not found or not answer:
        return None
    return before.replace(SUMMARY_SENTENCE, "", 1).strip(), answer


def final_answer(text: str, reasoning: bool) -> str | None:
    """The part of an output that is judged, or None where there is none.

    Args:
        text: the model's whole output.
        reasoning: whether the output has Figure 8's form; else the whole
            output is the answer.
    """
    if not reasoning:
        return text.strip() or None
    parts = split_output(text)
    return parts[1] if parts else None


def fit_prompt(
    prompt: str,
    documents: Sequence[str],
    reasoning: bool,
    max_tokens: int,
    count_tokens: Callable[[str], int],
    connector: str = "",
) -> str:
    """A personalised prompt of at most `max_tokens` tokens.

    Where all documents do not fit, the lowest ranked go first and the last
    one left loses its end. The instruction and the words around it, `answer:`
    at the end among them, are never touched.

    Args:
        prompt: the instruction x.
        documents: the texts of the retrieved documents, best first.
        reasoning: whether the model is asked to summarise first.
        max_tokens: the most tokens, `<bos>` included.
        count_tokens: from a prompt to the number of its tokens.
        connector: as for `personalized_prompt`.

    Raises:
        InputError: the instruction alone is longer than `max_tokens`.
    """

    def fits(texts: Sequence[str]) -> str | None:
        text = personalized_prompt(prompt, texts, reasoning, connector)
        return text if count_tokens(text) <= max_tokens else None

    for kept in range(len(documents), -1, -1):
        text = fits(documents[:kept])
        if text is None:
            continue
        if kept == len(documents):
            return text
        shortened = _longest(fits, documents[:kept], documents[kept])
        return shortened or text
    raise InputError(
        f"The instruction alone makes a prompt of more than {max_tokens} "
        f"tokens: {prompt[:80]!r}… Raise sampling.max_prompt_tokens, or leave "
        "it out."
    )


def _longest(
    fits: Callable[[Sequence[str]], str | None],
    whole: Sequence[str],
    document: str,
) -> str | None:
    """The prompt with the most of one more document, or None."""
    low, high, best = 0, len(document), None
    while low < high:
        middle = (low + high + 1) // 2
        part = _whole_words(document, middle)
        text = fits([*whole, part]) if part else best
        if part and text is None:
            high = middle - 1
        else:
            low, best = middle, text
    return best


def _whole_words(text: str, end: int) -> str:
    """The beginning of a text without its last, cut word.

    Where there is no space, as in Chinese, the last letter is cut off.
    """
    head = text[:end]
    if end < len(text) and not text[end].isspace():
        parts = head.rsplit(None, 1)
        head = parts[0] if len(parts) == 2 else head
    return head.rstrip()
