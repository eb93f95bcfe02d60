"""The one error that a user can mend."""


class InputError(ValueError):
    """A mistake in what the user gave: says what was expected, what came, where, and what to do.

    The stages print its message as one sentence and exit with code 2; any other exception is a bug and shows its
    traceback.
    """
