"""What a run came to: metrics, significance, tables, figures, the report.

Names load on first use.
"""

from typing import TYPE_CHECKING

from keras_restpg._lazy import lazy

_PUBLIC = {
    "agreement": "judge_validation",
    "main_table": "tables",
    "overlap_metrics": "metrics",
    "paired_p": "significance",
    "score_file": "predictions",
    "sensitivity": "judge_validation",
    "write_report": "report",
}

# What type checkers and editors see.
if TYPE_CHECKING:
    from keras_restpg.evaluation.judge_validation import agreement as agreement
    from keras_restpg.evaluation.judge_validation import (
        sensitivity as sensitivity,
    )
    from keras_restpg.evaluation.metrics import (
        overlap_metrics as overlap_metrics,
    )
    from keras_restpg.evaluation.predictions import score_file as score_file
    from keras_restpg.evaluation.report import write_report as write_report
    from keras_restpg.evaluation.significance import paired_p as paired_p
    from keras_restpg.evaluation.tables import main_table as main_table
else:
    __all__ = list(_PUBLIC)
    __getattr__, __dir__ = lazy(__name__, _PUBLIC)
