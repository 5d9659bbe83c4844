"""binance-futures-connector 4.2.0, its REST client and its WebSocket client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from binance.error import ClientError
from binance.um_futures import UMFutures
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

from conformance.clients.plain_account import ACCOUNT
from conformance.clients.plain_client import PlainClient
from conformance.clients.plain_edges import EDGES
from conformance.clients.plain_market import MARKET
from conformance.clients.plain_order_queries import QUERIES
from conformance.clients.plain_orders import ORDERS
from conformance.clients.plain_streams import Receive, Stream, stream_checks, user_stream_checks
from conformance.driver import Failed, run, venue

VENUE = venue()
RECEIVE_TIMEOUT_S = 20

_NO_ALGOS = "binance-futures-connector 4.2.0 predates algo orders: it has no method for them"
_NO_SOCKET_API = "binance-futures-connector 4.2.0 has no client of the WebSocket API"
_NO_METHOD = "binance-futures-connector 4.2.0 has no method for it"
ABSENT = {
    **dict.fromkeys(
        (
            "algo.stop", "algo.stop_market", "algo.take_profit", "algo.take_profit_market",
            "algo.trailing_stop_market", "algo.query", "algo.open", "algo.all", "algo.cancel",
            "algo.cancel_all", "algo.trigger", "user_stream.algo_update",
        ),
        _NO_ALGOS,
    ),
    **dict.fromkeys(
        (
            "socket_api.order_place", "socket_api.order_modify", "socket_api.order_query",
            "socket_api.order_cancel", "socket_api.account", "socket_api.market",
            "socket_api.listen_key", "socket_api.session",
        ),
        _NO_SOCKET_API,
    ),
    **dict.fromkeys(
        (
            "market.premium_index_klines", "market.rpi_depth", "market.adl_risk",
            "account.api_restrictions", "order.amendments", "order.batch_modify", "stream.trade",
        ),
        _NO_METHOD,
    ),
    "account.account_v2": "binance-futures-connector 4.2.0 asks for /fapi/v3/account only",
    "market.funding_info": (
        "funding_info of binance-futures-connector 4.2.0 asks /fapi/v1/fundingRate "
        "(um_futures/market.py:277)"
    ),
    "signing.ed25519": (
        "binance-futures-connector 4.2.0 signs with HMAC and RSA only (lib/authentication.py)"
    ),
}  # fmt: skip


def make(account: Mapping[str, Any]) -> UMFutures:
    """The client of an account, unmodified but for its address."""
    if "private_key" in account:
        return UMFutures(account["api_key"], private_key=account["private_key"], base_url=VENUE.url)
    return UMFutures(account["api_key"], account["secret"], base_url=VENUE.url)


def _headers_of(client: UMFutures, asked: str, **parameters: Any) -> Any:
    client.show_limit_usage = True
    try:
        return getattr(client, METHODS[asked])(**parameters)["limit_usage"]
    finally:
        client.show_limit_usage = False


def _batch_cancel(
    client: UMFutures, symbol: str, order_ids: Any = None, client_order_ids: Any = None
) -> Any:
    return client.cancel_batch_order(symbol, order_ids, client_order_ids)


def _change_multi_assets_mode(client: UMFutures, multiAssetsMargin: bool) -> Any:  # noqa: N803
    return client.change_multi_asset_mode(multiAssetsMargin=str(multiAssetsMargin).lower())


METHODS: dict[str, Any] = {
    "ping": "ping",
    "time": "time",
    "exchange_info": "exchange_info",
    "depth": "depth",
    "trades": "trades",
    "historical_trades": "historical_trades",
    "agg_trades": "agg_trades",
    "klines": "klines",
    "continuous_klines": "continuous_klines",
    "index_price_klines": "index_price_klines",
    "mark_price_klines": "mark_price_klines",
    "premium_index": "mark_price",
    "funding_rate": "funding_rate",
    "ticker_24hr": "ticker_24hr_price_change",
    "ticker_price": "ticker_price",
    "book_ticker": "book_ticker",
    "open_interest": "open_interest",
    "account_v3": "account",
    "balance": "balance",
    "position_risk": "get_position_risk",
    "account_config": "futures_account_configuration",
    "symbol_config": "symbol_configuration",
    "change_leverage": "change_leverage",
    "change_margin_type": "change_margin_type",
    "change_position_margin": "modify_isolated_position_margin",
    "position_margin_history": "get_position_margin_history",
    "position_mode": "get_position_mode",
    "change_position_mode": "change_position_mode",
    "multi_assets_mode": "get_multi_asset_mode",
    "change_multi_assets_mode": _change_multi_assets_mode,
    "fee_burn": "get_bnb_burn",
    "change_fee_burn": "toggle_bnb_burn",
    "leverage_bracket": "leverage_brackets",
    "commission_rate": "commission_rate",
    "income": "get_income_history",
    "rate_limit_order": "query_user_rate_limit",
    "api_trading_status": "api_trading_status",
    "adl_quantile": "adl_quantile",
    "force_orders": "force_orders",
    "place": "new_order",
    "place_as_it_is": "new_order",
    "test_order": "new_order_test",
    "query": "query_order",
    "open_order": "get_open_orders",
    "open_orders": "get_orders",
    "all_orders": "get_all_orders",
    "user_trades": "get_account_trades",
    "cancel": "cancel_order",
    "cancel_all": "cancel_open_orders",
    "modify": "modify_order",
    "batch_place": lambda client, orders: client.new_batch_order(orders),
    "batch_cancel": _batch_cancel,
    "countdown": "countdown_cancel_order",
    "start_listen_key": lambda client: client.new_listen_key()["listenKey"],
    "extend_listen_key": "renew_listen_key",
    "close_listen_key": "close_listen_key",
    "headers_of": _headers_of,
}
CLIENT = PlainClient(make, METHODS, ClientError, VENUE)

SUBSCRIBERS: dict[str, Any] = {
    "stream.book_ticker": lambda socket: socket.book_ticker("BTCUSDT"),
    "stream.agg_trade": lambda socket: socket.agg_trade("BTCUSDT"),
    "stream.kline": lambda socket: socket.kline("BTCUSDT", "1m"),
    "stream.continuous_kline": lambda socket: socket.continuous_kline("BTCUSDT", "perpetual", "1m"),
    "stream.mark_price": lambda socket: socket.mark_price("BTCUSDT", 1),
    "stream.partial_depth": lambda socket: socket.partial_book_depth("BTCUSDT", 10),
    "stream.diff_depth": lambda socket: socket.diff_book_depth("BTCUSDT"),
    "stream.mini_ticker": lambda socket: socket.mini_ticker("BTCUSDT"),
    "stream.ticker": lambda socket: socket.ticker("BTCUSDT"),
    "stream.all_mini_tickers": lambda socket: socket.mini_ticker(),
    "stream.all_tickers": lambda socket: socket.ticker(),
    "stream.all_book_tickers": lambda socket: socket.book_ticker(None),
    "stream.all_mark_prices": lambda socket: socket.mark_price_all_market(),
    "stream.force_order": lambda socket: socket.liquidation_order("SOLUSDT"),
}


@contextlib.asynccontextmanager
async def _listen(url: str, subscribe: Any, *, is_combined: bool) -> AsyncIterator[Receive]:
    """Open the client's socket, subscribe, wait for its answer, and read what it is told."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[Any] = asyncio.Queue()

    def hear(manager: Any, said: str) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, json.loads(said))

    async def receive() -> Any:
        said = await asyncio.wait_for(heard.get(), RECEIVE_TIMEOUT_S)
        return said["data"] if is_combined and "data" in said else said

    socket = await asyncio.to_thread(
        UMFuturesWebsocketClient, stream_url=url, on_message=hear, is_combined=is_combined
    )
    try:
        subscribe(socket)
        answer = await receive()
        if answer.get("result", answer) is not None or not isinstance(answer.get("id"), int):
            raise Failed(f"the subscription was answered with {answer!r}")
        yield receive
    finally:
        await asyncio.to_thread(socket.stop)


def listen(name: str, stream: Stream) -> Any:
    """Subscribe to a market stream by the method made for it."""
    return _listen(
        f"{VENUE.socket_url}/{stream.route}", SUBSCRIBERS[name], is_combined="all_" in name
    )


@contextlib.asynccontextmanager
async def listen_to_user(client: PlainClient) -> AsyncIterator[Receive]:
    """Subscribe to the user stream by its listen key."""
    listen_key = await client("start_listen_key")
    private = f"{VENUE.socket_url}/private"
    async with _listen(
        private, lambda socket: socket.user_data(listen_key), is_combined=True
    ) as receive:
        yield receive


def before() -> None:
    """Open the client."""
    CLIENT.client = CLIENT.open(VENUE.account).client


for checks in (
    MARKET, ACCOUNT, ORDERS, QUERIES, EDGES, stream_checks(listen),
    user_stream_checks(listen_to_user),
):  # fmt: skip
    checks.register(CLIENT, ABSENT)

if __name__ == "__main__":
    sys.exit(run(ABSENT, before, CLIENT.close))
