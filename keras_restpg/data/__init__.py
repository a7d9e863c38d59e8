"""Users' documents and examples: LongLaMP, Avocado, one's own files.

Names load on first use: readers of formats that are not used cost nothing.
"""

from typing import TYPE_CHECKING

from keras_restpg._lazy import lazy

_PUBLIC = {
    "build_email_task": "avocado",
    "Columns": "own",
    "drop_near_copies": "guard",
    "hold_out": "own",
    "load_csv": "own",
    "load_documents": "own",
    "load_folder": "longlamp",
    "load_jsonl": "own",
    "load_longlamp": "longlamp",
    "load_parquet": "own",
    "load_writing": "writing",
    "scrub": "guard",
    "split_by_time": "own",
    "split_by_user": "own",
    "stream_longlamp": "longlamp",
    "write_examples": "making",
}

# What type checkers and editors see.
if TYPE_CHECKING:
    from keras_restpg.data.avocado import build_email_task as build_email_task
    from keras_restpg.data.guard import drop_near_copies as drop_near_copies
    from keras_restpg.data.guard import scrub as scrub
    from keras_restpg.data.longlamp import load_folder as load_folder
    from keras_restpg.data.longlamp import load_longlamp as load_longlamp
    from keras_restpg.data.longlamp import stream_longlamp as stream_longlamp
    from keras_restpg.data.making import write_examples as write_examples
    from keras_restpg.data.own import Columns as Columns
    from keras_restpg.data.own import hold_out as hold_out
    from keras_restpg.data.own import load_csv as load_csv
    from keras_restpg.data.own import load_documents as load_documents
    from keras_restpg.data.own import load_jsonl as load_jsonl
    from keras_restpg.data.own import load_parquet as load_parquet
    from keras_restpg.data.own import split_by_time as split_by_time
    from keras_restpg.data.own import split_by_user as split_by_user
    from keras_restpg.data.writing import load_writing as load_writing
else:
    __all__ = list(_PUBLIC)
    __getattr__, __dir__ = lazy(__name__, _PUBLIC)
