"""Checks of streams, for clients that hand the venue's JSON through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from conformance.clients.plain_account import buy_at_market, force_liquidation
from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import equal, expect, filled_list, keys_in, positive, text_number

Receive = Callable[[], Awaitable[Any]]
Opened = AbstractAsyncContextManager[Receive]


@dataclass(frozen=True)
class Stream:
    """A market stream: its name, the route it lives on, and what its messages must be."""

    name: str
    route: str
    check: Callable[[list[Any]], None]
    messages: int = 3


def _book_ticker(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e u E T s ps b B a A st")
        equal((row["e"], row["st"]), ("bookTicker", 1))
        expect(positive(row["b"]) < positive(row["a"]), row)
    expect(all(a["u"] <= b["u"] for a, b in pairwise(said) if a["s"] == b["s"]), "u ascends")


def _agg_trade(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E s a p q nq f l T m st")
        equal((row["e"], row["s"]), ("aggTrade", "BTCUSDT"))
        positive(row["p"])
        expect(row["f"] <= row["l"], row)
    expect(all(a["a"] < b["a"] for a, b in pairwise(said)), "ids ascend")


def _trade(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E T s t p q X m st")
        equal((row["e"], row["X"]), ("trade", "MARKET"))
    expect(all(a["t"] < b["t"] for a, b in pairwise(said)), "ids ascend")


def _candle(row: Any) -> None:
    keys_in(row, "t T i f L o c h l v n x q V Q B")
    expect(positive(row["l"]) <= positive(row["h"]), row)
    equal((row["i"], row["T"] - row["t"]), ("1m", 59_999))
    expect(isinstance(row["x"], bool), row)


def _kline(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E s k")
        equal((row["e"], row["s"], row["k"]["s"]), ("kline", "BTCUSDT", "BTCUSDT"))
        _candle(row["k"])


def _continuous_kline(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E ps ct k")
        equal((row["e"], row["ps"], row["ct"]), ("continuous_kline", "BTCUSDT", "PERPETUAL"))
        _candle(row["k"])


def _mark_price(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E s p ap P i r T st")
        equal(row["e"], "markPriceUpdate")
        positive(row["p"])
        text_number(row["r"])


def _partial_depth(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E T s ps U u pu b a st")
        equal((row["e"], len(row["b"]), len(row["a"])), ("depthUpdate", 10, 10))
        expect(positive(row["b"][0][0]) < positive(row["a"][0][0]), row)


def _diff_depth(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E T s ps U u pu b a st")
        expect(row["U"] <= row["u"], row)
    equal([row["pu"] for row in said[1:]], [row["u"] for row in said[:-1]], "pu")


def _mini_ticker(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E s ps c o h l v q st")
        equal(row["e"], "24hrMiniTicker")
        expect(positive(row["l"]) <= positive(row["h"]), row)


def _ticker(said: list[Any]) -> None:
    for row in said:
        keys_in(row, "e E s p P w c Q o h l v q O C F L n st")
        equal(row["e"], "24hrTicker")
        expect(positive(row["l"]) <= positive(row["h"]), row)


def _each(check: Callable[[list[Any]], None]) -> Callable[[list[Any]], None]:
    def check_arrays(said: list[Any]) -> None:
        for rows in said:
            check(filled_list(rows))
        expect(len({row["s"] for rows in said for row in rows}) > 1, "more than one symbol")

    return check_arrays


def _all_book_tickers(said: list[Any]) -> None:
    _book_ticker(said)
    expect(len({row["s"] for row in said}) > 1, "more than one symbol")


STREAMS = {
    "stream.book_ticker": Stream("btcusdt@bookTicker", "public", _book_ticker),
    "stream.agg_trade": Stream("btcusdt@aggTrade", "market", _agg_trade),
    "stream.trade": Stream("btcusdt@trade", "public", _trade),
    "stream.kline": Stream("btcusdt@kline_1m", "market", _kline),
    "stream.continuous_kline": Stream(
        "btcusdt_perpetual@continuousKline_1m", "market", _continuous_kline
    ),
    "stream.mark_price": Stream("btcusdt@markPrice@1s", "market", _mark_price, 2),
    "stream.partial_depth": Stream("btcusdt@depth10", "public", _partial_depth),
    "stream.diff_depth": Stream("btcusdt@depth@100ms", "public", _diff_depth, 8),
    "stream.mini_ticker": Stream("btcusdt@miniTicker", "market", _mini_ticker, 2),
    "stream.ticker": Stream("btcusdt@ticker", "market", _ticker, 2),
    "stream.all_mini_tickers": Stream("!miniTicker@arr", "market", _each(_mini_ticker), 2),
    "stream.all_tickers": Stream("!ticker@arr", "market", _each(_ticker), 2),
    "stream.all_book_tickers": Stream("!bookTicker", "public", _all_book_tickers, 4),
    "stream.all_mark_prices": Stream("!markPrice@arr@1s", "market", _each(_mark_price), 2),
}
FORCE_ORDERS = Stream("solusdt@forceOrder", "market", lambda said: None, 1)


def stream_checks(listen: Callable[[str, Stream], Opened]) -> Checks:
    """The checks of market streams, opened the way a driver opens them."""
    checks = Checks()
    for name, stream in STREAMS.items():
        checks.add(name, timeout_s=30)(_check_of(name, stream, listen))

    @checks.add("stream.force_order", timeout_s=30)
    async def force_order(client: PlainClient) -> None:
        own = client.fresh()
        await buy_at_market(own, "SOLUSDT", "10")
        async with listen("stream.force_order", FORCE_ORDERS) as receive:
            force_liquidation(own, "SOLUSDT")
            said = await receive()
        keys_in(said, "e E o")
        equal(said["e"], "forceOrder")
        keys_in(said["o"], "s S o f q p ap X l z T")
        equal((said["o"]["s"], said["o"]["S"], said["o"]["X"]), ("SOLUSDT", "SELL", "FILLED"))

    return checks


def _check_of(
    name: str, stream: Stream, listen: Callable[[str, Stream], Opened]
) -> Callable[[PlainClient], Awaitable[None]]:
    async def check(client: PlainClient) -> None:
        async with listen(name, stream) as receive:
            stream.check([await receive() for _ in range(stream.messages)])

    return check


def user_stream_checks(listen: Callable[[PlainClient], Opened]) -> Checks:
    """The checks of the user stream, opened the way a driver opens it."""
    checks = Checks()

    @checks.add("user_stream.order_trade_update")
    async def order_trade_update(client: PlainClient) -> None:
        own = client.fresh()
        async with listen(own) as receive:
            placed = await buy_at_market(own, "BTCUSDT", "0.010")
            said = await _await_events(receive, "ORDER_TRADE_UPDATE", 2)
        first, last = said[0]["o"], said[-1]["o"]
        keys_in(
            first, "s c S o f q p ap sp x X i l z L n N T t R wt ot ps cp rp pP si ss V pm gtd er"
        )
        equal((first["x"], first["X"], first["i"]), ("NEW", "NEW", placed["orderId"]))
        equal((last["x"], last["c"]), ("TRADE", placed["clientOrderId"]))
        positive(last["L"])
        positive(last["n"])

    @checks.add("user_stream.account_update")
    async def account_update(client: PlainClient) -> None:
        own = client.fresh()
        async with listen(own) as receive:
            await buy_at_market(own, "BTCUSDT", "0.010")
            (said,) = await _await_events(receive, "ACCOUNT_UPDATE", 1)
        keys_in(said["a"], "m B P")
        equal(said["a"]["m"], "ORDER")
        keys_in(said["a"]["B"][0], "a wb cw bc")
        keys_in(said["a"]["P"][0], "s pa ep bep cr up mt iw ps")
        equal(said["a"]["P"][0]["s"], "BTCUSDT")
        positive(said["a"]["P"][0]["pa"])

    @checks.add("user_stream.algo_update")
    async def algo_update(client: PlainClient) -> None:
        own = client.fresh()
        async with listen(own) as receive:
            trigger = str(client.venue.price("BTCUSDT", "0.9"))
            placed = await own(
                "place_algo", symbol="BTCUSDT", side="SELL", type="STOP_MARKET",
                quantity="0.010", triggerPrice=trigger,
            )  # fmt: skip
            await own("cancel_algo", algoId=placed["algoId"])
            first, second = await _await_events(receive, "ALGO_UPDATE", 2)
        keys_in(first["o"], "caid aid at o s S ps f q X ai tp p V wt pm cp pP R tt gtd")
        equal((first["o"]["aid"], first["o"]["X"]), (placed["algoId"], "NEW"))
        equal(second["o"]["X"], "CANCELED")

    _add_short_events(checks, listen)
    return checks


def _add_short_events(checks: Checks, listen: Callable[[PlainClient], Opened]) -> None:
    """The checks of fills in few words, of settings, and of the listen key's end."""

    @checks.add("user_stream.trade_lite")
    async def trade_lite(client: PlainClient) -> None:
        own = client.fresh()
        async with listen(own) as receive:
            placed = await buy_at_market(own, "BTCUSDT", "0.010")
            (said,) = await _await_events(receive, "TRADE_LITE", 1)
        equal(set(said), set("eETsqpmcSLlti"))
        equal((said["i"], said["c"]), (placed["orderId"], placed["clientOrderId"]))
        equal((said["s"], said["S"], said["m"]), ("BTCUSDT", "BUY", False))
        positive(said["L"])

    @checks.add("user_stream.account_config_update")
    async def account_config_update(client: PlainClient) -> None:
        own = client.fresh()
        async with listen(own) as receive:
            await own("change_leverage", symbol="BTCUSDT", leverage=11)
            (said,) = await _await_events(receive, "ACCOUNT_CONFIG_UPDATE", 1)
        equal(said["ac"], {"s": "BTCUSDT", "l": 11})

    @checks.add("user_stream.listen_key_expired")
    async def listen_key_expired(client: PlainClient) -> None:
        own = client.fresh()
        key = await own("start_listen_key")
        async with listen(own) as receive:
            await own("close_listen_key", listenKey=key)
            (said,) = await _await_events(receive, "listenKeyExpired", 1)
        equal((set(said), said["listenKey"]), ({"e", "E", "listenKey"}, key))


async def _await_events(receive: Receive, kind: str, count: int) -> list[Any]:
    said: list[Any] = []
    while len(said) < count:
        event = await asyncio.wait_for(receive(), 10)
        if event.get("e") == kind:
            said.append(event)
    return said
