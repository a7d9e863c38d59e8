"""placeholder"""


def write_report(run, examples, results, runs=None, extra=(), notes=()):
    pass
