"""The public REST endpoints, on a real server."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import Limits
from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.market_http import MarketHttp
from services.paper_exchange.doors.request_weight import RequestWeight
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.market.reports import MarketView
from services.paper_exchange.sources.event import DepthSnapshot, Quote, Trade

START_MS = 1_700_000_040_000
NS = 1_000_000
TRADES = 30
"""One trade every 20 s, so ten minutes of candles."""


class _Venue:
    def __init__(self, url: str, session: aiohttp.ClientSession, market: Market) -> None:
        self.url = url
        self.session = session
        self.market = market
        self.headers: Mapping[str, str] = {}

    async def get(self, path: str, headers: dict[str, str] | None = None, **query: object) -> Any:
        params = {name: str(value) for name, value in query.items()}
        async with self.session.get(self.url + path, params=params, headers=headers) as answer:
            assert answer.content_type == "application/json"
            self.headers = answer.headers
            body = await answer.json()
            return body if answer.status == 200 else (answer.status, body["code"], body["msg"])


def _market() -> Market:
    market = Market(select_instruments(["BTCUSDT", "ETHUSDT"]), START_MS * NS)
    bids = tuple((f"{100 - n * 0.1:.2f}", "1.000") for n in range(600))
    market.apply(
        DepthSnapshot(START_MS * NS, "BTCUSDT", START_MS, 77, bids, (("100.10", "2.000"),))
    )
    market.apply(
        Quote(START_MS * NS, "BTCUSDT", START_MS, 77, "100.00", "1.000", "100.10", "2.000")
    )
    for number in range(TRADES):
        ts_ms = START_MS + number * 20_000
        while market.next_due_ns <= ts_ms * NS:
            market.advance(market.next_due_ns)
        market.apply(
            Trade(
                ts_ms * NS,
                "BTCUSDT",
                ts_ms,
                number + 1,
                Decimal(100) + Decimal(number) / 10,
                Decimal("0.010"),
                number % 2 == 0,
            )
        )
    return market


@pytest.fixture
async def venue() -> AsyncIterator[_Venue]:
    now_ms = START_MS + TRADES * 20_000
    clock = MarketClock(lambda: 0, now_ms * NS)
    app = web.Application(middlewares=[RequestWeight(clock, Doorkeeper(Limits())).middleware])
    market = _market()
    view = MarketView(market, open_interest=lambda _symbol: Decimal("1.5"))
    app.add_routes(MarketHttp(view, clock, lambda key: key == "known").routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield _Venue(f"http://127.0.0.1:{runner.addresses[0][1]}", session, market)
    await runner.cleanup()


async def test_time_is_market_time_on_both_paths(venue: _Venue) -> None:
    for path in ("/fapi/v1/time", "/api/v3/time"):
        assert await venue.get(path) == {"serverTime": START_MS + TRADES * 20_000}
    for path in ("/fapi/v1/ping", "/api/v3/ping"):
        assert await venue.get(path) == {}


async def test_exchange_info_lists_the_symbols_of_this_run(venue: _Venue) -> None:
    info = await venue.get("/fapi/v1/exchangeInfo")
    assert [entry["symbol"] for entry in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert {limit["rateLimitType"] for limit in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}


@pytest.mark.parametrize(("limit", "weight"), [(5, 2), (50, 2), (100, 5), (500, 10), (1_000, 20)])
async def test_depth_is_best_first_and_weighs_by_its_limit(
    venue: _Venue, limit: int, weight: int
) -> None:
    depth = await venue.get("/fapi/v1/depth", symbol="BTCUSDT", limit=limit)
    assert list(depth) == ["lastUpdateId", "E", "T", "bids", "asks"]
    assert depth["lastUpdateId"] == 77
    assert depth["bids"][0] == ["100.00", "1.000"]
    assert len(depth["bids"]) == min(limit, 600)
    assert venue.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


async def test_weights_add_up_over_a_minute(venue: _Venue) -> None:
    await venue.get("/fapi/v1/ping")
    await venue.get("/fapi/v1/trades", symbol="BTCUSDT")
    await venue.get("/fapi/v1/ticker/24hr")
    assert venue.headers["X-MBX-USED-WEIGHT-1M"] == str(1 + 5 + 40)


async def test_beyond_the_limit_of_a_minute_the_answer_is_429(venue: _Venue) -> None:
    for _ in range(12):
        await venue.get("/fapi/v1/historicalTrades", {"X-MBX-APIKEY": "known"}, symbol="BTCUSDT")
    status, code, _ = await venue.get("/fapi/v1/ping")
    assert (status, code) == (429, -1003)
    assert 1 <= int(venue.headers["Retry-After"]) <= 60


async def test_klines_are_rows_of_twelve_and_the_last_one_is_open(venue: _Venue) -> None:
    rows = await venue.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m")
    assert len(rows) == TRADES // 3
    assert all(len(row) == 12 for row in rows)
    first_ms = START_MS // 60_000 * 60_000
    assert [row[0] for row in rows[:2]] == [first_ms, first_ms + 60_000]
    assert rows[0][6] == first_ms + 59_999
    assert rows[-1][6] >= START_MS + (TRADES - 1) * 20_000, "it ends after the last trade"


async def test_klines_can_be_cut_by_time_and_limit(venue: _Venue) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1m"}
    rows = await venue.get("/fapi/v1/klines", **query)
    assert await venue.get("/fapi/v1/klines", **query, limit=2) == rows[-2:]
    start, end = rows[1][0], rows[3][0]
    assert await venue.get("/fapi/v1/klines", **query, startTime=start, endTime=end) == rows[1:4]
    assert await venue.get("/fapi/v1/klines", **query, startTime=start, limit=2) == rows[1:3]


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        ("klines", {"symbol": "BTCUSDT", "interval": "1s"}, (400, -1120, "Invalid interval.")),
        ("klines", {"symbol": "NOPE", "interval": "1m"}, (400, -1121, "Invalid symbol.")),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501},
            (400, -1130, "Data sent for parameter 'limit' is not valid."),
        ),
        (
            "klines",
            {"interval": "1m"},
            (
                400,
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            ),
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "startTime": 2, "endTime": 1},
            (400, -1023, "Start time is greater than end time."),
        ),
        (
            "depth",
            {"symbol": "BTCUSDT", "limit": 7},
            (
                400,
                -4021,
                "7 is not valid depth limit (valid values: 5, 10, 20, 50, 100, 500, 1000).",
            ),
        ),
        ("premiumIndex", {"symbol": "NOPE"}, (400, -1121, "Invalid symbol.")),
        (
            "historicalTrades",
            {"symbol": "BTCUSDT"},
            (401, -2014, "API-key format invalid."),
        ),
    ],
)
async def test_bad_requests_get_the_code_and_text_of_the_venue(
    venue: _Venue, path: str, query: dict[str, object], refusal: tuple[int, int, str]
) -> None:
    assert await venue.get(f"/fapi/v1/{path}", **query) == refusal


async def test_trades_come_oldest_first_and_from_an_id(venue: _Venue) -> None:
    trades = await venue.get("/fapi/v1/trades", symbol="BTCUSDT", limit=3)
    assert [trade["id"] for trade in trades] == [28, 29, 30]
    assert list(trades[0]) == [
        "id",
        "price",
        "qty",
        "quoteQty",
        "time",
        "isBuyerMaker",
        "isRPITrade",
    ]
    old = await venue.get(
        "/fapi/v1/historicalTrades", {"X-MBX-APIKEY": "known"}, symbol="BTCUSDT", fromId=4, limit=2
    )
    assert [trade["id"] for trade in old] == [4, 5]


async def test_aggregate_trades_can_be_asked_by_id_or_by_time_not_both(venue: _Venue) -> None:
    rows = await venue.get("/fapi/v1/aggTrades", symbol="BTCUSDT", limit=2)
    assert list(rows[0]) == ["a", "p", "q", "nq", "f", "l", "T", "m"]
    by_id = await venue.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=rows[0]["a"])
    assert by_id == rows
    status, code, _ = await venue.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=1, startTime=1)
    assert (status, code) == (400, -1128)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/fapi/v1/weather", "/fapi/v3/ping", "/fapi/v1/time/now"])
async def test_an_unknown_path_is_answered_404_as_the_venue_does(
    venue: _Venue, method: str, path: str
) -> None:
    async with venue.session.request(method, venue.url + path) as answer:
        assert answer.status == 404
        text = f"Path {path}, Method {method} is invalid"
        assert await answer.json() == {"code": -5000, "msg": text}


async def test_a_method_that_a_path_does_not_take_is_answered_404(venue: _Venue) -> None:
    async with venue.session.delete(venue.url + "/fapi/v1/depth?symbol=BTCUSDT") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, -5000)


async def test_candles_of_a_contract_are_those_of_its_symbol(venue: _Venue) -> None:
    rows = await venue.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m")
    query = {"pair": "BTCUSDT", "contractType": "PERPETUAL"}
    assert await venue.get("/fapi/v1/continuousKlines", **query, interval="1m") == rows
    seconds = await venue.get("/fapi/v1/continuousKlines", **query, interval="1s", limit=3)
    assert [row[8] for row in seconds] == [1, 1, 1], "seconds without trades are left out"
    assert rows[0][1:6] == ["100.00", "100.20", "100.00", "100.20", "0.030"]
    assert rows[0][7] == "3.00300"
    quarter = {"pair": "BTCUSDT", "contractType": "CURRENT_QUARTER", "interval": "1m"}
    assert await venue.get("/fapi/v1/continuousKlines", **quarter) == []


@pytest.mark.parametrize(
    ("path", "query", "close"),
    [
        ("markPriceKlines", {"symbol": "BTCUSDT"}, "100.10000000"),
        ("indexPriceKlines", {"pair": "BTCUSDT"}, "100.10000000"),
        ("premiumIndexKlines", {"symbol": "BTCUSDT"}, "0.00000000"),
    ],
)
async def test_marks_have_candles_of_readings(
    venue: _Venue, path: str, query: dict[str, str], close: str
) -> None:
    rows = await venue.get(f"/fapi/v1/{path}", **query, interval="5m", limit=10)
    assert venue.headers["X-MBX-USED-WEIGHT-1M"] == "1"
    assert all(len(row) == 12 for row in rows)
    assert (rows[0][4], rows[0][5], rows[0][7]) == (close, "0", "0")
    assert rows[0][8] == 59, "the market began in the last minute of these five"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("continuousKlines", {"pair": "NOPE", "contractType": "PERPETUAL"}, -4144),
        ("continuousKlines", {"pair": "BTCUSDT", "contractType": "SPOT"}, -4104),
        ("indexPriceKlines", {"pair": "NOPE"}, -4144),
        ("markPriceKlines", {"symbol": "NOPE"}, -1121),
        ("premiumIndexKlines", {"symbol": "BTCUSDT", "limit": 1501}, -1130),
        ("klines", {"symbol": "BTCUSDT", "limit": 0}, -1130),
    ],
)
async def test_candles_nobody_has_are_refused(
    venue: _Venue, path: str, query: dict[str, object], code: int
) -> None:
    answer = await venue.get(f"/fapi/v1/{path}", **query, interval="1m")
    assert answer[:2] == (400, code)


async def test_aggregates_are_asked_for_at_most_an_hour_and_known_for_two_days(
    venue: _Venue,
) -> None:
    start_ms = START_MS - 10
    hour = {"symbol": "BTCUSDT", "startTime": start_ms, "endTime": start_ms + 3_600_000}
    assert len(await venue.get("/fapi/v1/aggTrades", **hour)) == TRADES - 1
    hour["endTime"] += 1
    assert (await venue.get("/fapi/v1/aggTrades", **hour))[:2] == (400, -1127)
    old = START_MS - 49 * 3_600_000
    for asked in ({"startTime": old - 1, "endTime": old}, {"startTime": old}, {"endTime": old}):
        assert await venue.get("/fapi/v1/aggTrades", symbol="BTCUSDT", **asked) == (
            400,
            -4166,
            "Search window is restricted to recent 2 days only.",
        )


async def test_the_book_with_retail_orders_is_deep_and_dear(venue: _Venue) -> None:
    depth = await venue.get("/fapi/v1/rpiDepth", symbol="BTCUSDT")
    assert list(depth) == ["lastUpdateId", "E", "T", "bids", "asks"]
    assert (len(depth["bids"]), venue.headers["X-MBX-USED-WEIGHT-1M"]) == (600, "20")
    assert (await venue.get("/fapi/v1/rpiDepth", symbol="BTCUSDT", limit=5))[1] == -4021


async def test_fundings_that_took_place_are_listed_oldest_first(venue: _Venue) -> None:
    rates = venue.market.funding_rates
    for number in range(3):
        rates.settle("ETHUSDT", START_MS + number * 1_000, Decimal(100))
        rates.settle("BTCUSDT", START_MS + number * 1_000 + 1, Decimal(200))
    rows = await venue.get("/fapi/v1/fundingRate")
    assert [row["symbol"] for row in rows] == ["ETHUSDT", "BTCUSDT"] * 3
    assert list(rows[0]) == ["symbol", "fundingTime", "fundingRate", "markPrice", "rateType"]
    assert rows[0]["fundingRate"] == "0.00010000"
    one = await venue.get("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=START_MS + 2, limit=1)
    assert [row["fundingTime"] for row in one] == [START_MS + 1_001]
    assert venue.headers["X-MBX-USED-WEIGHT-1M"] == "0"


async def test_funding_requests_have_a_quota_of_their_own(venue: _Venue) -> None:
    for _ in range(250):
        await venue.get("/fapi/v1/fundingRate")
        await venue.get("/fapi/v1/fundingInfo")
    assert (await venue.get("/fapi/v1/fundingInfo"))[:2] == (429, -1003)
    assert await venue.get("/fapi/v1/ping") == {}


async def test_interest_and_index_come_from_the_venue_s_own_state(venue: _Venue) -> None:
    interest = await venue.get("/fapi/v1/openInterest", symbol="BTCUSDT")
    assert (interest["openInterest"], interest["symbol"]) == ("1.500", "BTCUSDT")
    made = await venue.get("/fapi/v1/constituents", symbol="BTCUSDT")
    assert made["constituents"][0]["price"] == "100.10000000"


async def test_tickers_and_marks_answer_for_one_symbol_or_for_all(venue: _Venue) -> None:
    mark = await venue.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert mark["markPrice"] == "100.10000000"
    price = await venue.get("/fapi/v2/ticker/price", symbol="BTCUSDT")
    assert price["price"] == "102.90"
    book = await venue.get("/fapi/v1/ticker/bookTicker", symbol="BTCUSDT")
    assert (book["bidPrice"], book["askPrice"]) == ("100.00", "100.10")
    day = await venue.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT")
    assert (day["openPrice"], day["lastPrice"], day["count"]) == ("100.00", "102.90", TRADES)
    for path in ("premiumIndex", "ticker/price", "ticker/bookTicker", "ticker/24hr"):
        rows = await venue.get(f"/fapi/v1/{path}")
        assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
