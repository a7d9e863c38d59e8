"""placeholder"""


def write_report(run, examples, results):
    pass
