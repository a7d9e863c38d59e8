"""Text to token ids and back, control tokens only where the package puts them.

Tokenizers turn some texts into control tokens. Gemma's SentencePiece model
holds `<start_of_turn>` and `<end_of_turn>` as user-defined symbols, which match
wherever a text contains them; byte-pair tokenizers match their special tokens
in the same way. A user's document or an answer that contains `<end_of_turn>`
could then end a turn. Here such a text is cut after its first character, so
that its tokens spell it; all other text is tokenised as the tokenizer does it.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any

import sentencepiece

# The control pieces of a vocabulary, as SentencePiece's trainer takes them.
GEMMA_PIECES = {
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "pad_piece": "<pad>",
    "eos_piece": "<eos>",
    "bos_piece": "<bos>",
    "unk_piece": "<unk>",
}

# Beside the tokenizer's own special tokens: the control symbols of known
# vocabularies. Gemma's HTML tags are not among them: they are text.
CONTROL = re.compile(
    r"<[|｜][^<>]*[|｜]>"
    r"|<(?:start|end)_of_\w+>"
    r"|<(?:bos|eos|pad|unk|mask|img|2mass|\w+_soft_token|unused\d+)>"
    r"|</?(?:s|think|tool_call)>"
    r"|\[/?(?:INST|TOOL_CALLS|multimodal|@BOS@)\]|<</?SYS>>"
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

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocabulary()
        self._known = set(vocabulary)
        # Models may pad their vocabulary: ids from here on have no text.
        self._size = len(vocabulary)
        self._symbol = self._symbols()
        self.start_id = getattr(tokenizer, "start_token_id", None)
        self.pad_id = tokenizer.pad_token_id or 0
        self.end_id = tokenizer.end_token_id
        turn_end = self.control_id("<end_of_turn>")
        stops = (self.end_id, turn_end)
        self.stop_ids = tuple(i for i in stops if i is not None)
        proto = getattr(tokenizer, "proto", None)
        self._pieces = None
        if proto is not None:
            self._pieces = sentencepiece.SentencePieceProcessor(
                model_proto=proto
            )

    def control_id(self, token: str) -> int | None:
        """The id of a control token, or None where there is none."""
        if token not in self._known:
            return None
        return int(self.tokenizer.token_to_id(token))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text: no `<bos>`, no control tokens.

        Lone surrogates, which no tokenizer takes, become "?".

        Returns:
            A list of ints.
        """
        text = text.encode("utf-8", "replace").decode("utf-8")
        cuts = [match.start() + 1 for match in self._symbol.finditer(text)]
        ids = []
        for first, end in itertools.pairwise([0, *cuts, len(text)]):
            if first < end:
                ids.extend(self._encode_part(text[first:end]))
        return ids

    def cut(self, text: str, limit: int) -> str:
        """The beginning of a text that has at most `limit` tokens."""
        # A token is one byte at least, so most texts need no count.
        while len(text.encode("utf-8", "replace")) > limit:
            count = len(self.encode(text))
            if count <= limit:
                break
            text = text[: len(text) * limit // count]
        return text

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a prompt: `<bos>` exactly once, then the text."""
        start = [] if self.start_id is None else [self.start_id]
        return start + self.encode(text)

    def decode(self, token_ids: Iterable[int]) -> str:
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

    def _symbols(self):
        """Where a text has what the tokenizer takes for a control token."""
        symbols = {each for each in self._known if CONTROL.fullmatch(each)}
        symbols.update(getattr(self.tokenizer, "special_tokens", ()))
        # Longest first, found where they overlap as well; never the end.
        symbols = sorted(map(re.escape, symbols), key=len, reverse=True)
        return re.compile(f"(?={'|'.join(symbols) or '(?!)'})")

    def _encode_part(self, text):
        if self._pieces is not None:
            return self._pieces.encode(text)
        return [int(token_id) for token_id in self.tokenizer(text)]
