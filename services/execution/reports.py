"""Collects what has to be accounted for and decides nothing: failed calls, retries, usage.

Calls are seen in the middle of other work, so they are queued (bounded) and journaled by upkeep in
batches. What does not fit is counted, and the count is journaled instead.
"""

from collections import deque

from libs.common.messages.audit_events import (
    ApiErrorReported,
    ReadRecovered,
    ReadRetried,
    VenueUsageObserved,
)
from libs.common.messages.guard_events import LatchKind, VenueLatched
from libs.common.messages.journal import JournalEvent
from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_transport import VenueCall
from libs.common.venue.budget import WindowName
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import (
    Accepted,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
    describe,
    throttled_until_ms,
)
from services.execution.answers import decide_latch
from services.execution.core import Decision
from services.execution.gate import Gate

#: Events of one batch: far below the size of a record.
BATCH_MAX = 100
#: The use of the venue's limits is journaled this often (market time).
USAGE_INTERVAL_MS = 60_000


def read_latch(outcome: Outcome, now_ns: int) -> VenueLatched | None:
    """Until when the venue wants to be left alone, in market time; None: it said nothing of it.

    A request that a latch of ours kept here says nothing either: taken for the venue's word, each
    would begin the latch anew, and where our clock went back none would ever leave again.
    """
    if not isinstance(outcome, Throttled) or outcome.is_local:
        return None
    until_ms = throttled_until_ms(outcome, now_ns // NS_PER_MS)
    return VenueLatched(
        kind=LatchKind(outcome.kind.value), until_ns=until_ms * NS_PER_MS, why=outcome.message
    )


class Reports:
    """The queue between those who see calls and the journal."""

    def __init__(self, clock: Clock, queued_max: int) -> None:
        self._clock = clock
        self._queued_max = queued_max
        self._queue: deque[JournalEvent] = deque()
        self._latched: dict[LatchKind, VenueLatched] = {}
        self._lost = 0
        self._venue: VenueClient | None = None
        self._usage_at_ns = 0

    def watch(self, venue: VenueClient) -> None:
        """See every request of a venue client from now on, and what they use of its limits."""
        self._venue = venue
        venue.watch(self.on_call)

    def on_call(self, call: VenueCall) -> None:
        """See a finished request: an error is reported, a throttle latched as well."""
        outcome = call.outcome
        if isinstance(outcome, Accepted) or call.is_local or _is_an_answer(call):
            return
        now_ns = self._clock.now_ns() if self._clock.is_set else 0
        if call.latch is not None and (latch := read_latch(outcome, now_ns)) is not None:
            self._latched[latch.kind] = latch  # never too much: a restart has to keep to it
        self._put(_error_of(call, outcome, now_ns))

    def on_retry(self, what: str, attempt: int, wait_s: float, outcome: Outcome) -> None:
        """See a read that failed and is tried again after a wait."""
        now_ns = self._clock.now_ns() if self._clock.is_set else 0
        self._put(
            ReadRetried(
                what=what,
                attempt=attempt,
                wait_ms=int(wait_s * 1000),
                why=describe(outcome),
                at_ns=now_ns,
            )
        )

    def on_retry_end(self, what: str, attempts: int, succeeded: bool) -> None:
        """See the end of a read that was tried again."""
        now_ns = self._clock.now_ns() if self._clock.is_set else 0
        self._put(ReadRecovered(what=what, attempts=attempts, succeeded=succeeded, at_ns=now_ns))

    def _observe_usage(self) -> None:
        """Once a minute, the peaks since the last time; a minute without a request has none."""
        now_ns = self._clock.now_ns()
        is_due = now_ns - self._usage_at_ns >= USAGE_INTERVAL_MS * NS_PER_MS
        if self._venue is None or not is_due:
            return
        self._usage_at_ns = now_ns
        peaks = self._venue.budget.take_peaks(self._venue.timestamp_ms())
        weight, orders_10s, orders_1m = (peaks[name] for name in WindowName)
        if not (weight.used or orders_1m.used):
            return
        self._put(
            VenueUsageObserved(
                weight_peak=weight.used,
                weight_limit=weight.limit,
                orders_10s_peak=orders_10s.used,
                orders_10s_limit=orders_10s.limit,
                orders_1m_peak=orders_1m.used,
                orders_1m_limit=orders_1m.limit,
                at_ns=now_ns,
            )
        )

    def _put(self, event: JournalEvent) -> None:
        if len(self._queue) >= self._queued_max:
            self._lost += 1
            return
        self._queue.append(event)

    async def flush(self, gate: Gate) -> None:
        """Journal what is queued; what cannot be journaled now stays queued.

        Raises:
            BusError: it was not journaled.
        """
        self._observe_usage()
        while self._queue or self._lost or self._latched:
            latched = tuple(self._latched.values())
            batch = tuple(self._queue)[:BATCH_MAX]
            lost = self._lost
            told = (*latched, *batch, *((self._loss(lost),) if lost else ()))
            await gate.transact(
                lambda told=told: Decision(events=_news(gate, told)),  # type: ignore[misc]
                causation_id="reports",
                correlation_id="reports",
            )
            for one in latched:
                if self._latched.get(one.kind) is one:
                    del self._latched[one.kind]
            for _ in batch:
                self._queue.popleft()
            self._lost -= lost

    def _loss(self, lost: int) -> ApiErrorReported:
        return ApiErrorReported(
            method="",
            path="",
            outcome="unknown",
            reason="REPORTS_LOST",
            status=0,
            code=0,
            message=f"{lost} reports did not fit into the queue of {self._queued_max}",
            at_ns=self._clock.now_ns(),
        )


def _news(gate: Gate, events: tuple[JournalEvent, ...]) -> tuple[JournalEvent, ...]:
    return tuple(
        event
        for event in events
        if not isinstance(event, VenueLatched) or decide_latch(gate.state, event).events
    )


def _is_an_answer(call: VenueCall) -> bool:
    """That an order does not exist is what some questions are asked for, no error."""
    outcome = call.outcome
    return (
        call.method == "GET"
        and isinstance(outcome, Rejected)
        and outcome.reason is Reason.NOT_FOUND
    )


def _error_of(
    call: VenueCall, outcome: Rejected | Throttled | Unknown, now_ns: int
) -> ApiErrorReported:
    match outcome:
        case Rejected():
            kind, reason, message = "rejected", outcome.reason.value, outcome.message
        case Throttled():
            kind, reason, message = "throttled", outcome.kind.value, outcome.message
        case Unknown():
            kind, reason, message = "unknown", "", outcome.why
    return ApiErrorReported(
        method=call.method,
        path=call.path,
        outcome=kind,
        reason=reason,
        status=outcome.status,
        code=outcome.code,
        message=message,
        at_ns=now_ns,
    )
