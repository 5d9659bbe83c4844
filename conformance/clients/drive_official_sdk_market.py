"""Market data as the SDK reads it into its models."""

from __future__ import annotations

import time as clock
from typing import Any

from conformance.clients.drive_official_sdk_session import ID, OTHER, VENUE, rest
from conformance.driver import capability, equal, expect, filled_list, positive, text_number

_MINUTE_MS = 60_000


@capability("market.ping")
def ping() -> None:
    equal(rest("test_connectivity"), {})


@capability("market.time")
def time() -> None:
    now = rest("check_server_time").server_time
    expect(abs(now - clock.time() * 1000 - VENUE.clock_offset_ms()) < 2_000, now)


@capability("market.exchange_info")
def exchange_info() -> None:
    info = rest("exchange_information")
    equal(info.timezone, "UTC")
    kinds = {(row.rate_limit_type, row.interval, row.limit > 0) for row in info.rate_limits}
    expect(("REQUEST_WEIGHT", "MINUTE", True) in kinds, kinds)
    expect(("ORDERS", "SECOND", True) in kinds and ("ORDERS", "MINUTE", True) in kinds, kinds)
    row = next(row for row in info.symbols if row.symbol == ID)
    equal((row.pair, row.contract_type, row.status), (ID, "PERPETUAL", "TRADING"))
    filters = {one.filter_type: one for one in row.filters}
    equal((filters["PRICE_FILTER"].tick_size, filters["LOT_SIZE"].step_size), ("0.10", "0.001"))
    equal((filters["MIN_NOTIONAL"].notional, filters["MAX_NUM_ORDERS"].limit), ("50", 200))
    expect("STOP_MARKET" in row.order_types and "GTX" in row.time_in_force, row)


@capability("market.depth")
def depth() -> None:
    for limit in (5, 100, 1000):
        book = rest("order_book", ID, limit)
        bids = [[text_number(text) for text in row] for row in book.bids]
        asks = [[text_number(text) for text in row] for row in book.asks]
        expect(bids and asks and len(bids) <= limit, book)
        equal((bids, asks), (sorted(bids, reverse=True), sorted(asks)), "best first")
        expect(bids[0][0] < asks[0][0] and book.last_update_id > 0, book)


@capability("market.rpi_depth")
def rpi_depth() -> None:
    book = rest("rpi_order_book", ID, 1000)
    expect(positive(book.bids[0][0]) < positive(book.asks[0][0]), book)


@capability("market.adl_risk")
def adl_risk() -> None:
    risk = rest("adl_risk", ID)
    equal((risk.symbol, risk.adl_risk in {"high", "medium", "low"}), (ID, True))


@capability("market.trades")
def trades() -> None:
    rows = filled_list(rest("recent_trades_list", ID, 10))
    for row in rows:
        positive(row.price), positive(row.qty), positive(row.quote_qty)
    equal([row.id for row in rows], sorted(row.id for row in rows))


@capability("market.historical_trades")
def historical_trades() -> None:
    last = rest("recent_trades_list", ID, 1)[0]
    rows = rest("old_trades_lookup", ID, limit=5, from_id=last.id - 5)
    equal([row.id for row in rows], list(range(last.id - 5, last.id)))


@capability("market.agg_trades")
def agg_trades() -> None:
    rows = filled_list(rest("compressed_aggregate_trades_list", ID, limit=10))
    for row in rows:
        positive(row.p), positive(row.q)
        expect(row.l >= row.f and isinstance(row.m, bool), row)


def _candles(rows: Any) -> None:
    for row in filled_list(rows):
        equal([type(value) for value in row], [int, *[str] * 5, int, str, int, *[str] * 3])
        first, high, low, last = (text_number(text) for text in row[1:5])
        expect(low <= min(first, last) <= max(first, last) <= high, row)
        equal(row[6], row[0] + _MINUTE_MS - 1, "the end of a minute")


@capability("market.klines")
def klines() -> None:
    rows = rest("kline_candlestick_data", ID, "1m", limit=5)
    _candles(rows)
    now = rest("check_server_time").server_time
    expect(rows[-1][6] > now - 2_000, "the last candle is the open one")


@capability("market.continuous_klines")
def continuous_klines() -> None:
    _candles(rest("continuous_contract_kline_candlestick_data", ID, "PERPETUAL", "1m", limit=5))


@capability("market.index_price_klines")
def index_price_klines() -> None:
    _candles(rest("index_price_kline_candlestick_data", ID, "1m", limit=5))


@capability("market.mark_price_klines")
def mark_price_klines() -> None:
    _candles(rest("mark_price_kline_candlestick_data", ID, "1m", limit=5))


@capability("market.premium_index_klines")
def premium_index_klines() -> None:
    _candles(rest("premium_index_kline_data", ID, "1m", limit=5))


@capability("market.premium_index")
def premium_index() -> None:
    one = rest("mark_price", ID)
    positive(one.mark_price), positive(one.index_price), positive(one.estimated_settle_price)
    text_number(one.last_funding_rate), text_number(one.interest_rate)
    expect(one.next_funding_time > one.time, one)
    expect({ID, OTHER} <= {row.symbol for row in rest("mark_price")}, "all symbols")


@capability("market.funding_rate")
def funding_rate() -> None:
    for row in filled_list(rest("get_funding_rate_history", ID, limit=3)):
        text_number(row.funding_rate), positive(row.mark_price)
        equal(row.symbol, ID)


@capability("market.funding_info")
def funding_info() -> None:
    for row in rest("get_funding_rate_info"):
        expect(
            text_number(row.adjusted_funding_rate_floor)
            < text_number(row.adjusted_funding_rate_cap),
            row,
        )
        expect(row.funding_interval_hours in {1, 4, 8}, row)


@capability("market.ticker_24hr")
def ticker() -> None:
    one = rest("ticker24hr_price_change_statistics", ID)
    low, high = positive(one.low_price), positive(one.high_price)
    expect(low <= positive(one.weighted_avg_price) <= high, f"weighted average: {one}")
    expect(low <= positive(one.last_price) <= high, one)
    expect(one.last_id >= one.first_id and one.count > 0, one)
    rows = rest("ticker24hr_price_change_statistics")
    expect({ID, OTHER} <= {row.symbol for row in rows}, "all symbols")


@capability("market.ticker_price")
def ticker_price() -> None:
    for method in ("symbol_price_ticker", "symbol_price_ticker_v2"):
        positive(rest(method, ID).price)
        expect({ID, OTHER} <= {row.symbol for row in rest(method)}, "all symbols")


@capability("market.book_ticker")
def book_ticker() -> None:
    one = rest("symbol_order_book_ticker", ID)
    expect(positive(one.bid_price) < positive(one.ask_price) and positive(one.bid_qty), one)
    expect({ID, OTHER} <= {row.symbol for row in rest("symbol_order_book_ticker")}, "all symbols")


@capability("market.open_interest")
def open_interest() -> None:
    one = rest("open_interest", ID)
    expect(text_number(one.open_interest) >= 0 and one.time, one)
