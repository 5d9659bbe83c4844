"""Carries orders to the venue and the answers back into the journal."""

from decimal import Decimal

from libs.common.messages.journal import (
    FillReceived,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderUpdated,
)
from libs.common.model.money import plain
from libs.common.model.order import OrderStatus, Side, parse_venue_status
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import ORDER_OUTCOMES, ORDER_SUBMIT_SECONDS
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled, describe
from libs.common.venue.payloads import PayloadError, UserTrade, VenueOrder, decode_payload
from services.execution.core import (
    Facts,
    absence_is_provable,
    decide_answer,
    decide_fills,
    decide_not_placed,
    decide_update,
    may_send,
)
from services.execution.gate import Gate
from services.execution.state import OrderState

log = get_logger(__name__)

TRADES_PER_PAGE = 1_000
#: Re-read this many known trades when looking for missing ones: they can arrive out of order.
TRADES_OVERLAP = 100
#: How far before an order's own timestamp its traces are looked for at the venue.
EVIDENCE_MARGIN_MS = 60_000

Answer = OrderAnswered | OrderRejected | OrderBecameUnknown | OrderNotPlaced


def order_parameters(recorded: OrderRecorded) -> dict[str, str]:
    """The venue's parameters for a recorded order (RESULT: the answer carries the final state)."""
    order = recorded.order
    parameters = {
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.order_type.value,
        "quantity": plain(order.quantity),
        "newClientOrderId": recorded.client_order_id,
        "newOrderRespType": "RESULT",
    }
    if order.price is not None:
        assert order.time_in_force is not None, "the gate refuses a limit order without one"
        parameters["price"] = plain(order.price)
        parameters["timeInForce"] = order.time_in_force.value
    if order.reduce_only:
        parameters["reduceOnly"] = "true"
    return parameters


def read_answer(client_order_id: str, outcome: Outcome, sent_wall_ns: int) -> Answer:
    """What an outcome means for the order: three answers, never two.

    A duplicate client order id means that an earlier attempt is open at the venue, so it is no
    rejection of the order but a question about it.
    """
    answered_wall_ns = wall_ns()
    match outcome:
        case Accepted():
            try:
                order = decode_payload(outcome.body, VenueOrder)
                status = parse_venue_status(order.status)
            except (PayloadError, ValueError) as error:
                return OrderBecameUnknown(
                    client_order_id=client_order_id, why=str(error), sent_wall_ns=sent_wall_ns
                )
            return OrderAnswered(
                client_order_id=client_order_id,
                venue_order_id=order.order_id,
                status=status,
                cumulative_quantity=order.cumulative_quantity,
                sent_wall_ns=sent_wall_ns,
                answered_wall_ns=answered_wall_ns,
            )
        case Rejected(reason=VenueReason.NOT_SENT):
            return OrderNotPlaced(
                client_order_id=client_order_id, evidence=f"nothing was sent: {outcome.message}"
            )
        case Rejected(reason=VenueReason.DUPLICATE_CLIENT_ORDER_ID):
            return OrderBecameUnknown(
                client_order_id=client_order_id, why=describe(outcome), sent_wall_ns=sent_wall_ns
            )
        case Rejected() | Throttled():
            reason = outcome.reason if isinstance(outcome, Rejected) else outcome.kind
            return OrderRejected(
                client_order_id=client_order_id,
                reason=str(reason),
                code=outcome.code,
                message=outcome.message,
                sent_wall_ns=sent_wall_ns,
                answered_wall_ns=answered_wall_ns,
            )
        case _:
            return OrderBecameUnknown(
                client_order_id=client_order_id, why=outcome.why, sent_wall_ns=sent_wall_ns
            )


def read_update(
    client_order_id: str, venue_order_id: int, status: str, cumulative_quantity: Decimal
) -> OrderUpdated | None:
    """What the venue says of an order; ``None`` for a word this version does not know.

    Nothing is guessed then: the order stays as it is, and an unknown one stays quarantined.
    """
    try:
        known = parse_venue_status(status)
    except ValueError as error:
        log.error("order not understood", client_order_id=client_order_id, why=str(error))
        return None
    return OrderUpdated(
        client_order_id=client_order_id,
        venue_order_id=venue_order_id,
        status=known,
        cumulative_quantity=cumulative_quantity,
    )


def read_fill(trade: UserTrade) -> FillReceived:
    """A row of the venue's trade list as a fill; it does not name our order id."""
    return FillReceived(
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        client_order_id="",
        venue_order_id=trade.order_id,
        side=Side(trade.side),
        quantity=trade.quantity,
        price=trade.price,
        commission=trade.commission,
        commission_asset=trade.commission_asset,
        venue_realized_pnl=trade.realized_pnl,
        is_maker=trade.is_maker,
        ts_trade_ns=trade.time_ms * 1_000_000,
    )


class OrderDesk:
    """Sends recorded orders, asks after unknown ones, fetches missing fills."""

    def __init__(self, gate: Gate, venue: VenueClient, query_lag_ms: int) -> None:
        self._gate = gate
        self._venue = venue
        self._query_lag_ms = query_lag_ms
        self.sending: set[str] = set()

    async def submit(self, recorded: OrderRecorded, facts: Facts) -> None:
        """Send a recorded order once, and journal what came of it.

        Raises:
            BusError: the outcome could not be journaled; the order is then found in doubt later.
        """
        client_order_id = recorded.client_order_id
        self.sending.add(client_order_id)
        try:
            why_not = may_send(self._gate.state, recorded, facts)
            if why_not:
                answer: Answer = OrderNotPlaced(
                    client_order_id=client_order_id, evidence=f"not sent: {why_not}"
                )
            else:
                sent_wall_ns = wall_ns()
                outcome = await self._venue.place_order(
                    order_parameters(recorded),
                    timestamp_ms=recorded.timestamp_ms,
                    recv_window_ms=recorded.recv_window_ms,
                )
                ORDER_SUBMIT_SECONDS.observe((wall_ns() - sent_wall_ns) / 1e9)
                answer = read_answer(client_order_id, outcome, sent_wall_ns)
            await self._journal(answer, recorded.intent.intent_id)
        finally:
            self.sending.discard(client_order_id)

    async def _journal(self, answer: Answer, intent_id: str) -> None:
        ORDER_OUTCOMES.labels(type(answer).__name__).inc()
        state = self._gate.state
        await self._gate.transact(
            lambda: (
                decide_not_placed(state, answer.client_order_id, answer.evidence)
                if isinstance(answer, OrderNotPlaced)
                else decide_answer(state, answer)
            ),
            causation_id=answer.client_order_id,
            correlation_id=intent_id,
        )
        log.info("order outcome", client_order_id=answer.client_order_id, outcome=repr(answer))

    async def doubt_orphans(self) -> None:
        """Orders recorded by a life that ended (or an append thought lost) are in doubt."""
        for order in list(self._gate.state.orders.values()):
            if order.status is OrderStatus.RECORDED and order.client_order_id not in self.sending:
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
        found = await self._venue.query_order(order.symbol, order.client_order_id)
        if found is None:
            provable_ms = absence_is_provable(
                order.timestamp_ms, order.recv_window_ms, self._query_lag_ms
            )
            # Ours may have jumped ahead: it is the venue's own clock that refuses late arrivals.
            if self._venue.timestamp_ms() <= provable_ms:
                return
            if await self._venue.server_time() <= provable_ms:
                return
            found = await self._look_everywhere(order)
        if found is not None:
            await self.update(found)
            await self.fetch_fills(order.symbol)

    async def _look_everywhere(self, order: OrderState) -> VenueOrder | None:
        """The second and third evidence; without a trace in either, the order was not placed."""
        start_ms = order.timestamp_ms - EVIDENCE_MARGIN_MS
        orders = await self._venue.all_orders(order.symbol, start_ms=start_ms)
        for candidate in orders:
            if candidate.client_order_id == order.client_order_id:
                return candidate
        known = {candidate.order_id for candidate in orders}
        known |= {other.venue_order_id for other in self._gate.state.orders.values()}
        trades = await self._venue.user_trades(order.symbol, start_ms=start_ms)
        if all(trade.order_id in known for trade in trades):
            evidence = (
                f"after {order.timestamp_ms} + {order.recv_window_ms} ms + {self._query_lag_ms} ms"
                " the venue knows neither the order nor a trade of it"
            )
            placed_not = OrderNotPlaced(client_order_id=order.client_order_id, evidence=evidence)
            await self._journal(placed_not, order.intent_id)
        return None

    async def update(self, found: VenueOrder) -> None:
        """Journal an order's state as the venue tells it."""
        update = read_update(
            found.client_order_id, found.order_id, found.status, found.cumulative_quantity
        )
        if update is not None:
            await self.journal_update(update)

    async def journal_update(self, update: OrderUpdated) -> None:
        """Journal a change of one of our orders, if it is news."""
        state = self._gate.state
        await self._gate.transact(
            lambda: decide_update(state, update),
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
            page = await self._venue.user_trades(
                symbol,
                from_id=from_id,
                start_ms=since_ms if from_id is None else None,
                limit=TRADES_PER_PAGE,
            )
            await self.journal_fills([read_fill(trade) for trade in page], f"trades-{symbol}")
            if len(page) < TRADES_PER_PAGE:
                return
            from_id = page[-1].trade_id + 1

    async def fetch_missing_fills(self, older_than_ns: int) -> None:
        """Fetch the fills of orders that filled more than we have seen, some time ago.

        They may be older than any number of fills we know, so the order's own time tells where.
        """
        since_ms: dict[str, int] = {}
        for order in self._gate.state.orders.values():
            is_short = order.filled_quantity < order.cumulative_quantity
            if is_short and order.changed_at_ns <= older_than_ns:
                start_ms = order.timestamp_ms - EVIDENCE_MARGIN_MS
                since_ms[order.symbol] = min(start_ms, since_ms.get(order.symbol, start_ms))
        for symbol, start_ms in sorted(since_ms.items()):
            await self.fetch_fills(symbol, start_ms)

    async def settle_open(self) -> None:
        """Ask after every order we believe to be alive at the venue (after a gap in the stream)."""
        for order in list(self._gate.state.open_orders()):
            if order.client_order_id in self.sending:
                continue
            found = await self._venue.query_order(order.symbol, order.client_order_id)
            if found is not None:
                await self.update(found)
