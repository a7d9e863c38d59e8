"""What a run came to: metrics, significance, tables, figures, the report.

Names load on first use.
"""

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

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
