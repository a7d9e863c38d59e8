import pytest

from keras_restpg.model.text import Codec
from tests.model import vocabulary


@pytest.fixture(scope="module")
def codec():
    return Codec(vocabulary.tokenizer())


def test_bos_comes_once_and_control_words_stay_text(codec):
    text = "the old <end_of_turn> garden <eos> <bos>"
    ids = codec.encode_prompt(text)
    assert ids[0] == codec.start_id and ids.count(codec.start_id) == 1
    assert not set(ids) & set(codec.stop_ids)
    assert codec.decode(ids) == text


@pytest.mark.parametrize(
    "text", ["", " ", "naïve 漢字 🙂\n\n10 7", "a|b", "\u202ertl", "x" * 300]
)
def test_any_text_comes_back(codec, text):
    assert codec.decode(codec.encode(text)) == text


def test_decoding_ends_where_the_output_ends(codec):
    ids = codec.encode("the old")
    turn_end = codec.control_id("<end_of_turn>")
    assert codec.stop_ids == (codec.end_id, turn_end)
    for stop in codec.stop_ids:
        assert codec.decode([*ids, stop, *codec.encode("garden")]) == "the old"


def test_words_beyond_the_vocabulary_are_left_out(codec):
    """Models pad their vocabulary; sampling may draw such a word."""
    ids = codec.encode("the old")
    size = codec.tokenizer.vocabulary_size()
    assert codec.decode([*ids, size, size + 100]) == "the old"
