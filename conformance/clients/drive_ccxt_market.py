"""Market data as ccxt reads it."""

from __future__ import annotations

from typing import Any

from conformance.clients.drive_ccxt_session import ID, OTHER, SYMBOL, VENUE, client, digits, rest
from conformance.driver import capability, equal, expect, filled_list, until

_MINUTE_MS = 60_000


@capability("market.ping")
def ping() -> None:
    equal(rest.fapiPublicGetPing(), {})


@capability("market.time")
def time() -> None:
    now = rest.fetch_time()
    expect(abs(now - rest.milliseconds() - VENUE.clock_offset_ms()) < 2_000, now)


@capability("market.exchange_info")
def exchange_info() -> None:
    markets = client().load_markets()
    market = markets[SYMBOL]
    equal(market["id"], ID)
    expect(market["swap"] and market["linear"] and market["active"], market)
    equal((market["base"], market["quote"], market["settle"]), ("BTC", "USDT", "USDT"))
    equal((market["precision"]["price"], market["precision"]["amount"]), (0.1, 0.001))
    equal(market["limits"]["amount"], {"min": 0.001, "max": 1000.0})
    equal(market["limits"]["market"], {"min": 0.0, "max": 120.0} | {"min": 0.001})
    equal(market["limits"]["cost"]["min"], 50.0)
    equal(market["contractSize"], 1.0)
    expect(market["created"], market)


@capability("market.depth")
def depth() -> None:
    for limit in (5, 20, 1000):
        book = rest.fetch_order_book(SYMBOL, limit)
        bids, asks = book["bids"], book["asks"]
        expect(bids and asks and len(bids) <= limit and len(asks) <= limit, book)
        expect(bids[0][0] < asks[0][0], "the book is crossed")
        equal(bids, sorted(bids, reverse=True), "bids, best first")
        equal(asks, sorted(asks), "asks, best first")
        expect(book["nonce"] and book["timestamp"], book)


@capability("market.rpi_depth")
def rpi_depth() -> None:
    book = rest.fapiPublicGetRpiDepth({"symbol": ID, "limit": 1000})
    expect(float(book["bids"][0][0]) < float(book["asks"][0][0]), book)


@capability("market.adl_risk")
def adl_risk() -> None:
    risk = rest.fapiPublicGetSymbolAdlRisk({"symbol": ID})
    equal((risk["symbol"], risk["adlRisk"] in {"high", "medium", "low"}), (ID, True))


def _trades(method: str) -> list[Any]:
    rows = filled_list(rest.fetch_trades(SYMBOL, limit=5, params={"fetchTradesMethod": method}))
    for row in rows:
        expect(row["id"] and row["price"] > 0 and row["amount"] > 0 and row["timestamp"], row)
        expect(row["side"] in {"buy", "sell"}, row)
        expect(abs(row["cost"] - row["price"] * row["amount"]) < 0.01, row)
    equal(rows, sorted(rows, key=lambda row: row["timestamp"]), "oldest first")
    return rows


@capability("market.trades")
def trades() -> None:
    row = _trades("fapiPublicGetTrades")[0]["info"]
    digits(row, "price qty quoteQty")


@capability("market.historical_trades")
def historical_trades() -> None:
    _trades("fapiPublicGetHistoricalTrades")


@capability("market.agg_trades")
def agg_trades() -> None:
    row = _trades("fapiPublicGetAggTrades")[0]["info"]
    digits(row, "p q nq")
    expect(row["l"] >= row["f"], row)


def _candles(rows: Any) -> None:
    filled_list(rows)
    for opened, first, high, low, last, volume in rows:
        expect(opened % _MINUTE_MS == 0, f"{opened} is no minute")
        expect(low <= min(first, last) <= max(first, last) <= high, (first, high, low, last))
        expect(volume is None or volume >= 0, volume)
    starts = [row[0] for row in rows]
    equal(starts, sorted(set(starts)), "one candle a minute, oldest first")


@capability("market.klines")
def klines() -> None:
    rows = rest.fetch_ohlcv(SYMBOL, "1m", limit=5)
    _candles(rows)
    equal(len(rows), 5)
    now = rest.fetch_time()
    expect(rows[-1][0] + _MINUTE_MS > now - 2_000, "the last candle is the open one")
    since = rows[1][0]
    equal([row[0] for row in rest.fetch_ohlcv(SYMBOL, "1m", since, 2)], [since, since + _MINUTE_MS])


@capability("market.continuous_klines")
def continuous_klines() -> None:
    asked = {"pair": ID, "contractType": "PERPETUAL", "interval": "1m", "limit": 3}
    rows = rest.fapiPublicGetContinuousKlines(asked)
    expect(all(len(row) == 12 for row in filled_list(rows)), rows)
    _candles([[int(row[0]), *(float(value) for value in row[1:6])] for row in rows])


@capability("market.index_price_klines")
def index_price_klines() -> None:
    _candles(rest.fetch_index_ohlcv(SYMBOL, "1m", limit=3))


@capability("market.mark_price_klines")
def mark_price_klines() -> None:
    _candles(rest.fetch_mark_ohlcv(SYMBOL, "1m", limit=3))


@capability("market.premium_index_klines")
def premium_index_klines() -> None:
    _candles(rest.fetch_premium_index_ohlcv(SYMBOL, "1m", limit=3))


@capability("market.premium_index")
def premium_index() -> None:
    one = rest.fetch_funding_rate(SYMBOL)
    expect(one["markPrice"] > 0 and one["indexPrice"] > 0, one)
    expect(one["fundingTimestamp"] > one["timestamp"], one)
    expect(one["fundingRate"] is not None and one["interestRate"] is not None, one)
    expect({SYMBOL, OTHER} <= set(rest.fetch_funding_rates()), "all symbols")
    expect(rest.fetch_mark_price(SYMBOL)["markPrice"] > 0, "mark price")
    expect({SYMBOL, OTHER} <= set(rest.fetch_mark_prices()), "all mark prices")


@capability("market.funding_rate")
def funding_rate() -> None:
    rows = filled_list(rest.fetch_funding_rate_history(SYMBOL, limit=3))
    expect(len(rows) <= 3, rows)
    for row in rows:
        expect(row["fundingRate"] is not None and row["symbol"] == SYMBOL, row)
        expect(row["timestamp"] <= rest.milliseconds(), row)


@capability("market.funding_info")
def funding_info() -> None:
    for symbol, row in rest.fetch_funding_intervals().items():
        equal(row["symbol"], symbol)
        expect(row["interval"] and row["interval"].endswith("h"), row)
    for raw in rest.fapiPublicGetFundingInfo():
        digits(raw, "adjustedFundingRateCap adjustedFundingRateFloor")


@capability("market.ticker_24hr")
def ticker() -> None:
    one = rest.fetch_ticker(SYMBOL)
    expect(one["low"] <= one["last"] <= one["high"], one)
    expect(one["low"] <= one["vwap"] <= one["high"], f"weighted average outside the day: {one}")
    expect(one["baseVolume"] > 0 and one["quoteVolume"] > 0, one)
    expect(one["percentage"] is not None and one["change"] is not None, one)
    expect({SYMBOL, OTHER} <= set(rest.fetch_tickers()), "all symbols")


@capability("market.ticker_price")
def ticker_price() -> None:
    rows = rest.fetch_last_prices()
    expect(rows[SYMBOL]["price"] > 0 and rows[SYMBOL]["timestamp"], rows)
    expect(OTHER in rows, rows)
    for asked in (rest.fapiPublicGetTickerPrice, rest.fapiPublicV2GetTickerPrice):
        digits(asked({"symbol": ID}), "price")


@capability("market.book_ticker")
def book_ticker() -> None:
    rows = rest.fetch_bids_asks()
    one = rows[SYMBOL]
    expect(0 < one["bid"] < one["ask"] and one["bidVolume"] > 0 and one["askVolume"] > 0, one)
    expect(OTHER in rows, rows)


@capability("market.open_interest")
def open_interest() -> None:
    one = until(lambda: rest.fetch_open_interest(SYMBOL))
    expect(one["openInterestAmount"] is not None and one["timestamp"], one)
    digits(one["info"], "openInterest")
