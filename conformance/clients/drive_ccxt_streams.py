"""Streams, user events and the WebSocket API, as ccxt.pro watches and uses them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from conformance.clients.drive_ccxt_session import (
    ID,
    OTHER,
    SYMBOL,
    VENUE,
    filled,
    place,
    price,
    rest,
    streaming,
    trader,
)
from conformance.driver import capability, equal, expect, until_async

_UPDATES = 5


async def _several(watch: Callable[[], Awaitable[Any]], updates: int = _UPDATES) -> Any:
    """Await some updates and return the last."""
    seen = None
    for _ in range(updates):
        seen = await watch()
    return seen


@capability("listen_key.start")
def start() -> None:
    key = rest.fapiPrivatePostListenKey()["listenKey"]
    expect(isinstance(key, str) and len(key) == 64, key)
    equal(rest.fapiPrivatePostListenKey()["listenKey"], key, "the key that is still valid")


@capability("listen_key.extend")
def extend() -> None:
    key = rest.fapiPrivatePostListenKey()["listenKey"]
    expect(rest.fapiPrivatePutListenKey() in ({}, {"listenKey": key}), "the answer to PUT")


@capability("listen_key.close")
def close() -> None:
    key = rest.fapiPrivatePostListenKey()["listenKey"]
    equal(rest.fapiPrivateDeleteListenKey(), {})
    expect(rest.fapiPrivatePostListenKey()["listenKey"] != key, "a closed key is not given again")


@capability("stream.book_ticker")
async def book_ticker() -> None:
    async with streaming() as on:
        row = (await _several(lambda: on.watch_bids_asks([SYMBOL])))[SYMBOL]
        expect(0 < row["bid"] < row["ask"] and row["bidVolume"] > 0 and row["timestamp"], row)


@capability("stream.agg_trade")
async def agg_trade() -> None:
    async with streaming() as on:
        row = (await on.watch_trades(SYMBOL, params={"name": "aggTrade"}))[-1]
        expect(row["price"] > 0 and row["amount"] > 0 and row["side"] in {"buy", "sell"}, row)
        expect(row["id"] == str(row["info"]["a"]) and row["info"]["l"] >= row["info"]["f"], row)


@capability("stream.trade")
async def trade() -> None:
    async with streaming() as on:
        row = (await on.watch_trades(SYMBOL))[-1]
        expect(row["price"] > 0 and row["amount"] > 0 and row["side"] in {"buy", "sell"}, row)
        expect(row["id"] == str(row["info"]["t"]) and row["info"]["X"] == "MARKET", row)


@capability("stream.kline")
async def kline() -> None:
    async with streaming() as on:
        rows = await on.watch_ohlcv(SYMBOL, "1m")
        opened, first, high, low, last, volume = rows[-1]
        expect(opened % 60_000 == 0 and volume > 0, rows)
        expect(low <= min(first, last) <= max(first, last) <= high, rows)


@capability("stream.mark_price")
async def mark_price() -> None:
    async with streaming() as on:
        row = await on.watch_mark_price(SYMBOL)
        expect(row["markPrice"] > 0 and row["indexPrice"] > 0 and row["timestamp"], row)


@capability("stream.diff_depth")
async def diff_depth() -> None:
    async with streaming() as on:
        last = 0
        for _ in range(20):  # ccxt raises where `pu` is not the `u` before
            book = await on.watch_order_book(SYMBOL)
            expect(book["nonce"] >= last and book["bids"][0][0] < book["asks"][0][0], book["nonce"])
            last = book["nonce"]
        expect(len(book["bids"]) > 5 and len(book["asks"]) > 5, "the snapshot is in the book")


@capability("stream.mini_ticker")
async def mini_ticker() -> None:
    async with streaming() as on:
        row = await on.watch_ticker(SYMBOL, {"name": "miniTicker"})
        equal(row["info"]["e"], "24hrMiniTicker")
        expect(row["low"] <= row["last"] <= row["high"] and row["baseVolume"] > 0, row)


@capability("stream.ticker")
async def ticker() -> None:
    async with streaming() as on:
        row = await on.watch_ticker(SYMBOL)
        expect(row["low"] <= row["vwap"] <= row["high"], f"weighted average: {row}")
        expect(row["low"] <= row["last"] <= row["high"] and row["percentage"] is not None, row)


async def _every(watch: Callable[[], Awaitable[Any]]) -> Any:
    """Await updates until more than one symbol came, as nothing says they come together."""
    seen: dict[str, Any] = {}

    async def both() -> bool:
        seen.update(await watch())
        return {SYMBOL, OTHER} <= set(seen)

    await until_async(both, 15)
    return seen[SYMBOL]


async def _both(rows: Any) -> bool:
    return {SYMBOL, OTHER} <= set(rows)


@capability("stream.all_mini_tickers")
async def all_mini_tickers() -> None:
    async with streaming() as on:
        row = await _every(on.watch_tickers)
        equal(row["info"]["e"], "24hrMiniTicker")


@capability("stream.all_tickers")
async def all_tickers() -> None:
    async with streaming() as on:
        row = await _every(lambda: on.watch_tickers(None, {"name": "ticker"}))
        equal(row["info"]["e"], "24hrTicker")


@capability("stream.all_book_tickers")
async def all_book_tickers() -> None:
    async with streaming() as on:
        await on.watch_bids_asks()
        # They come in one burst; ccxt hands out the first and keeps the rest.
        await until_async(lambda: _both(on.bidsasks))
        row = on.bidsasks[SYMBOL]
        expect(0 < row["bid"] < row["ask"], row)


@capability("stream.all_mark_prices")
async def all_mark_prices() -> None:
    async with streaming() as on:
        row = await _every(on.watch_mark_prices)
        expect(row["markPrice"] > 0, row)


@capability("stream.force_order")
async def force_order() -> None:
    account = VENUE.open_account()
    own = trader(account_id=account["account_id"])
    filled(own, place(own, "market", "buy", 0.02))
    async with streaming() as on:
        watching = asyncio.ensure_future(on.watch_liquidations(SYMBOL))
        await asyncio.sleep(1)
        surprise = {"account_id": account["account_id"], "symbol": ID, "kind": "liquidation"}
        VENUE.ask("POST", "/sim/surprises", surprise)
        row = (await watching)[-1]
        equal((row["symbol"], row["side"], row["contracts"]), (SYMBOL, "sell", 0.02))
        expect(row["price"] > 0 and row["timestamp"], row)


@contextlib.asynccontextmanager
async def _watching(method: str, *arguments: Any) -> AsyncIterator[Any]:
    """A user stream of a fresh account that is live; yields (REST client, await the next)."""
    account = VENUE.open_account()
    own = trader(account_id=account["account_id"])
    async with streaming(account) as on:
        # Otherwise the first answer is a snapshot over REST, before the socket is open.
        on.options["watchPositions"]["awaitPositionsSnapshot"] = False
        watching = [asyncio.ensure_future(getattr(on, method)(*arguments))]
        await until_async(lambda: _live(on))

        async def following() -> Any:
            got = await watching.pop()
            watching.append(asyncio.ensure_future(getattr(on, method)(*arguments)))
            return got

        yield own, following
        for left in watching:
            left.cancel()


async def _live(on: Any) -> bool:
    """Whether the user stream's socket is open: what happens before is told to nobody."""
    sockets = [one for url, one in on.clients.items() if "/private/" in url]
    return any(one.connection is not None and not one.connection.closed for one in sockets)


@capability("user_stream.order_trade_update")
async def order_trade_update() -> None:
    async with _watching("watch_orders", SYMBOL) as (own, following):
        order = place(own, "limit", "buy", 0.01, price("0.96"))
        told = (await following())[-1]
        equal((told["id"], told["status"], told["price"]), (order["id"], "open", order["price"]))
        own.cancel_order(order["id"], SYMBOL)
        equal((await following())[-1]["status"], "canceled")
        taken = filled(own, place(own, "market", "buy", 0.01))

        async def closed() -> Any:
            rows = await following()
            return next((row for row in rows if row["status"] == "closed"), None)

        told = await until_async(closed)
        equal((told["id"], told["filled"], told["average"]), (taken["id"], 0.01, taken["average"]))
        expect(told["fee"]["cost"] > 0 and told["fee"]["currency"] == "USDT", told)
    async with _watching("watch_my_trades", SYMBOL) as (own, following):
        order = filled(own, place(own, "market", "buy", 0.01))
        row = (await following())[-1]
        equal((row["order"], row["side"], row["takerOrMaker"]), (order["id"], "buy", "taker"))
        expect(row["fee"]["cost"] > 0 and row["id"], row)


@capability("user_stream.account_update")
async def account_update() -> None:
    async with _watching("watch_balance") as (own, following):
        filled(own, place(own, "market", "buy", 0.01))
        left = float(own.fapiPrivateV3GetBalance()[0]["balance"])
        expect(0 < left < 10_000, left)

        async def told() -> bool:  # one event a fill
            return bool((await following())["USDT"]["total"] == left)

        await until_async(told)
    async with _watching("watch_positions", [SYMBOL]) as (own, following):
        bought = filled(own, place(own, "market", "buy", 0.01))

        async def held() -> Any:
            return next((row for row in await following() if row["contracts"]), None)

        row = await until_async(held)
        equal((row["symbol"], row["side"], row["contracts"]), (SYMBOL, "long", 0.01))
        expect(abs(row["entryPrice"] - bought["average"]) < 0.1, row)


@capability("user_stream.algo_update")
async def algo_update() -> None:
    async with _watching("watch_orders", SYMBOL) as (own, following):
        order = place(own, "market", "buy", 0.01, stopLossPrice=price("1.04"))
        told = (await following())[-1]
        equal((told["id"], told["status"], told["amount"]), (order["id"], "open", 0.01))
        equal(told["triggerPrice"], order["triggerPrice"])
        own.cancel_order(order["id"], SYMBOL, {"trigger": True})
        told = (await following())[-1]
        equal((told["id"], told["status"]), (order["id"], "canceled"))


@capability("socket_api.order_place")
async def order_place() -> None:
    async with streaming(VENUE.open_account()) as on:
        order = await on.create_order_ws(SYMBOL, "limit", "buy", 0.01, price("0.96"))
        equal((order["status"], order["amount"], order["side"]), ("open", 0.01, "buy"))
        taken = await on.create_order_ws(SYMBOL, "market", "buy", 0.01)
        equal((taken["status"], taken["filled"]), ("closed", 0.01))
        waiting = await on.create_order_ws(
            SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": price("0.96")}
        )
        equal((waiting["info"]["algoStatus"], waiting["status"]), ("NEW", "open"))
        ended = await on.cancel_order_ws(waiting["id"], SYMBOL, {"trigger": True})
        equal(ended["id"], waiting["id"])


@capability("socket_api.order_modify")
async def order_modify() -> None:
    async with streaming(VENUE.open_account()) as on:
        order = await on.create_order_ws(SYMBOL, "limit", "buy", 0.01, price("0.96"))
        wanted = price("0.955")
        edited = await on.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.012, wanted)
        equal((edited["id"], edited["price"], edited["amount"]), (order["id"], wanted, 0.012))


@capability("socket_api.order_query")
async def order_query() -> None:
    async with streaming(VENUE.open_account()) as on:
        order = await on.create_order_ws(SYMBOL, "market", "buy", 0.01)
        read = await on.fetch_order_ws(order["id"], SYMBOL)
        equal((read["id"], read["status"], read["filled"]), (order["id"], "closed", 0.01))
        expect(read["average"] > 0, read)


@capability("socket_api.order_cancel")
async def order_cancel() -> None:
    async with streaming(VENUE.open_account()) as on:
        order = await on.create_order_ws(SYMBOL, "limit", "buy", 0.01, price("0.96"))
        gone = await on.cancel_order_ws(order["id"], SYMBOL)
        equal((gone["id"], gone["status"]), (order["id"], "canceled"))


@capability("socket_api.account")
async def account() -> None:
    async with streaming(VENUE.open_account(balance="5000")) as on:
        equal((await on.fetch_balance_ws())["USDT"]["total"], 5000.0)
        await on.create_order_ws(SYMBOL, "market", "buy", 0.01)
        row = (await on.fetch_positions_ws([SYMBOL]))[0]
        equal((row["symbol"], row["side"], row["contracts"]), (SYMBOL, "long", 0.01))


@capability("socket_api.market")
async def market() -> None:
    async with streaming() as on:
        book = await on.fetch_order_book_ws(SYMBOL, 5)
        expect(book["bids"][0][0] < book["asks"][0][0] and book["nonce"], book)
        row = await on.fetch_ticker_ws(SYMBOL, {"method": "ticker.price"})
        expect(row["last"] > 0 and row["timestamp"], row)
        row = await on.fetch_ticker_ws(SYMBOL, {"method": "ticker.book"})
        expect(0 < row["bid"] < row["ask"], row)
