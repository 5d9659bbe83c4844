"""How python-binance names the operations: the same names in its sync and its async client."""

from __future__ import annotations

import inspect
import json
from typing import Any

from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import refused, skip


async def _headers_of(client: Any, asked: str, **parameters: Any) -> Any:
    answer = getattr(client, METHODS[asked])(**parameters)
    if inspect.isawaitable(answer):
        await answer
    return client.response.headers


def _batch_cancel(
    client: Any, symbol: str, order_ids: Any = None, client_order_ids: Any = None
) -> Any:
    if order_ids is not None:
        return client.futures_cancel_orders(symbol=symbol, orderidlist=order_ids)
    return client.futures_cancel_orders(symbol=symbol, origclientorderidlist=client_order_ids)


METHODS: dict[str, Any] = {
    "ping": "futures_ping",
    "time": "futures_time",
    "exchange_info": "futures_exchange_info",
    "depth": "futures_order_book",
    "rpi_depth": "futures_rpi_depth",
    "trades": "futures_recent_trades",
    "historical_trades": "futures_historical_trades",
    "agg_trades": "futures_aggregate_trades",
    "klines": "futures_klines",
    "continuous_klines": "futures_continuous_klines",
    "index_price_klines": "futures_index_price_klines",
    "mark_price_klines": "futures_mark_price_klines",
    "premium_index_klines": "futures_premium_index_klines",
    "premium_index": "futures_mark_price",
    "funding_rate": "futures_funding_rate",
    "funding_info": "futures_v1_get_funding_info",
    "ticker_24hr": "futures_ticker",
    "ticker_price": "futures_symbol_ticker",
    "book_ticker": "futures_orderbook_ticker",
    "open_interest": "futures_open_interest",
    "adl_risk": "futures_symbol_adl_risk",
    "api_restrictions": "get_account_api_permissions",
    "account_v2": "futures_account",
    "account_v3": lambda client: client.futures_account(version=3),
    "balance": "futures_account_balance",
    "position_risk": "futures_position_information",
    "account_config": "futures_account_config",
    "symbol_config": "futures_symbol_config",
    "change_leverage": "futures_change_leverage",
    "change_margin_type": "futures_change_margin_type",
    "change_position_margin": "futures_change_position_margin",
    "position_margin_history": "futures_position_margin_history",
    "position_mode": "futures_get_position_mode",
    "change_position_mode": "futures_change_position_mode",
    "multi_assets_mode": "futures_get_multi_assets_mode",
    "change_multi_assets_mode": "futures_change_multi_assets_mode",
    "fee_burn": "futures_v1_get_fee_burn",
    "change_fee_burn": "futures_v1_post_fee_burn",
    "leverage_bracket": "futures_leverage_bracket",
    "commission_rate": "futures_commission_rate",
    "income": "futures_income_history",
    "rate_limit_order": "futures_v1_get_rate_limit_order",
    "api_trading_status": "futures_api_trading_status",
    "adl_quantile": "futures_adl_quantile_estimate",
    "force_orders": "futures_liquidation_orders",
    "place": "futures_create_order",
    # The client sends conditional types elsewhere; only its bare request shows the refusal.
    "place_as_it_is": lambda client, **data: client._request_futures_api(
        "post", "order", True, data=data
    ),
    "test_order": "futures_create_test_order",
    "query": "futures_get_order",
    "open_order": "futures_v1_get_open_order",
    "open_orders": "futures_get_open_orders",
    "all_orders": "futures_get_all_orders",
    "user_trades": "futures_account_trades",
    "cancel": "futures_cancel_order",
    "cancel_all": "futures_cancel_all_open_orders",
    "modify": "futures_modify_order",
    "amendments": "futures_v1_get_order_amendment",
    "batch_place": lambda client, orders: client.futures_place_batch_order(batchOrders=orders),
    "batch_modify": lambda client, orders: client.futures_v1_put_batch_orders(
        batchOrders=json.dumps(orders)
    ),
    "batch_cancel": _batch_cancel,
    "countdown": "futures_countdown_cancel_all",
    "place_conditional": "futures_create_order",
    "place_algo": "futures_create_algo_order",
    "query_algo": "futures_get_algo_order",
    "open_algos": "futures_get_open_algo_orders",
    "all_algos": "futures_get_all_algo_orders",
    "cancel_algo": "futures_cancel_algo_order",
    "cancel_all_algos": "futures_cancel_all_algo_open_orders",
    "start_listen_key": "futures_stream_get_listen_key",
    "extend_listen_key": "futures_stream_keepalive",
    "close_listen_key": "futures_stream_close",
    "headers_of": _headers_of,
}


SOCKET_METHODS = {
    "ws_place": "ws_futures_create_order",
    "ws_modify": "ws_futures_edit_order",
    "ws_query": "ws_futures_get_order",
    "ws_cancel": "ws_futures_cancel_order",
    "ws_account": "ws_futures_v2_account_status",
    "ws_balance": "ws_futures_v2_account_balance",
    "ws_position": "ws_futures_v2_account_position",
    "ws_depth": "ws_futures_get_order_book",
    "ws_price": "ws_futures_get_all_tickers",
    "ws_book": "ws_futures_get_order_book_ticker",
}


def keys_of(account: Any) -> dict[str, Any]:
    """The constructor's arguments for the keys of an account."""
    if account.get("key_type", "HMAC") == "HMAC":
        return {"api_key": account["api_key"], "api_secret": account["secret"]}
    return {"api_key": account["api_key"], "private_key": account["private_key"]}


def check_batch_modify(checks: Checks) -> None:
    """Put the proof of a client's bug in the place of the check it makes impossible."""

    @checks.add("order.batch_modify")
    async def batch_modify(client: PlainClient) -> None:
        change = {
            "symbol": "BTCUSDT", "orderId": "1", "side": "BUY", "quantity": "0.030",
            "price": str(client.venue.price("BTCUSDT", "0.97")),
        }  # fmt: skip
        with refused(client.error, -1022):
            await client("batch_modify", orders=[change])
        skip(
            "futures_v1_put_batch_orders of python-binance 1.0.37 signs its JSON as it stands "
            "(base_client.py, _generate_signature) and sends it percent-encoded in the body: only "
            "a venue that accepts signatures of the decoded form takes it"
        )


NO_SOCKET_SESSIONS = {
    "socket_api.listen_key": "python-binance 1.0.37 asks for listen keys over REST",
    "socket_api.session": "python-binance 1.0.37 signs every request of the WebSocket API",
}
