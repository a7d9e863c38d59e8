"""Tokens of text that people and models wrote: plain text, never control.

KerasHub's tokenizers turn some texts into control tokens. Gemma's
SentencePiece model holds `<start_of_turn>` and `<end_of_turn>` as user-defined
symbols, which match wherever a text contains them; byte-pair tokenizers match
their special tokens in the same way. An answer that contains `<end_of_turn>`
could then end the judge's turn. Here such a text is tokenised in two pieces,
cut after its first character, so that no symbol is left to match; all other
text is tokenised as the tokenizer does it.
"""

import re

# Beside the tokenizer's own special tokens: the control symbols of known
# vocabularies. Gemma's HTML tags are not among them: they are text.
CONTROL = re.compile(
    r"<\|[^<>]*\|>"
    r"|<(?:start|end)_of_\w+>"
    r"|<(?:bos|eos|pad|unk|mask|img|2mass|\w+_soft_token|unused\d+)>"
    r"|</?s>|\[/?(?:INST|multimodal|@BOS@)\]|<</?SYS>>"
)


class PlainText:
    """Tokenises text as plain text.

    Args:
        tokenizer: a KerasHub tokenizer.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.vocabulary = set(tokenizer.get_vocabulary())
        symbols = {
            piece for piece in self.vocabulary if CONTROL.fullmatch(piece)
        }
        symbols.update(getattr(tokenizer, "special_tokens", ()))
        # Longest first, found where they overlap as well.
        symbols = sorted(map(re.escape, symbols), key=len, reverse=True)
        self._symbol = re.compile(f"(?={'|'.join(symbols)})")
        self._any_symbol = bool(symbols)

    def encode(self, text):
        """Token ids of `text`, a list of int, none of them a control token.

        Lone surrogates, which no tokenizer takes, become "?".
        """
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids = []
        for piece in self._pieces(text):
            ids.extend(int(i) for i in self.tokenizer.tokenize(piece))
        return ids

    def cut(self, text, limit):
        """The beginning of `text` that has at most `limit` tokens."""
        # A token is one byte at least, so most texts need no count.
        while len(text.encode("utf-8", "replace")) > limit:
            count = len(self.encode(text))
            if count <= limit:
                break
            text = text[: len(text) * limit // count]
        return text

    def control(self, symbol):
        """The id of a control symbol, or None where there is none."""
        if symbol not in self.vocabulary:
            return None
        return int(self.tokenizer.token_to_id(symbol))

    def _pieces(self, text):
        if not self._any_symbol:
            return [text]
        cuts = [match.start() + 1 for match in self._symbol.finditer(text)]
        bounds = [0, *cuts, len(text)]
        pairs = zip(bounds[:-1], bounds[1:], strict=True)
        return [text[begin:end] for begin, end in pairs if begin < end]
