"""python-binance 1.0.37, its async client, socket manager and WebSocket API."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from binance import AsyncClient, BinanceSocketManager
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
from conformance.driver import run, venue

VENUE = venue()
ABSENT = NO_SOCKET_SESSIONS


def make(account: Mapping[str, Any]) -> AsyncClient:
    """The client of an account, unmodified but for its addresses."""
    client = AsyncClient(**keys_of(account))
    client.API_URL = f"{VENUE.url}/api"
    client.FUTURES_URL = f"{VENUE.url}/fapi"
    client.MARGIN_API_URL = f"{VENUE.url}/sapi"
    client.timestamp_offset = VENUE.clock_offset_ms()
    client.ws_future._url = f"{VENUE.socket_url}/ws-fapi/v1"
    return client


CLIENT = PlainClient(make, {**METHODS, **SOCKET_METHODS}, BinanceAPIException, VENUE)

OWN_SOCKETS = {
    "stream.book_ticker": lambda manager: manager.symbol_ticker_futures_socket("BTCUSDT"),
    "stream.agg_trade": lambda manager: manager.aggtrade_futures_socket("BTCUSDT"),
    "stream.continuous_kline": lambda manager: manager.kline_futures_socket("BTCUSDT"),
    "stream.mark_price": lambda manager: manager.symbol_mark_price_socket("BTCUSDT"),
    "stream.partial_depth": lambda manager: manager.futures_depth_socket("BTCUSDT"),
    "stream.ticker": lambda manager: manager.individual_symbol_ticker_futures_socket("BTCUSDT"),
    "stream.all_tickers": lambda manager: manager.futures_ticker_socket(),
    "stream.all_book_tickers": lambda manager: manager.all_ticker_futures_socket("!bookTicker"),
    "stream.all_mark_prices": lambda manager: manager.all_mark_price_socket(),
}


def manager_of(client: PlainClient) -> BinanceSocketManager:
    """The client's own socket manager, at our address."""
    manager = BinanceSocketManager(client.client)
    manager.FSTREAM_URL = f"{VENUE.socket_url}/"
    return manager


@contextlib.asynccontextmanager
async def listen(name: str, stream: Stream) -> AsyncIterator[Receive]:
    """Open a market stream: by the method made for it, or as one of several streams."""
    manager = manager_of(CLIENT)
    own = OWN_SOCKETS.get(name)
    socket = (
        own(manager)
        if own is not None
        else manager.futures_multiplex_socket([stream.name], category=stream.route)
    )
    async with socket as opened:

        async def receive() -> Any:
            said = await opened.recv()
            return said.get("data", said) if isinstance(said, dict) else said

        yield receive


@contextlib.asynccontextmanager
async def listen_to_user(client: PlainClient) -> AsyncIterator[Receive]:
    """Open the user stream of an account."""
    async with manager_of(client).futures_user_socket() as opened:
        yield opened.recv


async def before() -> None:
    """Open the client in the running loop."""
    CLIENT.client = CLIENT.open(VENUE.account).client


check_batch_modify(ORDERS)
for checks in (
    MARKET, ACCOUNT, ORDERS, QUERIES, ALGOS, EDGES, SOCKET_API, stream_checks(listen),
    user_stream_checks(listen_to_user),
):  # fmt: skip
    checks.register(CLIENT, ABSENT)

if __name__ == "__main__":
    sys.exit(run(ABSENT, before, CLIENT.close))
