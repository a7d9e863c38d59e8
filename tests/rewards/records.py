"""Small records for the tests of this room."""

from keras_restpg import records


def example(id="e", task="t", prompt="Write.", expected="the reference text"):
    return records.Example(
        id=id,
        task=task,
        user="u",
        prompt=prompt,
        expected=expected,
        documents=(records.Document("a document"),),
    )


def sample(text="text", index=0, example_id="e", finished=True):
    return records.Sample(example_id, index, text, (1,), finished, -1.0)


def scored(reward, text=None, reason="", **kwargs):
    made = sample(**kwargs)
    text = f"text {made.index}" if text is None else text
    made = sample(text=text, **kwargs)
    score = records.Score(made.example_id, made.index, reward, reason=reason)
    return records.ScoredSample(made, score)
