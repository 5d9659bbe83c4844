"""What the user data stream says: one function per event, in the venue's key order of 2026.

Events are plain mappings that the hub encodes. Times are milliseconds of market time; `E` is when
the event is said and `T` when the matching engine did it.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.accounts import Position
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.margin import OpenNotionals, Wallets
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
SELF_TRADE = "1"
IOC_NOT_FILLED = "2"
IOC_SELF_TRADE = "3"
POSITION_GONE = "4"
MARKET_NOT_FILLED = "9"
"""Values of `er`, the reason an order expired."""


def order_trade_update(
    instrument: Instrument,
    order: Order,
    execution: str,
    now_ms: int,
    open_interest: OpenNotionals,
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
        **({} if order.modify_id is None else {"M": order.modify_id}),
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
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": "0" if trade is None else money(trade.realized),
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade_prevention,
        "pm": order.price_match,
        "gtd": order.good_till_ms,
        "er": expiry_reason,
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": now_ms, "E": now_ms, "o": body}


def trade_lite(instrument: Instrument, order: Order, trade: Trade, now_ms: int) -> Event:
    """TRADE_LITE: a fill in few words, without fee and profit."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    return {
        "e": "TRADE_LITE",
        "E": now_ms,
        "T": now_ms,
        "s": order.symbol,
        "q": scaled(order.quantity, quantities),
        "p": scaled(order.price, prices),
        "m": trade.is_maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": scaled(trade.price, prices),
        "l": scaled(trade.quantity, quantities),
        "t": trade.trade_id,
        "i": order.order_id,
    }


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
        "ps": algo.position_side,
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
        "pm": algo.price_match,
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
    reason: str, now_ms: int, balances: list[Event], positions: list[Event], symbol: str = ""
) -> Event:
    """ACCOUNT_UPDATE: what changed, as rows of `balance_row` and `position_row`.

    `symbol` is what a funding fee was paid for; no other reason names one.
    """
    changed: Event = {"m": reason, "B": balances, "P": positions}
    if symbol:
        changed["S"] = symbol
    return {"e": "ACCOUNT_UPDATE", "T": now_ms, "E": now_ms, "a": changed}


def balance_row(wallets: Wallets, change: Decimal) -> Event:
    """One asset of an ACCOUNT_UPDATE: the wallet balance, and what of it is cross.

    `change` leaves profit and commission out, as documented.
    """
    return {
        "a": "USDT",
        "wb": money(wallets.total),
        "cw": money(wallets.cross),
        "bc": money(change) if change else "0",
    }


def position_row(
    position: Position,
    mark: Decimal | None,
    margin_type: str,
    isolated_wallet: Decimal,
    quantity_precision: int,
) -> Event:
    """One position of an ACCOUNT_UPDATE."""
    unrealized = position.unrealized(position.entry_price if mark is None else mark)
    return {
        "s": position.symbol,
        "pa": scaled(position.quantity, quantity_precision),
        "ep": entry(position.entry_price),
        "bep": entry(position.break_even_price),
        "cr": money(position.realized),
        "up": figure(unrealized),
        "mt": margin_type,
        "iw": money(isolated_wallet) if isolated_wallet else "0",
        "ps": position.position_side,
    }


def leverage_update(symbol: str, leverage: int, now_ms: int) -> Event:
    """ACCOUNT_CONFIG_UPDATE after a change of leverage."""
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": now_ms,
        "T": now_ms,
        "ac": {"s": symbol, "l": leverage},
    }


def multi_assets_update(is_on: bool, now_ms: int) -> Event:
    """ACCOUNT_CONFIG_UPDATE after a change between single-asset and multi-assets mode."""
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ai": {"j": is_on}}


def listen_key_expired(listen_key: str, now_ms: int) -> Event:
    """listenKeyExpired: the last word of a user stream."""
    return {"e": "listenKeyExpired", "E": now_ms, "listenKey": listen_key}
