"""What a run came to: metrics, significance, tables, figures, the report."""
