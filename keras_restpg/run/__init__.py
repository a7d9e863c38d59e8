"""A recipe and its run: build the parts, run, status, write."""
