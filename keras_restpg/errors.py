"""The one error for input that a person must mend, and text for terminals."""

import unicodedata

# Joiners shape emoji and the letters of many scripts; they move nothing.
_KEPT = frozenset("\n\t\u200c\u200d")
# Controls, formats (bidi overrides among them), surrogates, line separators.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


class InputError(ValueError):
    """Bad input: a file, a field, a setting or an argument.

    The message says what is wrong, where (file, line, field) and what to do.
    The command line prints it without a traceback and exits with code 2.
    """


def printable(text: object) -> str:
    """`text` with control characters as escapes, such as `\\x1b`.

    Text from files, servers and models can hold characters that move a
    terminal's cursor, or turn the direction of what stands beside them.
    """
    return "".join(
        char.encode("unicode_escape").decode() if _unsafe(char) else char
        for char in str(text)
    )


def _unsafe(char):
    return char not in _KEPT and unicodedata.category(char) in _UNSAFE
