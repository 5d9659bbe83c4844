"""Carries orders to the venue and the answers back into the journal."""

from collections.abc import Callable

from libs.common.messages.guard_events import VenueLatched
from libs.common.messages.journal import (
    FillReceived,
    OrderBecameUnknown,
    OrderForgotten,
    OrderNotPlaced,
    OrderRecorded,
    OrderResigned,
    OrderUpdated,
)
from libs.common.model.order import OrderStatus, contradicts
from libs.common.runtime.clock import NS_PER_MS, Clock, wall_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import (
    ORDER_CONTRADICTIONS,
    ORDER_OUTCOMES,
    ORDER_SUBMIT_SECONDS,
    UNKNOWN_RESOLVED_SECONDS,
)
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Outcome, Rejected, Throttled
from libs.common.venue.payloads import VenueOrder
from services.execution.answers import (
    Answer,
    decide_answer,
    decide_fills,
    decide_forgotten,
    decide_resign,
    decide_update,
)
from services.execution.config import ExecutionConfig
from services.execution.core import Facts, absence_is_provable, decide_absence, may_send
from services.execution.fill_names import name_fills
from services.execution.gate import Gate
from services.execution.lookout import Lookout
from services.execution.reads import Reads
from services.execution.reports import read_latch
from services.execution.state import OrderState, State
from services.execution.traces import EVIDENCE_MARGIN_MS, Traces
from services.execution.venue_words import order_parameters, read_answer, read_fill, read_update

log = get_logger(__name__)

LastLook = Callable[[ExecutionConfig, State, str, Facts], str]

TRADES_PER_PAGE = 1_000
#: Re-read this many known trades when looking for missing ones: they can arrive out of order.
TRADES_OVERLAP = 100
#: How often the journal is read again before an order is given up as too old to send.
FENCE_ATTEMPTS_MAX = 3

#: Why an order does not leave where others may have halted without our having read it.
TOO_OLD = "the journal could not be read fast enough to be sure that nothing halted us"


class _Door:
    """The last look, and what it said last; empty: the order may go."""

    def __init__(self, why_not: Callable[[], str]) -> None:
        self._look = why_not
        self.why_not = ""

    def look(self) -> str:
        """Look now."""
        self.why_not = self._look()
        return self.why_not


class OrderDesk:
    """Sends recorded orders, asks after unknown ones, fetches missing fills."""

    def __init__(
        self,
        gate: Gate,
        venue: VenueClient,
        lookout: Lookout,
        clock: Clock,
        settings: ExecutionConfig,
        reads: Reads | None = None,
    ) -> None:
        self._gate = gate
        self._venue = venue
        self._reads = reads or venue
        self._lookout = lookout
        self._clock = clock
        self._settings = settings
        self.sending: set[str] = set()
        self._traces = Traces(self._reads)

    async def submit(self, recorded: OrderRecorded, last_look: LastLook = may_send) -> None:
        """Send a recorded order once, and journal what came of it.

        Args:
            last_look: says why it may not be sent after all; a kill looks at less.

        Raises:
            BusError: the outcome could not be journaled; the order is then found in doubt later.
        """
        client_order_id = recorded.client_order_id
        self.sending.add(client_order_id)
        try:
            answer, outcome = await self._send_if_it_may(recorded, recorded.timestamp_ms, last_look)
            if isinstance(outcome, Rejected) and outcome.reason is VenueReason.TIMESTAMP:
                answer, outcome = await self._send_resigned(recorded, answer, outcome, last_look)
            was_tried = outcome is not None
            latch = read_latch(outcome, self._clock.now_ns()) if outcome is not None else None
            await self._journal(
                answer, recorded.intent.intent_id, latch=latch, is_failure=was_tried
            )
        finally:
            self.sending.discard(client_order_id)

    async def _send_if_it_may(
        self, recorded: OrderRecorded, timestamp_ms: int, last_look: LastLook
    ) -> tuple[Answer, Outcome | None]:
        """Send, unless the last look says why not: then there is no outcome.

        It looks before a connection is asked for and once more with one at hand, in the moment
        before the bytes leave, each time at a state proven to be the newest a moment ago. The
        append that recorded the order is such a proof while it is young. Whoever stood still since
        then, or waited for a connection, reads the journal again: another may have halted.
        """
        door = _Door(lambda: self._why_not(recorded, last_look))
        for _ in range(FENCE_ATTEMPTS_MAX):
            if door.look() == TOO_OLD:
                await self._gate.catch_up()
                continue
            if door.why_not:
                break
            answer, outcome = await self._send(recorded, timestamp_ms, door.look)
            if not door.why_not:
                return answer, outcome
        stopped = OrderNotPlaced(
            client_order_id=recorded.client_order_id, evidence=f"not sent: {door.why_not}"
        )
        return stopped, None

    async def _send(
        self, recorded: OrderRecorded, timestamp_ms: int, look: Callable[[], str] | None = None
    ) -> tuple[Answer, Outcome]:
        sent_wall_ns = wall_ns()
        outcome = await self._venue.place_order(
            order_parameters(recorded),
            timestamp_ms=timestamp_ms,
            recv_window_ms=recorded.recv_window_ms,
            last_look=look,
        )
        ORDER_SUBMIT_SECONDS.observe((wall_ns() - sent_wall_ns) / 1e9)
        return read_answer(recorded.client_order_id, outcome, sent_wall_ns), outcome

    def _why_not(self, recorded: OrderRecorded, last_look: LastLook) -> str:
        if self._gate.known_age_ms > self._settings.fence_age_ms_max:
            return TOO_OLD
        facts = self._lookout.facts(recorded.order.symbol)
        return last_look(self._settings, self._gate.state, recorded.client_order_id, facts)

    async def _send_resigned(
        self, recorded: OrderRecorded, answer: Answer, outcome: Outcome, last_look: LastLook
    ) -> tuple[Answer, Outcome]:
        """The venue refused our timestamp: set the clock anew, sign anew, send once more.

        The refusal proves that nothing was done. The new timestamp is journaled first, since it
        bounds how late the second request may still arrive.
        """
        try:
            offset_ms = await self._venue.sync_time()
        except VenueReadError as error:
            log.warning("clock not read, the order stays rejected", error=str(error))
            return answer, outcome
        resigned = OrderResigned(
            client_order_id=recorded.client_order_id,
            timestamp_ms=self._venue.timestamp_ms(),
            offset_ms=offset_ms,
        )
        decision = await self._gate.transact(
            lambda: decide_resign(self._gate.state, resigned),
            causation_id=recorded.client_order_id,
            correlation_id=recorded.intent.intent_id,
        )
        if not decision.events:
            return answer, outcome
        second, its_outcome = await self._send_if_it_may(recorded, resigned.timestamp_ms, last_look)
        return (answer, outcome) if its_outcome is None else (second, its_outcome)

    async def _journal(
        self,
        answer: Answer,
        intent_id: str,
        *,
        latch: VenueLatched | None = None,
        is_failure: bool = True,
    ) -> None:
        ORDER_OUTCOMES.labels(type(answer).__name__).inc()
        await self._gate.transact(
            lambda: decide_answer(
                self._settings,
                self._gate.state,
                answer,
                self._clock.now_ns(),
                latch=latch,
                is_failure=is_failure,
            ),
            causation_id=answer.client_order_id,
            correlation_id=intent_id,
        )
        log.info("order outcome", client_order_id=answer.client_order_id, outcome=repr(answer))

    async def doubt_orphans(self) -> None:
        """Orders recorded by a life that ended (or an append thought lost) are in doubt.

        Those of another process may just be under way: they are left to it for its lease.
        """
        lease_ns = self._settings.order_lease_ms * NS_PER_MS
        now_ns = self._clock.now_ns()
        for order in list(self._gate.state.orders.values()):
            if order.status is not OrderStatus.RECORDED or order.client_order_id in self.sending:
                continue
            is_young = abs(now_ns - order.recorded_at_ns) < lease_ns
            if order.writer != self._gate.writer and is_young:
                continue
            doubt = OrderBecameUnknown(
                client_order_id=order.client_order_id,
                why="no outcome was journaled by the process that recorded it",
            )
            await self._journal(doubt, order.intent_id)

    async def resolve_unknown(self) -> None:
        """Ask the venue after every unknown order; close one only on proof.

        Raises:
            VenueReadError: the venue did not answer after one of them; that order stays unknown.
        """
        failure: VenueReadError | None = None
        for order in list(self._gate.state.orders.values()):
            if order.status is not OrderStatus.UNKNOWN:
                continue
            try:
                await self._resolve(order)
            except VenueReadError as error:
                failure = error
                if isinstance(error.outcome, Throttled):
                    break
        if failure is not None:
            raise failure

    async def _resolve(self, order: OrderState) -> None:
        found = await self._reads.query_order(order.symbol, order.client_order_id)
        if found is None:
            found, is_absent = await self._look_for(order)
            if is_absent:
                await self._close_absent(order)
        if found is not None:
            await self.update(found)
            await self.fetch_fills(order.symbol)
        if not order.is_in_doubt:
            waited_ns = self._clock.now_ns() - order.recorded_at_ns
            UNKNOWN_RESOLVED_SECONDS.observe(waited_ns / 1e9)

    async def _look_for(self, order: OrderState) -> tuple[VenueOrder | None, bool]:
        """An order that the venue says it does not know; and whether it provably left no trace."""
        provable_ms = absence_is_provable(
            order.timestamp_ms, order.recv_window_ms, self._settings.query_lag_ms
        )
        # Ours may have jumped ahead: it is the venue's own clock that refuses late arrivals.
        if self._venue.timestamp_ms() <= provable_ms:
            return None, False
        if await self._reads.server_time() <= provable_ms:
            return None, False
        return await self._traces.find(self._gate.state, order)

    async def _close_absent(self, order: OrderState) -> None:
        """Close an order that was proven absent, and send the new attempt if there is to be one."""
        evidence = (
            f"after {order.timestamp_ms} + {order.recv_window_ms} ms"
            f" + {self._settings.query_lag_ms} ms"
            " the venue knows neither the order nor a trade of it"
        )
        decision = await self._gate.transact(
            lambda: decide_absence(
                self._settings,
                self._gate.state,
                order.client_order_id,
                evidence,
                self._lookout.facts(order.symbol),
            ),
            causation_id=order.client_order_id,
            correlation_id=order.intent_id,
        )
        for event in decision.events:
            if isinstance(event, OrderRecorded):
                log.info("order tried again", client_order_id=event.client_order_id)
                await self.submit(event)

    async def update(self, found: VenueOrder) -> None:
        """Journal an order's state as the venue tells it."""
        update = read_update(
            found.client_order_id, found.order_id, found.status, found.cumulative_quantity
        )
        if update is not None:
            await self.journal_update(update)

    async def journal_update(self, update: OrderUpdated) -> None:
        """Journal a change of one of our orders, if it is news; say aloud what cannot be."""
        state = self._gate.state
        order = state.orders.get(update.client_order_id)
        if order is not None and contradicts(order.status, update.status):
            ORDER_CONTRADICTIONS.inc()
            log.error("the venue contradicts itself", known=order.status, told=repr(update))
        await self._gate.transact(
            lambda: decide_update(self._settings, state, update, self._clock.now_ns()),
            causation_id=f"venue-order-{update.venue_order_id}",
            correlation_id=update.client_order_id,
        )

    async def journal_fills(self, fills: list[FillReceived], causation_id: str) -> None:
        """Journal the fills that are news."""
        state = self._gate.state
        await self._gate.transact(
            lambda: decide_fills(state, fills),
            causation_id=causation_id,
            correlation_id=fills[0].client_order_id if fills else causation_id,
        )

    async def fetch_fills(self, symbol: str, since_ms: int | None = None) -> None:
        """Ask the venue for the fills of a symbol and journal the missing ones.

        Args:
            since_ms: look from this venue time on, instead of from the last fills we know.

        Raises:
            VenueReadError: the venue did not answer.
        """
        seen = self._gate.state.trades.get(symbol)
        from_id: int | None = seen.ids[-TRADES_OVERLAP:][0] if seen is not None and seen.ids else 0
        if since_ms is not None:
            from_id = None
        while True:
            page = await self._reads.user_trades(
                symbol,
                from_id=from_id,
                start_ms=since_ms if from_id is None else None,
                limit=TRADES_PER_PAGE,
            )
            fills = [read_fill(trade) for trade in page]
            fills = await name_fills(self._reads, self._gate.state, fills)
            await self.journal_fills(fills, f"trades-{symbol}")
            next_id = max((trade.trade_id for trade in page), default=0) + 1
            is_stuck = from_id is not None and next_id <= from_id
            if len(page) < TRADES_PER_PAGE or is_stuck:
                return
            from_id = next_id

    async def fetch_missing_fills(self, older_than_ns: int) -> None:
        """Fetch the fills of orders that filled more than we have seen, some time ago.

        They may be older than any number of fills we know, so the order's own time tells where.
        """
        since_ms: dict[str, int] = {}
        for order in self._gate.state.orders.values():
            is_short = order.filled_quantity < order.cumulative_quantity
            is_young = older_than_ns < order.changed_at_ns <= self._clock.now_ns()
            if is_short and not is_young:
                start_ms = order.timestamp_ms - EVIDENCE_MARGIN_MS
                since_ms[order.symbol] = min(start_ms, since_ms.get(order.symbol, start_ms))
        for symbol, start_ms in sorted(since_ms.items()):
            await self.fetch_fills(symbol, start_ms)

    async def settle_open(self) -> None:
        """Ask after every order we believe to be alive at the venue (after a gap in the stream)."""
        for order in list(self._gate.state.open_orders()):
            if order.client_order_id in self.sending:
                continue
            found = await self._reads.query_order(order.symbol, order.client_order_id)
            if found is None and not order.is_in_doubt:
                found = await self._find_or_forget(order)
            if found is not None:
                await self.update(found)

    async def _find_or_forget(self, order: OrderState) -> VenueOrder | None:
        """The venue took an order and says that it knows none: found elsewhere, or over."""
        found, is_absent = await self._look_for(order)
        if is_absent:
            await self.fetch_fills(order.symbol, order.timestamp_ms - EVIDENCE_MARGIN_MS)
            forgotten = OrderForgotten(
                client_order_id=order.client_order_id,
                evidence="the venue took the order and now neither knows nor lists it",
            )
            log.error("the venue has forgotten an order", client_order_id=order.client_order_id)
            await self._gate.transact(
                lambda: decide_forgotten(self._gate.state, forgotten),
                causation_id=order.client_order_id,
                correlation_id=order.intent_id,
            )
        return found
