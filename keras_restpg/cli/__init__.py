"""The command line: arguments and nothing else."""
