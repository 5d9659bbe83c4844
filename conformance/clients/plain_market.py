"""Checks of market data, for clients that hand the venue's JSON through."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from conformance.clients.plain_account import buy_at_market
from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import (
    equal,
    expect,
    filled_list,
    keys_in,
    only,
    positive,
    text_number,
)

MARKET = Checks()
_MINUTE_MS = 60_000
_CANDLE_VALUES = 12


@MARKET.add("market.ping")
async def ping(client: PlainClient) -> None:
    equal(await client("ping"), {})


@MARKET.add("market.time")
async def clock(client: PlainClient) -> None:
    answer = await client("time")
    equal(list(answer), ["serverTime"])
    expect(abs(answer["serverTime"] - time.time() * 1000) < _MINUTE_MS, answer)


@MARKET.add("market.exchange_info")
async def exchange_info(client: PlainClient) -> None:
    info = await client("exchange_info")
    keys_in(info, "timezone serverTime futuresType rateLimits exchangeFilters assets symbols")
    limits = {(row["rateLimitType"], row["interval"]) for row in info["rateLimits"]}
    equal(limits, {("REQUEST_WEIGHT", "MINUTE"), ("ORDERS", "MINUTE"), ("ORDERS", "SECOND")})
    (bitcoin,) = (row for row in info["symbols"] if row["symbol"] == "BTCUSDT")
    keys_in(
        bitcoin,
        "pair contractType deliveryDate onboardDate status maintMarginPercent baseAsset quoteAsset "
        "marginAsset pricePrecision quantityPrecision underlyingType triggerProtect liquidationFee "
        "marketTakeBound filters orderTypes timeInForce",
    )
    filters = {row["filterType"]: row for row in bitcoin["filters"]}
    positive(filters["PRICE_FILTER"]["tickSize"])
    positive(filters["LOT_SIZE"]["stepSize"])
    positive(filters["MIN_NOTIONAL"]["notional"])
    expect("STOP_MARKET" in bitcoin["orderTypes"], bitcoin["orderTypes"])


@MARKET.add("market.depth")
async def depth(client: PlainClient) -> None:
    book = await client("depth", symbol="BTCUSDT", limit=20)
    equal(list(book), ["lastUpdateId", "E", "T", "bids", "asks"])
    bids = [(positive(price), positive(quantity)) for price, quantity in book["bids"]]
    asks = [(positive(price), positive(quantity)) for price, quantity in book["asks"]]
    expect(bids == sorted(bids, reverse=True) and asks == sorted(asks), "levels in order")
    expect(bids[0][0] < asks[0][0], "the book is not crossed")


@MARKET.add("market.rpi_depth")
async def rpi_depth(client: PlainClient) -> None:
    book = await client("rpi_depth", symbol="BTCUSDT", limit=1000)
    keys_in(book, "lastUpdateId E T bids asks")
    expect(positive(book["bids"][0][0]) < positive(book["asks"][0][0]), "the book is not crossed")


@MARKET.add("market.adl_risk")
async def adl_risk(client: PlainClient) -> None:
    row = await client("adl_risk", symbol="BTCUSDT")
    keys_in(row, "symbol adlRisk updateTime")
    expect(row["adlRisk"] in {"high", "medium", "low"}, row)
    rows = filled_list(await client("adl_risk"))
    expect({"BTCUSDT", "ETHUSDT"} <= {one["symbol"] for one in rows}, "every symbol")


@MARKET.add("market.trades")
async def trades(client: PlainClient) -> None:
    rows = filled_list(await client("trades", symbol="BTCUSDT", limit=50))
    _check_trades(rows)


@MARKET.add("market.historical_trades")
async def historical_trades(client: PlainClient) -> None:
    rows = filled_list(await client("historical_trades", symbol="BTCUSDT", limit=20))
    _check_trades(rows)
    first = rows[0]["id"]
    again = await client("historical_trades", symbol="BTCUSDT", fromId=first, limit=2)
    equal(again[0]["id"], first, "fromId")


def _check_trades(rows: list[Any]) -> None:
    for row in rows:
        keys_in(row, "id price qty quoteQty time isBuyerMaker")
        positive(row["price"])
        expect(isinstance(row["isBuyerMaker"], bool), row)
    expect(all(a["id"] < b["id"] for a, b in pairwise(rows)), "ids ascend")


@MARKET.add("market.agg_trades")
async def agg_trades(client: PlainClient) -> None:
    rows = filled_list(await client("agg_trades", symbol="BTCUSDT", limit=50))
    for row in rows:
        keys_in(row, "a p q nq f l T m")
        positive(row["p"])
        expect(row["f"] <= row["l"], row)
    expect(all(a["a"] < b["a"] for a, b in pairwise(rows)), "ids ascend")


def _check_candles(rows: Any, interval_ms: int = _MINUTE_MS, *, above_zero: bool = True) -> None:
    for row in filled_list(rows):
        equal(len(row), _CANDLE_VALUES, "values of a candle")
        opened, top, bottom, last = (text_number(value) for value in row[1:5])
        expect(bottom <= min(opened, last) and top >= max(opened, last), row)
        expect(bottom > 0 or not above_zero, row)
        equal(row[6] - row[0], interval_ms - 1, "close time less open time")
    expect(all(a[0] < b[0] for a, b in pairwise(rows)), "open times ascend")


@MARKET.add("market.klines")
async def klines(client: PlainClient) -> None:
    rows = await client("klines", symbol="BTCUSDT", interval="1m", limit=5)
    _check_candles(rows)
    now_ms = (await client("time"))["serverTime"]
    expect(rows[-1][6] >= now_ms - 5_000, "the last candle is the open one")


@MARKET.add("market.continuous_klines")
async def continuous_klines(client: PlainClient) -> None:
    _check_candles(
        await client(
            "continuous_klines", pair="BTCUSDT", contractType="PERPETUAL", interval="1m", limit=5
        )
    )


@MARKET.add("market.index_price_klines")
async def index_price_klines(client: PlainClient) -> None:
    _check_candles(await client("index_price_klines", pair="BTCUSDT", interval="1m", limit=5))


@MARKET.add("market.mark_price_klines")
async def mark_price_klines(client: PlainClient) -> None:
    _check_candles(await client("mark_price_klines", symbol="BTCUSDT", interval="1m", limit=5))


@MARKET.add("market.premium_index_klines")
async def premium_index_klines(client: PlainClient) -> None:
    rows = await client("premium_index_klines", symbol="BTCUSDT", interval="1m", limit=5)
    _check_candles(rows, above_zero=False)


@MARKET.add("market.premium_index")
async def premium_index(client: PlainClient) -> None:
    row = await client("premium_index", symbol="BTCUSDT")
    keys_in(row, "symbol markPrice indexPrice estimatedSettlePrice lastFundingRate interestRate")
    positive(row["markPrice"])
    text_number(row["lastFundingRate"])
    expect(row["nextFundingTime"] > row["time"] > 0, row)
    rows = filled_list(await client("premium_index"))
    expect({"BTCUSDT", "ETHUSDT"} <= {one["symbol"] for one in rows}, "every symbol")


@MARKET.add("market.funding_rate")
async def funding_rate(client: PlainClient) -> None:
    for row in filled_list(await client("funding_rate", symbol="BTCUSDT", limit=3)):
        keys_in(row, "symbol fundingRate fundingTime markPrice")
        text_number(row["fundingRate"])


@MARKET.add("market.funding_info")
async def funding_info(client: PlainClient) -> None:
    for row in filled_list(await client("funding_info")):
        keys_in(row, "symbol adjustedFundingRateCap adjustedFundingRateFloor fundingIntervalHours")
        expect(row["fundingIntervalHours"] in {1, 4, 8}, row)


@MARKET.add("market.ticker_24hr")
async def ticker_24hr(client: PlainClient) -> None:
    row = await client("ticker_24hr", symbol="BTCUSDT")
    keys_in(
        row,
        "symbol priceChange priceChangePercent weightedAvgPrice lastPrice lastQty openPrice "
        "highPrice lowPrice volume quoteVolume openTime closeTime firstId lastId count",
    )
    expect(positive(row["lowPrice"]) <= positive(row["highPrice"]), row)
    expect(len(filled_list(await client("ticker_24hr"))) > 1, "every symbol")


@MARKET.add("market.ticker_price")
async def ticker_price(client: PlainClient) -> None:
    row = await client("ticker_price", symbol="BTCUSDT")
    equal(sorted(row), ["price", "symbol", "time"])
    positive(row["price"])
    rows = filled_list(await client("ticker_price"))
    expect({"BTCUSDT", "ETHUSDT"} <= {one["symbol"] for one in rows}, "every symbol")


@MARKET.add("market.book_ticker")
async def book_ticker(client: PlainClient) -> None:
    row = await client("book_ticker", symbol="BTCUSDT")
    keys_in(row, "symbol bidPrice bidQty askPrice askQty time")
    expect(positive(row["bidPrice"]) < positive(row["askPrice"]), row)
    expect(len(filled_list(await client("book_ticker"))) > 1, "every symbol")


@MARKET.add("market.open_interest")
async def open_interest(client: PlainClient) -> None:
    await buy_at_market(client.fresh(), "BTCUSDT", "0.010")
    row = await client("open_interest", symbol="BTCUSDT")
    equal(sorted(row), ["openInterest", "symbol", "time"])
    positive(row["openInterest"])


@MARKET.add("account.leverage_bracket")
async def leverage_bracket(client: PlainClient) -> None:
    answer = await client("leverage_bracket", symbol="BTCUSDT")
    row = only(answer) if isinstance(answer, list) else answer
    first = filled_list(row["brackets"])[0]
    keys_in(first, "bracket initialLeverage notionalCap notionalFloor maintMarginRatio cum")
    equal(first["initialLeverage"], 125)
    expect(len(filled_list(await client("leverage_bracket"))) > 1, "every symbol")
