"""Names for types that Keras and JSON leave open, and for what recurs."""

import os
from collections.abc import Callable, Mapping
from typing import Any

Path = str | os.PathLike[str]
# What `json` reads and writes.
Json = Any
# A tensor of the running backend; the three share no class.
Tensor = Any
# Arrays or tensors by name, see `training.model.BATCH`.
Batch = Mapping[str, Any]
# The logs that Keras hands to a callback.
Logs = dict[str, Any]
# Rows of cells, the head first.
Table = list[list[str]]
# Called with a sentence for whoever runs it.
Say = Callable[..., None]
