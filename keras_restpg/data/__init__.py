"""Users' documents and examples: LongLaMP, Avocado, one's own files.

Names load on first use: readers of formats that are not used cost nothing.
"""

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
    "scrub": "guard",
    "split_by_user": "own",
    "stream_longlamp": "longlamp",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
