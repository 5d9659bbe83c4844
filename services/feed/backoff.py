"""How long to wait before the next attempt, and how many attempts there may be at all."""

import random
from collections import deque


class Backoff:
    """Exponential, capped, with full jitter: the wait is anything between nothing and the bound.

    ``dice`` is an input, so that a test or a simulation can repeat what happened.
    """

    def __init__(self, first_ms: int, max_ms: int, dice: random.Random) -> None:
        self._first_ms = first_ms
        self._max_ms = max_ms
        self._dice = dice
        self._failures = 0

    def next_ms(self) -> int:
        """The wait before the next attempt, in milliseconds."""
        bound = min(self._max_ms, self._first_ms << min(self._failures, 32))
        self._failures += 1
        return self._dice.randint(0, bound)

    def reset(self) -> None:
        """It went well for long enough: start from the first wait again."""
        self._failures = 0


class AttemptBudget:
    """At most so many attempts in a sliding window, shared by all sockets of one process."""

    def __init__(self, attempts_max: int, window_ms: int) -> None:
        self._attempts_max = attempts_max
        self._window_ns = window_ms * 1_000_000
        self._made: deque[int] = deque()

    def wait_ns(self, now_ns: int) -> int:
        """Nanoseconds until an attempt is allowed; 0 takes one."""
        while self._made and self._made[0] + self._window_ns <= now_ns:
            self._made.popleft()
        if len(self._made) < self._attempts_max:
            self._made.append(now_ns)
            return 0
        return self._made[0] + self._window_ns - now_ns
