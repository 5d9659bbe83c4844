"""Streams and user events as the SDK reads them into its models, key by key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from binance_common.errors import BadRequestError
from binance_sdk_derivatives_trading_usds_futures.websocket_streams import models

from conformance.clients.drive_official_sdk_keys import same_keys
from conformance.clients.drive_official_sdk_session import (
    ID,
    OTHER,
    VENUE,
    Rest,
    bought,
    price,
    rest,
    resting,
    streams,
)
from conformance.driver import Failed, capability, equal, expect, positive, refused

_NAME = ID.lower()
_PATIENCE_S = 15


@capability("listen_key.start")
def start() -> None:
    key = rest("start_user_data_stream").listen_key
    expect(len(key) == 64, key)
    equal(rest("start_user_data_stream").listen_key, key, "the key that is still valid")


@capability("listen_key.extend")
def extend() -> None:
    key = rest("start_user_data_stream").listen_key
    equal(rest("keepalive_user_data_stream").listen_key, key)


@capability("listen_key.close")
def close() -> None:
    key = rest("start_user_data_stream").listen_key
    equal(rest("close_user_data_stream"), {})
    with refused(BadRequestError, -1125):
        rest("keepalive_user_data_stream")
    expect(rest("start_user_data_stream").listen_key != key, "a closed key is not given again")


class _Watched:
    """One stream: what the SDK read into models, and the same messages raw."""

    def __init__(self) -> None:
        self.read: asyncio.Queue[Any] = asyncio.Queue()
        self.wrong: list[Any] = []

    async def next(self) -> Any:
        """The next message as a model; fails with what the SDK could not read."""
        try:
            return await asyncio.wait_for(self.read.get(), _PATIENCE_S)
        except TimeoutError:
            raise Failed(f"nothing came within {_PATIENCE_S} s; errors: {self.wrong}") from None


@contextlib.asynccontextmanager
async def _watch(method: str, *arguments: Any) -> AsyncIterator[_Watched]:
    async with streams() as on:
        watched = _Watched()
        on.on_connection("error", watched.wrong.append)
        handle = await getattr(on, method)(*arguments)
        handle.on("message", watched.read.put_nowait)
        yield watched
        expect(not watched.wrong, f"the SDK could not read: {watched.wrong}")


async def _raw(name: str, route: str) -> Any:
    """The next message of a stream as it is on the wire, through the SDK without a model."""
    async with streams() as on:
        came: asyncio.Queue[Any] = asyncio.Queue()
        await on.subscribe([name], stream_url=route)
        on.on("message", came.put_nowait, name)
        message = await asyncio.wait_for(came.get(), _PATIENCE_S)
        equal((set(message), message["stream"]), ({"stream", "data"}, name))
        return message["data"]


async def _exact(model: Any, name: str, route: str = "market") -> None:
    """Fail unless the keys on the wire are those of the model."""
    raw = await _raw(name, route)
    rows = raw if isinstance(raw, list) else [raw]
    same_keys([model.from_dict(row) for row in rows], rows)


@capability("stream.book_ticker")
async def book_ticker() -> None:
    async with _watch("individual_symbol_book_ticker_streams", _NAME) as watched:
        row = await watched.next()
        expect(positive(row.b) < positive(row.a) and row.s == ID and row.st == 1, row)
    await _exact(models.IndividualSymbolBookTickerStreamsResponse, f"{_NAME}@bookTicker", "public")


@capability("stream.agg_trade")
async def agg_trade() -> None:
    async with _watch("aggregate_trade_streams", _NAME) as watched:
        row, after = await watched.next(), await watched.next()
        expect(positive(row.p) and positive(row.q) and after.a > row.a and after.f > row.l, after)
    await _exact(models.AggregateTradeStreamsResponse, f"{_NAME}@aggTrade")


@capability("stream.kline")
async def kline() -> None:
    async with _watch("kline_candlestick_streams", _NAME, "1m") as watched:
        row = (await watched.next()).k
        expect(row.s == ID and row.i == "1m" and positive(row.l) <= positive(row.h), row)
    await _exact(models.KlineCandlestickStreamsResponse, f"{_NAME}@kline_1m")


@capability("stream.continuous_kline")
async def continuous_kline() -> None:
    method = "continuous_contract_kline_candlestick_streams"
    async with _watch(method, _NAME, "perpetual", "1m") as watched:
        row = await watched.next()
        expect(row.ct == "PERPETUAL" and row.ps == ID and row.k.i == "1m", row)
    model = models.ContinuousContractKlineCandlestickStreamsResponse
    await _exact(model, f"{_NAME}_perpetual@continuousKline_1m")


@capability("stream.mark_price")
async def mark_price() -> None:
    async with _watch("mark_price_stream", _NAME) as watched:
        row = await watched.next()
        expect(positive(row.p) and positive(row.i) and row.T, row)
    await _exact(models.MarkPriceStreamResponse, f"{_NAME}@markPrice@1s")


@capability("stream.partial_depth")
async def partial_depth() -> None:
    async with _watch("partial_book_depth_streams", _NAME, "10") as watched:
        row = await watched.next()
        expect(0 < len(row.b) <= 10 and positive(row.b[0][0]) < positive(row.a[0][0]), row)
    await _exact(models.PartialBookDepthStreamsResponse, f"{_NAME}@depth10", "public")


@capability("stream.diff_depth")
async def diff_depth() -> None:
    async with _watch("diff_book_depth_streams", _NAME) as watched:
        before = await watched.next()
        for _ in range(10):
            row = await watched.next()
            equal(row.pu, before.u, "no gap")
            before = row
    await _exact(models.DiffBookDepthStreamsResponse, f"{_NAME}@depth@100ms", "public")


@capability("stream.mini_ticker")
async def mini_ticker() -> None:
    async with _watch("individual_symbol_mini_ticker_stream", _NAME) as watched:
        expect(positive((await watched.next()).c), "the last price")
    await _exact(models.IndividualSymbolMiniTickerStreamResponse, f"{_NAME}@miniTicker")


@capability("stream.ticker")
async def ticker() -> None:
    async with _watch("individual_symbol_ticker_streams", _NAME) as watched:
        row = await watched.next()
        expect(positive(row.l) <= positive(row.w) <= positive(row.h), f"weighted average: {row}")
    await _exact(models.IndividualSymbolTickerStreamsResponse, f"{_NAME}@ticker")


async def _every(method: str, model: Any, name: str) -> None:
    async with _watch(method) as watched:
        rows = await watched.next()
        expect({ID, OTHER} <= {row.s for row in rows}, rows)
    await _exact(model, name)


@capability("stream.all_mini_tickers", timeout_s=40)
async def all_mini_tickers() -> None:
    model = models.AllMarketMiniTickersStreamResponseInner
    await _every("all_market_mini_tickers_stream", model, "!miniTicker@arr")


@capability("stream.all_tickers", timeout_s=40)
async def all_tickers() -> None:
    model = models.AllMarketTickersStreamsResponseInner
    await _every("all_market_tickers_streams", model, "!ticker@arr")


@capability("stream.all_book_tickers", timeout_s=40)
async def all_book_tickers() -> None:
    async with _watch("all_book_tickers_stream") as watched:
        seen = {(await watched.next()).s for _ in range(3)}
        expect({ID, OTHER} <= seen, seen)
    await _exact(models.AllBookTickersStreamResponse, "!bookTicker", "public")


@capability("stream.all_mark_prices", timeout_s=40)
async def all_mark_prices() -> None:
    model = models.MarkPriceStreamForAllMarketResponseInner
    await _every("mark_price_stream_for_all_market", model, "!markPrice@arr")


@capability("stream.force_order")
async def force_order() -> None:
    async with _watch("all_market_liquidation_order_streams") as watched:
        account = VENUE.open_account()
        bought(Rest(account), "0.02")
        surprise = {"account_id": account["account_id"], "symbol": ID, "kind": "liquidation"}
        VENUE.ask("POST", "/sim/surprises", surprise)
        row = await watched.next()
        equal((row.o.s, row.o.S, row.o.X), (ID, "SELL", "FILLED"))
        expect(positive(row.o.ap) and Decimal(row.o.z) == Decimal("0.02") and row.st == 1, row)


@contextlib.asynccontextmanager
async def _told(event: str) -> AsyncIterator[tuple[Rest, Any]]:
    """A live user stream of a fresh account; yields its client and `await next_of_event()`."""
    own = Rest(VENUE.open_account())
    async with streams() as on:
        key = own("start_user_data_stream").listen_key
        came: asyncio.Queue[Any] = asyncio.Queue()
        raw: list[Any] = []
        wrong: list[Any] = []
        on.on_connection("error", wrong.append)
        handle = await on.user_data(key)
        handle.on("message", came.put_nowait)
        socket = next(one for one in on.connections if one.url_path == "private")
        async with _beside(key) as wire:

            async def next_of_event(patience_s: float = _PATIENCE_S) -> Any:
                model = await _next_of(came, event, patience_s)
                while not raw or raw[-1]["e"] != event:
                    raw.append(await asyncio.wait_for(wire.get(), _PATIENCE_S))
                same_keys(model, raw.pop())
                return model

            expect(socket.is_open is not False, "the private socket is open")
            yield own, next_of_event
        expect(not wrong, f"the SDK could not read: {wrong}")


@contextlib.asynccontextmanager
async def _beside(key: str) -> AsyncIterator[asyncio.Queue[Any]]:
    """The same user stream through a second client without a model: the events as on the wire."""
    async with streams() as on:
        came: asyncio.Queue[Any] = asyncio.Queue()
        await on.subscribe([key], stream_url="private")
        on.on("message", lambda message: came.put_nowait(message["data"]), key)
        yield came


async def _next_of(came: asyncio.Queue[Any], event: str, patience_s: float) -> Any:
    while True:
        try:
            model = (await asyncio.wait_for(came.get(), patience_s)).actual_instance
        except TimeoutError:
            raise Failed(f"no {event} within {patience_s} s") from None
        if type(model).__name__.lower() == event.replace("_", "").lower():
            return model


@capability("user_stream.order_trade_update", timeout_s=40)
async def order_trade_update() -> None:
    async with _told("ORDER_TRADE_UPDATE") as (own, following):
        order = resting(own)
        told = (await following()).o
        equal(
            (told.i, told.x, told.X, told.c), (order.order_id, "NEW", "NEW", order.client_order_id)
        )
        own("cancel_order", ID, order_id=order.order_id)
        told = (await following()).o
        equal((told.x, told.X), ("CANCELED", "CANCELED"))
        bought(own)
        equal((await following()).o.x, "NEW")
        told = (await following()).o
        equal((told.x, told.N), ("TRADE", "USDT"))
        expect(positive(told.n) and positive(told.L) and told.t, told)


@capability("user_stream.account_update", timeout_s=40)
async def account_update() -> None:
    async with _told("ACCOUNT_UPDATE") as (own, following):
        bought(own)
        told = (await following()).a
        equal((told.m, told.B[0].a, told.P[0].s), ("ORDER", "USDT", ID))
        expect(positive(told.P[0].pa) and positive(told.P[0].ep), told)
        expect(Decimal(told.B[0].wb) < 10_000, told)


@capability("user_stream.algo_update", timeout_s=90)
async def algo_update() -> None:
    async with _told("ALGO_UPDATE") as (own, following):
        asked = {"quantity": Decimal("0.01"), "trigger_price": price("1.04")}
        order = own("new_algo_order", "CONDITIONAL", ID, "BUY", "STOP_MARKET", **asked)
        told = (await following()).o
        equal((told.aid, told.X, told.o, told.ai), (order.algo_id, "NEW", "STOP_MARKET", ""))
        own("cancel_algo_order", algo_id=order.algo_id)
        equal((await following()).o.X, "CANCELED")
        for kind, factor in (("STOP_MARKET", "1.0003"), ("TAKE_PROFIT_MARKET", "0.9997")):
            asked["trigger_price"] = price(factor)
            own("new_algo_order", "CONDITIONAL", ID, "BUY", kind, **asked)
        told = [await following(), await following()]
        equal([one.o.X for one in told], ["NEW", "NEW"])
        await _triggered(following)


async def _triggered(following: Any) -> None:
    """Follow the first of two conditional orders to its end."""
    said: list[Any] = []
    while not said or said[-1].X != "FINISHED":
        event = (await following(60)).o
        if not said or event.aid == said[0].aid:
            said.append(event)
    equal([event.X for event in said], ["TRIGGERING", "TRIGGERED", "FINISHED"])
    equal(said[0].ai, "", "the order is not there yet")
    last = said[-1]
    expect(last.ai.isdigit() and last.ai == said[1].ai, last)
    equal((last.act, Decimal(last.aq)), ("MARKET", Decimal("0.01")))
    expect(positive(last.ap) and last.tt, last)


@capability("user_stream.trade_lite", timeout_s=40)
async def trade_lite() -> None:
    async with _told("TRADE_LITE") as (own, following):
        order = bought(own)
        told = await following()
        equal((told.i, told.c, told.s), (order.order_id, order.client_order_id, ID))
        equal((told.S, told.m, Decimal(told.q)), ("BUY", False, Decimal("0.01")))
        expect(positive(told.L) and positive(told.l) and told.t, told)


@capability("user_stream.account_config_update", timeout_s=40)
async def account_config_update() -> None:
    async with _told("ACCOUNT_CONFIG_UPDATE") as (own, following):
        own("change_initial_leverage", ID, 11)
        told = await following()
        equal((told.ac.s, told.ac.l, told.ai), (ID, 11, None))
        own("change_multi_assets_mode", "true")
        told = await following()
        equal((told.ai.j, told.ac), (True, None))


@capability("user_stream.listen_key_expired", timeout_s=40)
async def listen_key_expired() -> None:
    async with _told("listenKeyExpired") as (own, following):
        key = own("start_user_data_stream").listen_key
        own("close_user_data_stream")
        equal((await following()).listen_key, key)
