"""What the kept samples become, down to the tokens that are trained."""

from keras_restpg.model.text import Codec
from keras_restpg.records import Example, Sample, Score, ScoredSample
from keras_restpg.self_training.examples import rewarded
from keras_restpg.training.features import tokenize
from tests.model import vocabulary


def test_what_is_trained_is_what_was_sampled():
    codec = Codec(vocabulary.tokenizer())
    # Letter by letter: no tokeniser would split the text so.
    letters = [token for each in "garden" for token in codec.encode(each)]
    turn_end = codec.control_id("<end_of_turn>")
    samples = [
        Sample("e", 0, "garden", tuple(letters), False, -1.0),
        Sample("e", 1, "garden", (*letters, turn_end), True, -1.0),
    ]
    assert len(codec.encode("garden")) < len(letters)
    kept = [ScoredSample(each, Score("e", each.index, 0.7)) for each in samples]
    example = Example("e", "t", "u", "write", "the garden", ())
    (data,) = rewarded([example], ["write"], kept)
    assert data.outputs == ("garden", "garden") and data.rewards == (0.7, 0.7)
    (tokens,) = tokenize([data], codec, 64, len(letters) + 1)
    assert tokens.outputs == (tuple(letters), (*letters, turn_end))
    assert codec.end_id not in tokens.outputs[0]
