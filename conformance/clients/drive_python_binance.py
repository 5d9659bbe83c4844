"""python-binance 1.0.37, its sync client, threaded socket manager and WebSocket API."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from binance import AsyncClient, BinanceSocketManager, Client, ThreadedWebsocketManager
from binance.exceptions import BinanceAPIException

from conformance.clients.plain_account import ACCOUNT
from conformance.clients.plain_algos import ALGOS
from conformance.clients.plain_client import PlainClient
from conformance.clients.plain_edges import EDGES
from conformance.clients.plain_market import MARKET
from conformance.clients.plain_order_queries import QUERIES
from conformance.clients.plain_orders import ORDERS
from conformance.clients.plain_socket_api import SOCKET_API
from conformance.clients.plain_streams import Receive, Stream, stream_checks, user_stream_checks
from conformance.clients.python_binance_methods import (
    METHODS,
    NO_SOCKET_SESSIONS,
    SOCKET_METHODS,
    check_batch_modify,
    keys_of,
)
from conformance.driver import run, until, venue

VENUE = venue()
ABSENT = NO_SOCKET_SESSIONS | dict.fromkeys(
    ("stream.trade", "stream.diff_depth"),
    "start_futures_multiplex_socket of python-binance 1.0.37 takes no category: everything is "
    "asked for at /market, where this stream is silent (ws/streams.py:1642)",
)
RECEIVE_TIMEOUT_S = 20
# A manager and its sockets take the event loop of the thread that makes them: one thread for both.
MANAGERS = ThreadPoolExecutor(1)

# The threaded manager makes its own client and sockets: their addresses are their classes'.
AsyncClient.API_URL = f"{VENUE.url}/api"
AsyncClient.FUTURES_URL = f"{VENUE.url}/fapi"
BinanceSocketManager.FSTREAM_URL = f"{VENUE.socket_url}/"


def make(account: Mapping[str, Any]) -> Client:
    """The client of an account, unmodified but for its addresses."""
    client = Client(**keys_of(account), ping=False)
    client.FUTURES_URL = f"{VENUE.url}/fapi"
    client.MARGIN_API_URL = f"{VENUE.url}/sapi"
    client.timestamp_offset = VENUE.clock_offset_ms()
    client.ws_future._url = f"{VENUE.socket_url}/ws-fapi/v1"
    return client


CLIENT = PlainClient(
    make, {**METHODS, **SOCKET_METHODS}, BinanceAPIException, VENUE, ThreadPoolExecutor(1)
)

STARTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "stream.book_ticker": ("start_symbol_ticker_futures_socket", {"symbol": "BTCUSDT"}),
    "stream.agg_trade": ("start_aggtrade_futures_socket", {"symbol": "BTCUSDT"}),
    "stream.continuous_kline": ("start_kline_futures_socket", {"symbol": "BTCUSDT"}),
    "stream.partial_depth": ("start_futures_depth_socket", {"symbol": "BTCUSDT"}),
    "stream.ticker": (
        "start_individual_symbol_ticker_futures_socket",
        {"symbol": "BTCUSDT"},
    ),
    "stream.all_book_tickers": ("start_all_ticker_futures_socket", {}),
}


@contextlib.asynccontextmanager
async def _listen(client: PlainClient, method: str, **parameters: Any) -> AsyncIterator[Receive]:
    """Start a socket in the manager's thread, and read what its callback is told."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    manager = await loop.run_in_executor(MANAGERS, _start_manager, client.account)

    def hear(said: Any) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, said)

    async def receive() -> Any:
        said = await asyncio.wait_for(heard.get(), RECEIVE_TIMEOUT_S)
        return said.get("data", said) if isinstance(said, dict) else said

    try:
        start = functools.partial(getattr(manager, method), hear, **parameters)
        await loop.run_in_executor(MANAGERS, start)
        await loop.run_in_executor(MANAGERS, _wait_until_open, manager)
        yield receive
    finally:
        manager.stop()
        await asyncio.to_thread(manager.join, 5)


def _start_manager(account: Mapping[str, Any]) -> ThreadedWebsocketManager:
    """A manager, made where no event loop runs: it would take the one it finds."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    manager = ThreadedWebsocketManager(account["api_key"], account["secret"])
    manager.start()
    return manager


def _wait_until_open(manager: ThreadedWebsocketManager) -> None:
    """The manager tells nobody that a socket is open: look into it."""
    until(lambda: any(socket.ws is not None for socket in manager._bsm._conns.values()), 10)


def listen(name: str, stream: Stream) -> Any:
    """Open a market stream: by the method made for it, or as one of several streams."""
    if name in STARTERS:
        method, parameters = STARTERS[name]
        return _listen(CLIENT, method, **parameters)
    return _listen(CLIENT, "start_futures_multiplex_socket", streams=[stream.name])


def listen_to_user(client: PlainClient) -> Any:
    """Open the user stream of an account."""
    return _listen(client, "start_futures_user_socket")


def before() -> None:
    """Open the client."""
    CLIENT.client = CLIENT.open(VENUE.account).client


check_batch_modify(ORDERS)
for checks in (
    MARKET, ACCOUNT, ORDERS, QUERIES, ALGOS, EDGES, SOCKET_API, stream_checks(listen),
    user_stream_checks(listen_to_user),
):  # fmt: skip
    checks.register(CLIENT, ABSENT)

if __name__ == "__main__":
    sys.exit(run(ABSENT, before, CLIENT.close))
