"""The public stream of liquidations: of each symbol the latest one of a second, at its end."""

from __future__ import annotations

from typing import Final

from services.paper_exchange.state.orders import Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.wire.decimal_text import average, scaled

PERIOD_NS: Final = 1_000 * NS_PER_MS
DEADLINE: Final = "force order"
ALL_SYMBOLS: Final = "!forceOrder@arr"
USD_MARGINED: Final = 1
"""`st` of contracts margined in USD stablecoins; that stream tells of those in coins, too."""


def announce(state: VenueState, order: Order, now_ns: int) -> None:
    """Have the stream tell of this liquidation, unless another comes before the second ends."""
    late = state.risk.announced_late
    if order.symbol not in late:
        due_ns = now_ns - now_ns % PERIOD_NS + PERIOD_NS
        state.add_deadline(due_ns, DEADLINE, "", order.symbol)
    instrument = state.instruments[order.symbol]
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    late[order.symbol] = {
        "s": order.symbol,
        "S": order.side,
        "o": order.order_type,
        "f": order.time_in_force,
        "q": scaled(order.quantity, quantities),
        "p": scaled(order.price, prices),
        "ap": average(order.average_price, prices),
        "X": order.status,
        "l": scaled(order.executed, quantities),
        "z": scaled(order.executed, quantities),
        "T": order.updated_ns // NS_PER_MS,
    }


def publish(state: VenueState, symbol: str, due_ns: int) -> None:
    """Say what was held back until the end of the second, to all with its pair and its kind."""
    body = state.risk.announced_late.pop(symbol)
    event = {"e": "forceOrder", "E": due_ns // NS_PER_MS, "o": body}
    state.announcements.append((f"{symbol.lower()}@forceOrder", event))
    state.announcements.append((ALL_SYMBOLS, {**event, "ps": symbol, "st": USD_MARGINED}))
