"""Public reports of the order book: depth with and without retail orders, best bid and ask."""

from typing import Final

from services.paper_exchange.market.candles import ZERO
from services.paper_exchange.market.report_view import (
    NS_PER_MS,
    MarketView,
    Row,
    each_or_one,
    state_of,
)
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

DEPTH_LIMIT_DEFAULT: Final = 500
DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1_000: 20}
RPI_DEPTH_LIMIT: Final = 1_000
RPI_DEPTH_WEIGHT: Final = 20


def depth(view: MarketView, sent: Parameters, now_ns: int) -> Row:
    """GET /fapi/v1/depth: the best levels of a symbol, best first."""
    state = state_of(view, sent)
    limit = sent.optional_integer("limit")
    limit = DEPTH_LIMIT_DEFAULT if limit is None else limit
    if limit not in DEPTH_WEIGHTS:
        known = ", ".join(map(str, DEPTH_WEIGHTS))
        text = f"{limit} is not valid depth limit (valid values: {known})."
        raise RefusalError(-4021, text=text)
    return _levels(state, limit, now_ns)


def depth_weight(sent: Parameters) -> int:
    """What a depth request weighs: more for more levels."""
    text = sent.values.get("limit", "")
    limit = int(text) if text.isdecimal() else DEPTH_LIMIT_DEFAULT
    return DEPTH_WEIGHTS.get(limit, DEPTH_WEIGHTS[DEPTH_LIMIT_DEFAULT])


def rpi_depth(view: MarketView, sent: Parameters, now_ns: int) -> Row:
    """GET /fapi/v1/rpiDepth: the book with retail orders, which the modelled crowd never sends."""
    state = state_of(view, sent)
    limit = sent.optional_integer("limit")
    if limit not in (None, RPI_DEPTH_LIMIT):
        text = f"{limit} is not valid depth limit (valid values: {RPI_DEPTH_LIMIT})."
        raise RefusalError(-4021, text=text)
    return _levels(state, RPI_DEPTH_LIMIT, now_ns)


def book_ticker(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/ticker/bookTicker: best bid and ask of one symbol or of all."""
    return each_or_one(view, sent, lambda state: _best(state, now_ns))


def socket_book_ticker(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """The method `ticker.book` of the WebSocket API: as `book_ticker`, and the book's update id."""
    return each_or_one(
        view,
        sent,
        lambda state: {"lastUpdateId": state.book.last_update_id, **_best(state, now_ns)},
    )


def _levels(state: SymbolMarket, limit: int, now_ns: int) -> Row:
    bids, asks = state.book.snapshot(limit)
    return {
        "lastUpdateId": state.book.last_update_id,
        "E": now_ns // NS_PER_MS,
        "T": state.book.ts_ns // NS_PER_MS,
        "bids": bids,
        "asks": asks,
    }


def _best(state: SymbolMarket, now_ns: int) -> Row:
    bids, asks = state.book.snapshot(1)
    nothing = (state.price_text(ZERO), state.quantity_text(ZERO))
    bid_price, bid_quantity = bids[0] if bids else nothing
    ask_price, ask_quantity = asks[0] if asks else nothing
    return {
        "symbol": state.book.symbol,
        "bidPrice": bid_price,
        "bidQty": bid_quantity,
        "askPrice": ask_price,
        "askQty": ask_quantity,
        "time": (state.book.ts_ns or now_ns) // NS_PER_MS,
    }
