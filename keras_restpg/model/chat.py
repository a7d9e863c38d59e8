"""One turn of Gemma's chat format, for judges and teachers.

    <bos><start_of_turn>user
    {text}<end_of_turn>
    <start_of_turn>model

The control tokens are put in by their ids; the rest is plain text
(`model/text.py`), so nothing in a text can end the turn.
"""

from typing import Any


class ChatTurn:
    """Turns a text into the tokens of a prompt.

    Args:
        codec: a `Codec`.
        chat_template: whether to write a turn; False writes the bare text;
            None: where the vocabulary has `<start_of_turn>` and
            `<end_of_turn>`.

    Attributes:
        chat_template: bool, whether a turn is written.

    Raises:
        ValueError: a chat template without these tokens.
    """

    def __init__(self, codec: Any, chat_template: bool | None = None) -> None:
        self._codec = codec
        self._open = codec.control_id("<start_of_turn>")
        self._close = codec.control_id("<end_of_turn>")
        has_turns = None not in (self._open, self._close)
        if chat_template and not has_turns:
            raise ValueError(
                "`chat_template=True` needs a tokenizer with <start_of_turn> "
                f"and <end_of_turn>. Received: {type(codec.tokenizer).__name__}"
            )
        self.chat_template = (
            has_turns if chat_template is None else chat_template
        )

    def tokens(self, text: str) -> list[int]:
        """Ids of the whole prompt, up to where the model goes on."""
        encode = self._codec.encode
        if not self.chat_template:
            return self._codec.encode_prompt(text)
        return [
            *self._codec.encode_prompt(""),
            self._open,
            *encode("user\n" + text),
            self._close,
            *encode("\n"),
            self._open,
            *encode("model\n"),
        ]
