"""Public reports of what a contract is worth: mark, index and funding, last prices, statistics."""

from typing import Final

from services.paper_exchange.market import payloads
from services.paper_exchange.market.candles import ZERO
from services.paper_exchange.market.day_ticker import day_ticker as day_ticker_row
from services.paper_exchange.market.market import SymbolMarket
from services.paper_exchange.market.report_view import (
    NS_PER_MS,
    MarketView,
    Row,
    each_or_one,
    state_of,
)
from services.paper_exchange.wire.parameters import Parameters

INTEREST_RATE: Final = "0.00010000"


def premium_index(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/premiumIndex: mark and index price, and the funding to come."""
    return each_or_one(view, sent, lambda state: _premium(state, now_ns))


def last_price(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/ticker/price and its second version: the last price."""
    return each_or_one(view, sent, lambda state: _price(state, now_ns))


def day_ticker(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/ticker/24hr: the statistics of the last 24 hours."""
    return each_or_one(view, sent, lambda state: day_ticker_row(state, now_ns // NS_PER_MS))


def open_interest(view: MarketView, sent: Parameters, now_ns: int) -> Row:
    """GET /fapi/v1/openInterest: what the accounts of this venue hold, longs and shorts alike."""
    state = state_of(view, sent)
    return {
        "openInterest": state.quantity_text(view.open_interest(state.book.symbol)),
        "symbol": state.book.symbol,
        "time": now_ns // NS_PER_MS,
    }


def funding_rate(view: MarketView, sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/fundingRate: the fundings there have been."""
    if "symbol" in sent:
        state_of(view, sent)
    return []


def _premium(state: SymbolMarket, now_ns: int) -> Row:
    book = state.book
    mark_text = payloads.price_text(book.mark_price or ZERO)
    return {
        "symbol": book.symbol,
        "markPrice": mark_text,
        "indexPrice": payloads.price_text(book.index_price or ZERO),
        "estimatedSettlePrice": mark_text,
        "lastFundingRate": payloads.FUNDING_RATE,
        "interestRate": INTEREST_RATE,
        "nextFundingTime": payloads.next_funding_ms(now_ns),
        "time": now_ns // NS_PER_MS,
    }


def _price(state: SymbolMarket, now_ns: int) -> Row:
    trades = state.trades
    return {
        "symbol": state.book.symbol,
        "price": state.price_text(state.book.last_price or ZERO),
        "time": trades[-1].transaction_ms if trades else now_ns // NS_PER_MS,
    }
