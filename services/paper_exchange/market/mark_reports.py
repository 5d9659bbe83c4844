"""Public reports of what a contract is worth: mark, index and funding, last prices, statistics."""

from decimal import Decimal
from typing import Final

from services.paper_exchange.market import payloads
from services.paper_exchange.market.candles import ZERO
from services.paper_exchange.market.day_ticker import day_ticker as day_ticker_row
from services.paper_exchange.market.funding_rates import INTEREST_RATE, REGULAR
from services.paper_exchange.market.report_view import (
    NS_PER_MS,
    ROWS_MAX,
    MarketView,
    Row,
    each_or_one,
    state_of,
    window,
)
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.wire.parameters import Parameters

FUNDINGS_DEFAULT: Final = 100
NEWEST_FUNDINGS_DEFAULT: Final = 200
"""Rows of a request that names neither a time nor a limit."""
INDEX_EXCHANGE: Final = "paper"
_USUAL_FUNDING: Final = (Decimal("0.02"), 8)
"""Cap of the rate, and hours between fundings."""


def premium_index(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/premiumIndex: mark and index price, and the funding to come."""
    return each_or_one(view, sent, lambda state: _premium(view, state, now_ns))


def last_price(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/ticker/price and its second version: the last price."""
    return each_or_one(view, sent, lambda state: _price(state, now_ns))


def day_ticker(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/ticker/24hr: the statistics of the last 24 hours."""
    return each_or_one(view, sent, lambda state: day_ticker_row(state, now_ns // NS_PER_MS))


def open_interest(view: MarketView, sent: Parameters, now_ns: int) -> Row:
    """GET /fapi/v1/openInterest: the contracts that the accounts of this venue hold open."""
    state = state_of(view, sent)
    return {
        "openInterest": state.quantity_text(view.open_interest(state.book.symbol)),
        "symbol": state.book.symbol,
        "time": now_ns // NS_PER_MS,
    }


def funding_rate(view: MarketView, sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/fundingRate: the fundings there have been, oldest first."""
    rates = view.market.funding_rates
    chosen = [state_of(view, sent).book.symbol] if "symbol" in sent else list(view.market.symbols)
    start_ms, end_ms = window(sent)
    is_newest = start_ms is None and end_ms is None
    limit = sent.limit(NEWEST_FUNDINGS_DEFAULT if is_newest else FUNDINGS_DEFAULT, ROWS_MAX)
    found = [
        funding
        for symbol in chosen
        for funding in rates.history(symbol)
        if (start_ms is None or funding.funding_ms >= start_ms)
        and (end_ms is None or funding.funding_ms <= end_ms)
    ]
    found.sort(key=lambda funding: funding.funding_ms)
    rows = found[:limit] if start_ms is not None else found[-limit:]
    return [
        {
            "symbol": funding.symbol,
            "fundingTime": funding.funding_ms,
            "fundingRate": payloads.price_text(funding.rate),
            "markPrice": payloads.price_text(funding.mark_price),
            "rateType": REGULAR,
        }
        for funding in rows
    ]


def funding_info(view: MarketView, _sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/fundingInfo: the symbols whose cap or interval is not the usual one."""
    return [
        {
            "symbol": listed.symbol,
            "adjustedFundingRateCap": payloads.price_text(listed.funding_rate_cap),
            "adjustedFundingRateFloor": payloads.price_text(-listed.funding_rate_cap),
            "fundingIntervalHours": listed.funding_interval_hours,
            "disclaimer": False,
        }
        for listed in view.market.instruments.values()
        if (listed.funding_rate_cap, listed.funding_interval_hours) != _USUAL_FUNDING
    ]


def constituents(view: MarketView, sent: Parameters, now_ns: int) -> Row:
    """GET /fapi/v1/constituents: where the index comes from, which here is the source alone."""
    state = state_of(view, sent)
    return {
        "symbol": state.book.symbol,
        "time": now_ns // NS_PER_MS,
        "constituents": [
            {
                "exchange": INDEX_EXCHANGE,
                "symbol": state.book.symbol,
                "price": payloads.price_text(_index(state)),
                "weight": "1.00000000",
            }
        ],
    }


def _index(state: SymbolMarket) -> Decimal:
    return state.book.index_price or state.book.mark_price or ZERO


def _premium(view: MarketView, state: SymbolMarket, now_ns: int) -> Row:
    book, rates = state.book, view.market.funding_rates
    mark_text = payloads.price_text(book.mark_price or ZERO)
    return {
        "symbol": book.symbol,
        "markPrice": mark_text,
        "indexPrice": payloads.price_text(_index(state)),
        "estimatedSettlePrice": mark_text,
        "lastFundingRate": payloads.price_text(rates.rate(book.symbol)),
        "interestRate": payloads.price_text(INTEREST_RATE),
        "nextFundingTime": rates.next_funding_ms(book.symbol, now_ns),
        "time": now_ns // NS_PER_MS,
    }


def _price(state: SymbolMarket, now_ns: int) -> Row:
    trades = state.trades
    return {
        "symbol": state.book.symbol,
        "price": state.price_text(state.book.last_price or ZERO),
        "time": trades[-1].transaction_ms if trades else now_ns // NS_PER_MS,
    }
