"""Prints a README's marked code blocks as one shell script.

A block is marked by an HTML comment on the line above it:
`<!-- run: tests -->` or `<!-- run: snippets -->`. Blocks of Python are run by
`python -c`. Blocks without such a mark need weights or hardware.
"""

import pathlib
import re
import shlex
import sys

BLOCK = re.compile(
    r"^<!-- run: (\w+) -->\n```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL
)


def script(text, name):
    lines = []
    for mark, language, code in BLOCK.findall(text):
        if mark == name:
            code = code.strip()
            lines.append(
                f"python -c {shlex.quote(code)}"
                if language == "python"
                else code
            )
    return "\n".join(lines)


if __name__ == "__main__":
    _, path, name = sys.argv
    found = script(pathlib.Path(path).read_text(encoding="utf-8"), name)
    if not found:
        sys.exit(f"{path} has no block marked {name}")
    print(found)
