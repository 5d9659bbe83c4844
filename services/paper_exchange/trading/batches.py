"""Several orders in one request: each is placed, modified or canceled as if it came alone.

A batch is judged as a whole only for its form and its number; what is wrong with one of its orders
is told in its place of the answer. For the limits on orders a batch counts as documented: five in
10 seconds and one in a minute, however many orders it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.modification import modify
from services.paper_exchange.trading.order_queries import cancel_order
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.trading.placement import check_order_counts, place
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError, either_missing

Body = dict[str, object]
_Item = dict[str, str]

ORDERS_MAX: Final = 5
CANCELS_MAX: Final = 10
ORDERS_IN_10_SECONDS: Final = 5
ORDERS_IN_A_MINUTE: Final = 1
_ID_LISTS: Final = (
    ("orderId", ("orderIdList", "orderidlist")),
    ("origClientOrderId", ("origClientOrderIdList", "origclientorderidlist")),
)
"""What names one order, and the names under which clients send a list of them."""
_decode = msgspec.json.Decoder(float_hook=str).decode


def place_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """POST /fapi/v1/batchOrders; without another word, no self-trade is prevented."""
    items = _order_items(parameters)
    _book(exchange, account, now_ns)
    return [
        _answered(lambda sent: place(exchange, account, sent, now_ns, "NONE"), item)
        for item in items
    ]


def modify_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """PUT /fapi/v1/batchOrders."""
    items = _order_items(parameters)
    _book(exchange, account, now_ns)
    return [_answered(lambda sent: modify(exchange, account, sent, now_ns), item) for item in items]


def cancel_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """DELETE /fapi/v1/batchOrders: by id where ids are sent, else by the customer's own."""
    symbol = instrument_of(exchange, parameters).symbol
    items = [{"symbol": symbol, **item} for item in _named_orders(parameters)]
    return [
        _answered(lambda sent: cancel_order(exchange, account, sent, now_ns), item)
        for item in items
    ]


def _answered(carry_out: Callable[[Parameters], Body], item: _Item) -> Body:
    """The answer to one order of a batch: what it would get alone, or why it is refused."""
    try:
        return carry_out(Parameters.of_values(item, b""))
    except RefusalError as refusal:
        return refusal.body()


def _book(exchange: VenueState, account: Account, now_ns: int) -> None:
    check_order_counts(exchange, account, now_ns, orders_in_10s=ORDERS_IN_10_SECONDS)
    account.counts.book(now_ns, ORDERS_IN_10_SECONDS, ORDERS_IN_A_MINUTE)


def _order_items(parameters: Parameters) -> list[_Item]:
    """The orders of `batchOrders`; raises -1102, -1130 or, for too many or none, -4082."""
    sent = _decoded(parameters, "batchOrders")
    if not 1 <= len(sent) <= ORDERS_MAX:
        raise RefusalError(-4082)
    return [_as_sent(item) for item in sent]


def _named_orders(parameters: Parameters) -> list[_Item]:
    """What names each order to cancel; raises -1102, -1130 or, for too many, -4032."""
    for name, spellings in _ID_LISTS:
        for spelling in spellings:
            if spelling not in parameters:
                continue
            sent = _decoded(parameters, spelling)
            if len(sent) > CANCELS_MAX:
                raise RefusalError(-4032)
            if not sent or not all(isinstance(value, (str, int)) for value in sent):
                raise RefusalError(-1130, spelling)
            return [{name: _text(value)} for value in sent]
    raise either_missing("origClientOrderIdList", "orderIdList")


def _decoded(parameters: Parameters, name: str) -> list[object]:
    """A list sent as JSON; raises -1102 where it is missing, -1130 where it is no list."""
    try:
        sent = _decode(parameters.text(name))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise RefusalError(-1130, name) from None
    if not isinstance(sent, list):
        raise RefusalError(-1130, name)
    return sent


def _as_sent(item: object) -> _Item:
    """The parameters of one order: a JSON number stands for the text it was sent as."""
    if not isinstance(item, dict):
        raise RefusalError(-1130, "batchOrders")
    if any(isinstance(value, (dict, list)) for value in item.values()):
        raise RefusalError(-1130, "batchOrders")
    return {name: _text(value) for name, value in item.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
