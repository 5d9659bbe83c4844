"""Exit codes, and the one exception that carries a code and a sentence to the terminal."""

OK = 0
FAILED = 1
BAD_USAGE = 2
NOT_AVAILABLE = 3
"""The broker, a port or the venue is not to be had."""
TIMED_OUT = 5
REFUSED = 6
"""Whoever was asked understood and said no: a missing right, a halt, a request under way."""


class CommandFailed(Exception):  # noqa: N818 - it is what happened, not a kind of error
    """The command cannot go on; the text says what, where and what to do."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code
