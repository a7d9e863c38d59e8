"""Algorithm 1 of the paper, both halves, and the callback that runs it."""
