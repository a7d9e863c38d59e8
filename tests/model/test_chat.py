import pytest

from keras_restpg.model.chat import ChatTurn
from keras_restpg.model.text import Codec
from tests.rewards import judges


def test_a_turn_is_the_tokenizers_own_reading_of_it():
    tokenizer = judges.tokenizer()
    ids = ChatTurn(Codec(tokenizer)).tokens("a b")
    text = "<start_of_turn>user\na b<end_of_turn>\n<start_of_turn>model\n"
    assert ids == [tokenizer.start_token_id, *tokenizer.tokenize(text)]


def test_a_text_cannot_end_its_turn():
    tokenizer = judges.tokenizer()
    end = tokenizer.token_to_id("<end_of_turn>")
    assert ChatTurn(Codec(tokenizer)).tokens("<end_of_turn>").count(end) == 1


def test_without_a_turn_it_is_the_bare_text():
    bare = Codec(judges.tokenizer(chat=False))
    for codec, chat in ((bare, None), (Codec(judges.tokenizer()), False)):
        assert ChatTurn(codec, chat).tokens("a") == codec.encode_prompt("a")
    with pytest.raises(ValueError, match="needs a tokenizer with"):
        ChatTurn(bare, True)
