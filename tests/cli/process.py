"""The command line in a child process."""

import os
import subprocess
import sys


def keras_restpg(*arguments, cwd=None, **environment):
    """The finished process of a command, with its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "keras_restpg.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
    )
