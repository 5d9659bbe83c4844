"""Retries for calls that change nothing, and for nothing else.

A retried order is a second order, so nothing here may wrap place, cancel or set. Waits are drawn
with full jitter (uniform between zero and the doubled bound) from dice passed in. A wait the venue
names is honored; a ban is never answered with another request.
"""

import random
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import msgspec
import stamina

from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_reader import VenueReadError
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Outcome, Rejected, Throttled, Unknown, describe

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

OnRetry = Callable[[str, int, float, Outcome], None]
"""Called before each wait with what is read, the attempt that failed, seconds to wait, and why."""
OnEnd = Callable[[str, int, bool], None]
"""Called once a read that had been retried ended: what, attempts in all, whether it succeeded."""


class RetryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a read is tried again."""

    retries_max: int = 3
    wait_initial_s: int = 1
    wait_factor: int = 2
    wait_max_s: int = 60


DEFAULT_LIMITS = RetryLimits()


def retry_read(
    dice: random.Random,
    limits: RetryLimits = DEFAULT_LIMITS,
    *,
    on_retry: OnRetry | None = None,
    on_end: OnEnd | None = None,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Return a decorator for any read of the venue client; the last failure is raised.

    Together the observers see every attempt of a read that did not succeed at once; a failure that
    is not retried is in `VenueTransport.on_call` alone. What they raise is logged and changes
    nothing.
    """

    def decorate(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def patient(*args: P.args, **kwargs: P.kwargs) -> T:
            backoff = _Backoff(dice, limits, on_retry)
            attempts = stamina.retry_context(
                on=backoff,
                attempts=limits.retries_max + 1,
                timeout=None,
                wait_initial=0,
                wait_jitter=0,  # ours is drawn in _Backoff: stamina's adds to the wait instead
            )
            succeeded = False
            try:
                async for attempt in attempts:
                    with attempt:
                        answer = await read(*args, **kwargs)
                        succeeded = True
                        return answer
                raise AssertionError("stamina ends by returning or raising")
            finally:
                if on_end is not None and backoff.retries:
                    _tell(on_end, backoff.what, backoff.retries + 1, succeeded)

        return patient

    return decorate


def _tell(observe: Callable[..., None], *facts: object) -> None:
    try:
        observe(*facts)
    except Exception:  # an observer may not cost us the read
        log.exception("retry_observer_failed")


class _Backoff:
    """Decides, per call, whether and after how many seconds to try again."""

    def __init__(self, dice: random.Random, limits: RetryLimits, on_retry: OnRetry | None) -> None:
        self._dice = dice
        self._limits = limits
        self._on_retry = on_retry
        self._failures = 0
        self.retries = 0
        self.what = ""

    def __call__(self, error: Exception) -> float | bool:
        if not isinstance(error, VenueReadError):
            return False
        self._failures += 1
        wait_s = self._wait_s(error.outcome)
        if wait_s is None or self._failures > self._limits.retries_max:
            return False
        log.warning(
            "venue_read_retried",
            what=error.what,
            attempt=self._failures,
            wait_s=round(wait_s, 3),
            why=describe(error.outcome),
        )
        self.retries, self.what = self._failures, error.what
        if self._on_retry is not None:
            _tell(self._on_retry, error.what, self._failures, wait_s, error.outcome)
        return wait_s

    def _wait_s(self, outcome: Outcome) -> float | None:
        """Return seconds to wait, or None when another request would be wrong."""
        limits = self._limits
        bound = limits.wait_initial_s * limits.wait_factor ** (self._failures - 1)
        jittered = self._dice.uniform(0, min(bound, limits.wait_max_s))
        if isinstance(outcome, Unknown):
            return jittered
        if isinstance(outcome, Rejected):
            is_transient = outcome.reason in (Reason.NOT_SENT, Reason.INTERNAL)
            return jittered if is_transient else None
        if not isinstance(outcome, Throttled) or outcome.kind is ThrottleKind.BANNED:
            return None
        named_s = (outcome.retry_after_ms or 0) / 1_000
        if named_s > limits.wait_max_s or (not named_s and outcome.kind is not _OVERLOADED):
            return None
        return max(named_s, jittered)


_OVERLOADED = ThrottleKind.OVERLOADED
