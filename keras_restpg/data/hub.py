"""Rows of a data set on the Hugging Face hub."""

from collections.abc import Iterator, Sequence
from typing import Any

from keras_restpg.errors import InputError

LONGLAMP = "LongLaMP/LongLaMP"


def download(name: str, configs: Sequence[str]) -> str:
    """The folder that configurations of a data set are downloaded to.

    Args:
        name: of the data set; empty: LongLaMP.
        configs: those that are wanted, each a folder of the data set.

    Returns:
        The path, in the library's cache. What is there is not loaded again.

    Raises:
        InputError: no configurations, no library, no connection, no such
            data set.
    """
    name = name or LONGLAMP
    if not configs:
        raise InputError(
            f"data.source 'hub': say which of {name}'s configurations to "
            "download, such as data.tasks = ['abstract_generation_user']."
        )
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            "data.source 'hub' needs the `huggingface_hub` library: "
            "`pip install keras-restpg[hf]`. Or give data.folder, a folder of "
            "local files."
        ) from None
    patterns = [f"{config}{end}" for config in configs for end in ("/*", "_*")]
    try:
        return huggingface_hub.snapshot_download(
            name, repo_type="dataset", allow_patterns=patterns
        )
    # The library's own errors, and those of whichever HTTP client it has.
    except Exception as error:
        raise InputError(
            f"{name}: {type(error).__name__}: {error}. Look at the data set's "
            "page and your connection, or give data.folder, a folder of local "
            "files."
        ) from error


def rows(
    name: str, config: str, split: str, stream: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of one configuration and split.

    Args:
        name: of the data set, or a local folder in the hub's layout.
        config: one of its configurations.
        split: one of that one's splits.
        stream: whether rows come as they are asked for and nothing is kept;
            else the split is kept in the library's cache first.

    Yields:
        `(where, row)`: data set and row, for messages, and a dict.

    Raises:
        InputError: no library, no connection, no such data set, or files in
            it that do not fit.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            "LongLaMP from the hub needs the `datasets` library: "
            "`pip install keras-restpg[hf]`. Or give `source`, a folder of "
            "local files."
        ) from None
    where = f"{name}, {config}, {split}"
    try:
        found = datasets.load_dataset(
            name, config, split=split, streaming=stream
        )
        for number, row in enumerate(found, 1):
            yield f"{where}, row {number}", row
    # The library's own errors, Arrow's, and those of whichever HTTP client
    # it has: all of them are about what comes from outside.
    except Exception as error:
        raise InputError(
            f"{where}: {type(error).__name__}: {error}. Look at the data "
            "set's page and your connection, or give `source`, a folder of "
            "local files."
        ) from error
