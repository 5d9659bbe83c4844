"""Reading an order: what its parameters alone show to be wrong is refused here.

One-way and hedge mode differ in what may be sent: in hedge mode each order names its position side,
and `reduceOnly` is not accepted, because side and position side together say what closes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import TIMES_IN_FORCE, Instrument
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import ALGO_TYPES
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import SIDES
from services.paper_exchange.state.position_sides import BOTH, LONG, SHORT
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.matching import opposite
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

CLIENT_ORDER_ID_RANGE: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
_GOOD_TILL_MS_MAX: Final = 253_402_300_799_000
NO_PRICE_MATCH: Final = "NONE"
PRICE_MATCHES: Final[Mapping[str, tuple[bool, int]]] = {
    "OPPONENT": (True, 1),
    "OPPONENT_5": (True, 5),
    "QUEUE": (False, 1),
    "QUEUE_5": (False, 5),
    "QUEUE_10": (False, 10),
    "QUEUE_20": (False, 20),
}
"""Whether the price is taken from the opposite side, and which level of it counts."""
DEFAULT_PREVENTION: Final = "EXPIRE_MAKER"
"""Self-trade prevention of a single order that names none."""
_SELF_TRADE_PREVENTION: Final = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "NONE")
_FOREIGN_TO_LIMIT: Final = (
    "stopPrice",
    "triggerPrice",
    "activationPrice",
    "activatePrice",
    "callbackRate",
)
_FOREIGN_TO_MARKET: Final = ("timeInForce", "price", "goodTillDate", *_FOREIGN_TO_LIMIT)


def instrument_of(exchange: VenueState, parameters: Parameters) -> Instrument:
    """The instrument that `symbol` names; raises -1102 or -1121."""
    instrument = exchange.instruments.get(parameters.text("symbol"))
    if instrument is None:
        raise RefusalError(-1121)
    return instrument


def read_order(
    exchange: VenueState,
    account: Account,
    parameters: Parameters,
    now_ns: int,
    prevention: str = DEFAULT_PREVENTION,
) -> OrderRequest:
    """Read the parameters of an order; raises what they alone are refused for.

    `prevention` is the self-trade prevention of an order that names none. A price match is turned
    into a price here; raises -5041 where the book has no such level.
    """
    instrument = instrument_of(exchange, parameters)
    side, order_type = parameters.text("side"), parameters.text("type")
    if side not in SIDES:
        raise RefusalError(-1117)
    if order_type in ALGO_TYPES:
        raise RefusalError(-4120)
    if order_type not in ("LIMIT", "MARKET"):
        raise RefusalError(-1116)
    is_market = order_type == "MARKET"
    refuse_foreign(parameters, _FOREIGN_TO_MARKET if is_market else _FOREIGN_TO_LIMIT)
    time_in_force = "GTC" if is_market else parameters.text("timeInForce")
    if time_in_force not in TIMES_IN_FORCE:
        raise RefusalError(-1115)
    if parameters.optional_boolean("closePosition"):
        raise RefusalError(-4136, order_type, "true")
    price_match = read_price_match(parameters, is_limit=not is_market)
    book = exchange.books[instrument.symbol]
    return OrderRequest(
        symbol=instrument.symbol,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        quantity=parameters.decimal("quantity"),
        price=ZERO if is_market else read_price(book, parameters, side, price_match),
        reduce_only=read_reduce_only(account, parameters),
        client_order_id=read_client_id(parameters, "newClientOrderId"),
        self_trade_prevention=read_self_trade_prevention(parameters, prevention),
        good_till_ms=read_good_till_ms(exchange, parameters, time_in_force, now_ns),
        wants_result=_wants_result(parameters),
        position_side=read_position_side(account, parameters),
        price_match=price_match,
    )


def refuse_foreign(parameters: Parameters, names: tuple[str, ...]) -> None:
    """Refuse parameters that this kind of order does not have with -1106."""
    for name in names:
        if parameters.values.get(name):
            raise RefusalError(-1106, name)


def read_position_side(account: Account, parameters: Parameters) -> str:
    """BOTH in one-way mode, LONG or SHORT, which must be sent, in hedge mode.

    Raises -4060 for no side at all and -4061 for one of the other mode.
    """
    position_side = parameters.optional_text("positionSide") or BOTH
    if position_side not in (BOTH, LONG, SHORT):
        raise RefusalError(-4060)
    if (position_side == BOTH) == account.is_hedge_mode:
        raise RefusalError(-4061)
    return position_side


def read_reduce_only(account: Account, parameters: Parameters) -> bool:
    """Whether the order may only reduce; raises -1106 where it is sent at all in hedge mode."""
    is_reduce_only = parameters.optional_boolean("reduceOnly")
    if is_reduce_only is not None and account.is_hedge_mode:
        raise RefusalError(-1106, "reduceonly")
    return is_reduce_only or False


def read_price_match(parameters: Parameters, *, is_limit: bool) -> str:
    """The place in the book to take the price from; raises -5037, -5038 or -1106."""
    price_match = parameters.optional_text("priceMatch") or NO_PRICE_MATCH
    if price_match == NO_PRICE_MATCH:
        return price_match
    if price_match not in PRICE_MATCHES:
        raise RefusalError(-5037)
    if not is_limit:
        raise RefusalError(-5038)
    refuse_foreign(parameters, ("price",))
    return price_match


def read_price(book: Book, parameters: Parameters, side: str, price_match: str) -> Decimal:
    """The limit price, sent or matched; raises -1102 or -5041."""
    if price_match == NO_PRICE_MATCH:
        return parameters.decimal("price")
    return matched_price(book, side, price_match)


def matched_price(book: Book, side: str, price_match: str) -> Decimal:
    """The price that a price match stands for in the source's book; raises -5041 without it."""
    is_opponent, place = PRICE_MATCHES[price_match]
    levels = book.levels_for_taker(side if is_opponent else opposite(side))
    for number, (price, _) in enumerate(levels, 1):
        if number == place:
            return price
    raise RefusalError(-5041)


def read_client_id(parameters: Parameters, name: str) -> str | None:
    """The customer's own id of an order; raises -4015 or -1100 for one that may not be."""
    client_order_id = parameters.optional_text(name)
    if client_order_id is None:
        return None
    if len(client_order_id) > 36:
        raise RefusalError(-4015)
    if _CLIENT_ORDER_ID.fullmatch(client_order_id) is None:
        raise RefusalError(-1100, name, CLIENT_ORDER_ID_RANGE)
    return client_order_id


def read_self_trade_prevention(parameters: Parameters, default: str = DEFAULT_PREVENTION) -> str:
    """The mode of self-trade prevention; raises -5039 for one that is none."""
    mode = parameters.optional_text("selfTradePreventionMode") or default
    if mode not in _SELF_TRADE_PREVENTION:
        raise RefusalError(-5039)
    return mode


def read_good_till_ms(
    exchange: VenueState, parameters: Parameters, time_in_force: str, now_ns: int
) -> int:
    """When a GTD order ends, 0 for any other; raises -1106, -1102 or -5040."""
    if time_in_force != "GTD":
        if parameters.values.get("goodTillDate") not in (None, "", "0"):
            raise RefusalError(-1106, "goodTillDate")
        return 0
    good_till_ms = parameters.integer("goodTillDate") // 1_000 * 1_000
    earliest_ms = now_ns // NS_PER_MS + exchange.limits.good_till_date_ahead_ms_min
    if not earliest_ms < good_till_ms < _GOOD_TILL_MS_MAX:
        raise RefusalError(-5040)
    return good_till_ms


def _wants_result(parameters: Parameters) -> bool:
    response_type = parameters.optional_text("newOrderRespType") or "ACK"
    if response_type not in ("ACK", "RESULT"):
        raise RefusalError(-1136)
    return response_type == "RESULT"
