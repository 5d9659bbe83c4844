"""What the venue itself did to an account's positions, and how near it is to doing it again."""

from __future__ import annotations

from typing import Final

from services.paper_exchange.money.deleveraging import quantile
from services.paper_exchange.money.forced_closing import AUTO_CLOSE_TYPES
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.order_queries import in_window, optional_symbol, window
from services.paper_exchange.trading.order_shapes import listed_order
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

Body = dict[str, object]
ROWS_DEFAULT: Final = 50
ROWS_MAX: Final = 100
_UNTOLD: Final = frozenset(
    {"priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"}
)
"""Keys of an order that forceOrders leaves out."""


def force_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/forceOrders: liquidations and deleveragings of the window (default 7 days)."""
    symbol = optional_symbol(exchange, parameters)
    asked = parameters.optional_text("autoCloseType")
    known = set(filter(None, AUTO_CLOSE_TYPES.values()))
    if asked is not None and asked not in known:
        raise RefusalError(-1130, "autoCloseType")
    limit = parameters.limit(ROWS_DEFAULT, ROWS_MAX)
    start_ms, end_ms, is_from_start = window(exchange, parameters, now_ns)
    chosen = (
        order
        for order in account.orders.values()
        if order.auto_close_type in ({asked} if asked else known) and symbol in (None, order.symbol)
    )
    placed = in_window(chosen, lambda order: order.created_ns, start_ms, end_ms)
    rows = placed[:limit] if is_from_start else placed[-limit:]
    return [
        {name: value for name, value in body.items() if name not in _UNTOLD}
        for body in (listed_order(exchange.instruments[order.symbol], order) for order in rows)
    ]


def adl_quantiles(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/adlQuantile: of one symbol, or of all with a position."""
    symbol = optional_symbol(exchange, parameters)
    symbols = exchange.instruments if symbol is None else (symbol,)
    return [
        {"symbol": name, "adlQuantile": _quantiles(exchange, account, name)}
        for name in symbols
        if symbol is not None or account.has_position(name)
    ]


def _quantiles(exchange: VenueState, account: Account, symbol: str) -> Body:
    """By side; under cross margin in hedge mode both sides are judged together, by the nearer."""
    long, short, both = (
        quantile(exchange, account, account.position(symbol, side))
        for side in ("LONG", "SHORT", "BOTH")
    )
    if not account.is_hedge_mode or account.is_isolated(symbol):
        return {"LONG": long, "SHORT": short, "BOTH": both}
    if long and short:
        long = short = max(long, short)
    return {"LONG": long, "SHORT": short, "HEDGE": 0}


def trading_status(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/apiTradingStatus: nobody is restricted by trading rules here."""
    optional_symbol(exchange, parameters)
    return {"indicators": {}, "updateTime": now_ns // NS_PER_MS}
