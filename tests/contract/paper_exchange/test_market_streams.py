"""Every market stream of the venue over real sockets: what it says, in which order of keys."""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest

from tests.contract.paper_exchange.conftest import (
    Customer,
    RunningVenue,
    open_account,
    start_venue,
    stop_venue,
)

TIMEOUT_S = 20
DEPTH = "e E T s ps U u pu b a st"
PUBLIC = {
    "btcusdt@depth": DEPTH,
    "btcusdt@depth@100ms": DEPTH,
    "btcusdt@depth@250ms": DEPTH,
    "btcusdt@depth@500ms": DEPTH,
    "btcusdt@depth5": DEPTH,
    "btcusdt@depth10@100ms": DEPTH,
    "btcusdt@depth20@500ms": DEPTH,
    "btcusdt@rpiDepth@500ms": DEPTH,
    "btcusdt@bookTicker": "e u E T s ps b B a A st",
    "!bookTicker": "e u E T s ps b B a A st",
    "btcusdt@trade": "e E T s t p q X m st",
}
MARKET = {
    "btcusdt@trade": "e E T s t p q X m st",
    "btcusdt@aggTrade": "e E s a p q nq f l T m st",
    "btcusdt@markPrice": "e E s p ap P i r T st",
    "btcusdt@markPrice@1s": "e E s p ap P i r T st",
    "btcusdt@kline_1m": "e E s k",
    "btcusdt@kline_1M": "e E s k",
    "btcusdt_perpetual@continuousKline_1s": "e E ps ct k",
    "btcusdt_perpetual@continuousKline_1w": "e E ps ct k",
    "btcusdt@miniTicker": "e E s ps c o h l v q st",
    "btcusdt@ticker": "e E s ps p P w c Q o h l v q O C F L n st",
}
ARRAYS = {
    "!markPrice@arr": "e E s p ap P i r T st",
    "!markPrice@arr@1s": "e E s p ap P i r T st",
    "!miniTicker@arr": "e E s ps c o h l v q st",
    "!ticker@arr": "e E s ps p P w c Q o h l v q O C F L n st",
}
MUTE = ("btcusdt@weather", "BTCUSDT@trade", "nosuch@trade", "btcusdt@depth7")


@pytest.fixture(scope="module")
def quick_venue() -> Iterator[RunningVenue]:
    """A venue at 20 times speed, so that what comes every 5 seconds comes soon."""
    process, venue = start_venue("--seed", "3", "--speed", "20", "--symbols", "BTCUSDT,ETHUSDT")
    try:
        yield venue
    finally:
        stop_venue(process)


async def first_of_each(url: str, route: str, names: list[str], wanted: set[str]) -> dict:
    """Subscribe to all of these, and return the first payload of each that is wanted."""
    found: dict = {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/{route}/stream") as socket,
    ):
        await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": "all"})
        async with asyncio.timeout(TIMEOUT_S):
            assert await socket.receive_json() == {"result": None, "id": "all"}
            while not wanted <= set(found):
                told = json.loads(await socket.receive_str())
                found.setdefault(told["stream"], told["data"])
    return found


async def test_all_that_is_public_is_told_in_the_venue_s_order(quick_venue: RunningVenue):
    names = [*PUBLIC, *MARKET, *MUTE]
    found = await first_of_each(quick_venue.url, "public", names, set(PUBLIC))
    assert set(found) == set(PUBLIC), "what flows through the other door is mute here"
    assert {name: " ".join(payload) for name, payload in found.items()} == PUBLIC


async def test_all_of_the_market_is_told_in_the_venue_s_order(quick_venue: RunningVenue):
    wanted = set(MARKET) | set(ARRAYS)
    names = [*MARKET, *ARRAYS, *PUBLIC, *MUTE]
    found = await first_of_each(quick_venue.url, "market", names, wanted)
    assert set(found) == wanted
    assert {name: " ".join(found[name]) for name in MARKET} == MARKET
    for name, keys in ARRAYS.items():
        rows = found[name]
        assert {row["s"] for row in rows} <= {"BTCUSDT", "ETHUSDT"}
        assert {" ".join(row) for row in rows} == {keys}


async def test_every_number_has_the_decimals_of_its_symbol(quick_venue: RunningVenue):
    names = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1m", "btcusdt@ticker"]
    found = await first_of_each(quick_venue.url, "market", names, set(names))
    prices = [found["btcusdt@trade"]["p"], found["btcusdt@aggTrade"]["p"]]
    prices += [found["btcusdt@kline_1m"]["k"][key] for key in "ohlc"]
    prices += [found["btcusdt@ticker"][key] for key in "pwcohl"]
    quantities = [found["btcusdt@trade"]["q"], found["btcusdt@aggTrade"]["nq"]]
    quantities += [found["btcusdt@kline_1m"]["k"][key] for key in "vV"]
    quantities += [found["btcusdt@ticker"][key] for key in "Qv"]
    assert {len(price.partition(".")[2]) for price in prices} == {2}
    assert {len(quantity.partition(".")[2]) for quantity in quantities} == {3}


async def test_a_ticker_of_rest_agrees_with_the_candles_of_rest(quick_venue: RunningVenue):
    async with aiohttp.ClientSession(quick_venue.url) as session:
        async with session.get("/fapi/v1/ticker/24hr?symbol=BTCUSDT") as answer:
            day = await answer.json()
        async with session.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1500") as answer:
            rows = await answer.json()
    assert day["openPrice"] == rows[0][1]
    assert float(day["highPrice"]) <= max(float(row[2]) for row in rows)
    assert day["openTime"] == rows[0][0], "the history is shorter than a day"
    assert float(day["quoteVolume"]) > 0
    assert float(day["lowPrice"]) <= float(day["weightedAvgPrice"]) <= float(day["highPrice"])


async def test_open_interest_is_what_the_accounts_hold_of_the_larger_side(running_venue):
    async with aiohttp.ClientSession() as session:
        for side, quantity, wanted in (
            ("BUY", "0.030", "0.030"),
            ("SELL", "0.020", "0.030"),
            ("SELL", "0.040", "0.060"),
        ):
            account = await asyncio.to_thread(open_account, running_venue.url)
            customer = Customer(session, running_venue.url, account)
            order = {"symbol": "ETHUSDT", "side": side, "type": "MARKET", "quantity": quantity}
            assert (await customer.call("POST", "/fapi/v1/order", **order)).status == 200
            told = await customer.call(
                "GET", "/fapi/v1/openInterest", signed=False, symbol="ETHUSDT"
            )
            assert told.body["openInterest"] == wanted
