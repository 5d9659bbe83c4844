"""What the user data stream says: one function per event, in the venue's key order of 2026.

Events are plain mappings that the hub encodes. Times are milliseconds of market time; `E` is when
the event is said and `T` when the matching engine did it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.accounts import Position
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Order, Trade
from services.paper_exchange.wire.decimal_text import (
    MONEY_STEP,
    average,
    entry,
    figure,
    money,
    plain,
    scaled,
)

Event = dict[str, object]

NS_PER_MS = 1_000_000

NO_REASON = "0"
IOC_NOT_FILLED = "2"
POSITION_GONE = "4"
MARKET_NOT_FILLED = "9"
"""Values of `er`, the reason an order expired."""


class OpenInterest(NamedTuple):
    """Notional of an account's open bids and asks on one symbol."""

    bids: Decimal
    asks: Decimal


def order_trade_update(
    instrument: Instrument,
    order: Order,
    execution: str,
    now_ms: int,
    open_interest: OpenInterest,
    *,
    trade: Trade | None = None,
    expiry_reason: str = NO_REASON,
) -> Event:
    """ORDER_TRADE_UPDATE; `execution` is NEW, TRADE, CALCULATED, AMENDMENT, CANCELED or EXPIRED."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    body: Event = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.order_type,
        "f": order.time_in_force,
        "q": scaled(order.quantity, quantities),
        "p": scaled(order.price, prices),
        "ap": average(order.average_price, prices) if order.executed else "0",
        "sp": scaled(order.stop_price, prices) if order.origin is not None else "0",
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        **({"M": order.modify_id} if execution == "AMENDMENT" else {}),
        "l": "0" if trade is None else scaled(trade.quantity, quantities),
        "z": scaled(order.executed, quantities) if order.executed else "0",
        "L": "0" if trade is None else scaled(trade.price, prices),
        "n": "0" if trade is None else money(trade.commission),
        "N": "USDT",
        "T": now_ms,
        "t": 0 if trade is None else trade.trade_id,
        "b": figure(open_interest.bids) if open_interest.bids else "0",
        "a": figure(open_interest.asks) if open_interest.asks else "0",
        "m": trade is not None and trade.is_maker,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type,
        "ps": "BOTH",
        "cp": order.close_position,
        "rp": "0" if trade is None else money(trade.realized),
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade_prevention,
        "pm": "NONE",
        "gtd": order.good_till_ms,
        "er": expiry_reason,
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": now_ms, "E": now_ms, "o": body}


def algo_update(algo: AlgoOrder, now_ms: int) -> Event:
    """ALGO_UPDATE in the key order recorded in September 2026.

    What the born order did (`ap`, `aq`, `act`) and the reason of a refusal (`rm`) are left out
    before the trigger. Prices and quantities carry no padding.
    """
    body: Event = {
        "caid": algo.client_algo_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.order_type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": "BOTH",
        "f": algo.time_in_force,
        "q": plain(algo.quantity),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
    }
    if algo.triggered_ns:
        body |= {
            "ap": plain(algo.average_price.quantize(MONEY_STEP)),
            "aq": plain(algo.executed),
            "act": algo.born_type,
        }
    body |= {
        "tp": plain(algo.trigger_price),
        "p": plain(algo.price),
        "V": algo.self_trade_prevention,
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.triggered_ns // NS_PER_MS,
        "gtd": algo.good_till_ms,
    }
    if algo.triggered_ns:
        body["rm"] = algo.reject_reason
    body["ia"] = bool(algo.extreme)
    return {"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": body}


def account_update(
    reason: str,
    now_ms: int,
    *,
    wallet: Decimal,
    balance_change: Decimal = ZERO,
    position: Position | None = None,
    mark: Decimal | None = None,
    margin_type: str = "cross",
    quantity_precision: int = 8,
) -> Event:
    """ACCOUNT_UPDATE: the changed asset, and the changed position where there is one.

    `balance_change` (`bc`) leaves profit and commission out, as documented.
    """
    balance = {
        "a": "USDT",
        "wb": money(wallet),
        "cw": money(wallet),
        "bc": money(balance_change) if balance_change else "0",
    }
    positions: list[Event] = []
    if position is not None:
        unrealized = position.unrealized(position.entry_price if mark is None else mark)
        positions.append(
            {
                "s": position.symbol,
                "pa": scaled(position.quantity, quantity_precision),
                "ep": entry(position.entry_price),
                "bep": entry(position.break_even_price),
                "cr": money(position.realized),
                "up": figure(unrealized),
                "mt": margin_type,
                "iw": "0",
                "ps": "BOTH",
            }
        )
    return {
        "e": "ACCOUNT_UPDATE",
        "T": now_ms,
        "E": now_ms,
        "a": {"m": reason, "B": [balance], "P": positions},
    }


def leverage_update(symbol: str, leverage: int, now_ms: int) -> Event:
    """ACCOUNT_CONFIG_UPDATE after a change of leverage."""
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "T": now_ms,
        "E": now_ms,
        "ac": {"s": symbol, "l": leverage},
    }


def listen_key_expired(listen_key: str, now_ms: int) -> Event:
    """listenKeyExpired: the last word of a user stream."""
    return {"e": "listenKeyExpired", "E": now_ms, "listenKey": listen_key}
