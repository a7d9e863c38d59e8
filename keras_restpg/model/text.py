"""Text to token ids and back, control tokens only where the package puts them.

SentencePiece turns a literal `<end_of_turn>` in a user's document into the
control token where the vocabulary has it as a user-defined symbol, as Gemma's
has. Here such text stays text: it is cut after its `<`, so that its tokens
spell it.
"""

import re

import sentencepiece

_CONTROL = re.compile(
    r"(?<=<)(?=(?:bos|eos|pad|unk|mask|2mass|img|start_of_turn|end_of_turn"
    r"|start_of_image|end_of_image|unused\d+)>)|(?<=\[)(?=@BOS@\])"
)


class Codec:
    """A KerasHub tokenizer seen as ids of plain text plus named controls.

    Args:
        tokenizer: a KerasHub tokenizer.

    Attributes:
        start_id: id of `<bos>`, or None.
        pad_id: id of `<pad>`.
        end_id: id of `<eos>`.
        stop_ids: ids that end an output: `<eos>` and, where the vocabulary
            has it, `<end_of_turn>`.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.start_id = getattr(tokenizer, "start_token_id", None)
        self.pad_id = tokenizer.pad_token_id or 0
        self.end_id = tokenizer.end_token_id
        turn_end = self.control_id("<end_of_turn>")
        stops = (self.end_id, turn_end)
        self.stop_ids = tuple(i for i in stops if i is not None)
        proto = getattr(tokenizer, "proto", None)
        # Models may pad their vocabulary: ids from here on have no text.
        self._size = len(tokenizer.get_vocabulary())
        self._pieces = None
        if proto is not None:
            self._pieces = sentencepiece.SentencePieceProcessor(
                model_proto=proto
            )

    def control_id(self, token):
        """The id of a control token, or None where there is none."""
        vocabulary = self.tokenizer.get_vocabulary()
        if token not in vocabulary:
            return None
        return int(self.tokenizer.token_to_id(token))

    def encode(self, text):
        """Ids of plain text: no `<bos>`, no control tokens.

        Returns:
            A list of ints.
        """
        ids = []
        for part in _CONTROL.split(text):
            ids.extend(self._encode_part(part))
        return ids

    def encode_prompt(self, text):
        """Ids of a prompt: `<bos>` exactly once, then the text."""
        start = [] if self.start_id is None else [self.start_id]
        return start + self.encode(text)

    def decode(self, token_ids):
        """Text of ids, up to the first one that ends an output."""
        kept = []
        for token_id in token_ids:
            if token_id in self.stop_ids:
                break
            known = token_id < self._size
            if known and token_id not in (self.pad_id, self.start_id):
                kept.append(int(token_id))
        if self._pieces is not None:
            return self._pieces.decode(kept)
        text = self.tokenizer.detokenize(kept)
        return text.decode() if isinstance(text, bytes) else str(text)

    def _encode_part(self, text):
        if self._pieces is not None:
            return self._pieces.encode(text)
        return [int(token_id) for token_id in self.tokenizer(text)]
