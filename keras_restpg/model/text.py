"""Text to token ids and back, control tokens only where the package puts them.

Tokenizers turn some texts into control tokens. Gemma's SentencePiece model
holds `<start_of_turn>` and `<end_of_turn>` as user-defined symbols, which match
wherever a text contains them; byte-pair tokenizers match their special tokens
in the same way; and where a tokenizer normalises first, other spellings become
them too, such as full-width letters. A user's document or an answer could then
end a turn. So the tokens of a text are looked at: a control token among them is
replaced by the tokens of its characters. All else stays as the tokenizer has
it.

Which tokens are controls, the vocabulary says: those of the type control, and
user-defined symbols and special tokens in brackets. Plain text are the others:
Gemma's line breaks, runs of spaces and HTML tags, words.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

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

# SentencePiece's types of pieces.
_CONTROL, _USER_DEFINED = 3, 4
# The tags that are text in Gemma's vocabularies, and the commonest others.
_TAGS = frozenset(
    "a b blockquote br caption code div em h1 h2 h3 h4 h5 h6 hr i li ol p pre "
    "span strong sub sup table tbody td tfoot th thead tr u ul".split()
)
# `<s>` strikes text through in HTML and begins a text for Llama and Mistral:
# where a vocabulary has it as a user-defined symbol it is the former.
_KNOWN_TAGS = _TAGS | {"s"}
# What a word in brackets may be, in all spellings that NFKC makes equal.
_BRACKETED = re.compile(
    r"(?=[<＜﹤]([^<＜﹤>＞﹥ \t\r\n]+)[>＞﹥]"
    r"|[\[［]([^\[［\]］ \t\r\n]+)[\]］])"
)


def break_symbols(text: str) -> str:
    """A text for a tokenizer that is not known, without control symbols.

    A space is put after the opening bracket of each `<|…|>`, `<…>` and `[…]`
    that holds one word, but for common HTML tags and addresses; also where
    the brackets or the word are spelled in full width or with invisible
    characters.
    """
    places = [
        match.start() + 1
        for match in _BRACKETED.finditer(text)
        if _may_be_control(match[1] or match[2])
    ]
    begins, ends = [0, *places], [*places, len(text)]
    parts = zip(begins, ends, strict=True)
    return " ".join(text[begin:end] for begin, end in parts)


def _may_be_control(word):
    """Whether a word in brackets may be a control symbol of some model."""
    word = "".join(
        char
        for char in unicodedata.normalize("NFKC", word)
        if unicodedata.category(char) not in ("Cc", "Cf")
    )
    if "|" in word:
        return True
    address = any(mark in word for mark in " .:")
    lettered = any(map(str.isalpha, word))
    return lettered and not address and word.strip("/").lower() not in _TAGS


def _is_control(symbol):
    """Whether a symbol of a vocabulary is in brackets, and no HTML tag."""
    if "<|" in symbol or "|>" in symbol:
        return True
    word = re.fullmatch(r"<([^<> ▁]+)>|\[([^\[\] ▁]+)\]", symbol)
    if not word or not any(map(str.isalpha, symbol)):
        return False
    return word[1] is None or word[1].strip("/").lower() not in _KNOWN_TAGS


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
        self._controls = self._control_ids()
        self._spellings: dict[int, list[int]] = {}

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
        ids = self._encode(text) if text else []
        if self._controls.isdisjoint(ids):
            return ids
        return [each for token_id in ids for each in self._spelled(token_id)]

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

    def _control_ids(self):
        """The ids that no text may have."""
        if self._pieces is not None:
            # Its classes are made when it is imported.
            protos: Any = sentencepiece_model_pb2
            proto = protos.ModelProto.FromString(
                self._pieces.serialized_model_proto()
            )
            return {
                token_id
                for token_id, piece in enumerate(proto.pieces)
                if piece.type == _CONTROL
                or (piece.type == _USER_DEFINED and _is_control(piece.piece))
            }
        names = set(getattr(self.tokenizer, "special_tokens", ()))
        fixed = getattr(self.tokenizer, "unsplittable_tokens", None) or ()
        names.update(filter(_is_control, fixed))
        ids = map(self.control_id, names)
        return {each for each in ids if each is not None}

    def _spelled(self, token_id):
        """The token itself, or a control's characters."""
        if token_id not in self._controls:
            return [token_id]
        if token_id not in self._spellings:
            symbol = self.tokenizer.id_to_token(token_id)
            self._spellings[token_id] = [
                each for char in symbol for each in self._character(char)
            ]
        return self._spellings[token_id]

    def _character(self, char):
        if self._pieces is None:
            return self._encode(char)
        # Alone it would have a space before it in some vocabularies.
        token_id = self._pieces.piece_to_id(char)
        if token_id != self._pieces.unk_id():
            return [token_id]
        names = [f"<0x{byte:02X}>" for byte in char.encode()]
        return [self._pieces.piece_to_id(name) for name in names]

    def _encode(self, text):
        if self._pieces is not None:
            return self._pieces.encode(text)
        return [int(token_id) for token_id in self.tokenizer(text)]
