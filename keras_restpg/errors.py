"""The one error for input that a person must mend."""


class InputError(ValueError):
    """Bad input: a file, a field, a setting or an argument.

    The message says what is wrong, where (file, line, field) and what to do.
    The command line prints it without a traceback and exits with code 2.
    """
