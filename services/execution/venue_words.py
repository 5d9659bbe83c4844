"""What we say to the venue, and what its words mean to the journal. Nothing is guessed."""

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
from libs.common.model.order import Side, parse_venue_status
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.log import get_logger
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled, describe
from libs.common.venue.payloads import PayloadError, UserTrade, VenueOrder, decode_payload
from services.execution.answers import Answer

log = get_logger(__name__)


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
    if order.good_till_ms is not None:
        parameters["goodTillDate"] = str(order.good_till_ms)
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
            if order.client_order_id != client_order_id:
                return OrderBecameUnknown(
                    client_order_id=client_order_id,
                    why="the answer speaks of another order",
                    sent_wall_ns=sent_wall_ns,
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
