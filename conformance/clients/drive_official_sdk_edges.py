"""The WebSocket API, signatures of each kind, refusals as the SDK's exceptions, and headers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from binance_common.errors import (
    BadRequestError,
    ForbiddenError,
    RateLimitBanError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
)
from binance_sdk_derivatives_trading_usds_futures.websocket_api import models
from Crypto.PublicKey import ECC, RSA

from conformance.clients.drive_official_sdk_keys import same_keys
from conformance.clients.drive_official_sdk_session import (
    ID,
    VENUE,
    Rest,
    bought,
    price,
    rest,
    resting,
    socket_api,
    trader,
)
from conformance.driver import Failed, capability, equal, expect, only, positive, refused

_CENT = Decimal("0.01")
_ACCOUNT_MODELS = {
    "account.status": models.AccountInformationResponseResult,
    "v2/account.status": models.AccountInformationV2ResponseResult,
    "account.balance": models.FuturesAccountBalanceResponseResultInner,
    "v2/account.balance": models.FuturesAccountBalanceResponseResultInner,
    "account.position": models.PositionInformationResponseResultInner,
    "v2/account.position": models.PositionInformationV2ResponseResultInner,
}
_REFUSED = (BadRequestError, UnauthorizedError, ForbiddenError)


async def _call(on: Any, method: str, *arguments: Any, **named: Any) -> Any:
    """Call a method and return the result as a model; the SDK hands refusals out as data."""
    response = await getattr(on, method)(*arguments, **named)
    data = response.data()
    if isinstance(data, dict):
        raise Failed(f"{method} was refused: {data}")
    data = getattr(data, "actual_instance", data)
    equal(data.status, 200, "status")
    expect(response.rate_limits, "rate limits in every answer")
    return data.result


async def _exact(on: Any, model: Any, method: str, **params: Any) -> Any:
    """Ask again without a model, and hold the keys on the wire against those of the model."""
    message = {"method": method, "params": params}
    said = (await on.send_signed_message(message, signer=on.signer)).data()
    expect("result" in said, f"{method} was refused: {said}")
    rows = said["result"] if isinstance(said["result"], list) else [said["result"]]
    same_keys([model.from_dict(row) for row in rows], rows)
    return rows[0]


async def _place(on: Any, **named: Any) -> Any:
    asked = {"time_in_force": "GTC", "quantity": _CENT, "price": price("0.96"), **named}
    return await _call(on, "new_order", ID, "BUY", "LIMIT", **asked)


@capability("socket_api.order_place")
async def order_place() -> None:
    async with socket_api(VENUE.open_account()) as on:
        order = await _place(on)
        equal((order.status, order.symbol, Decimal(order.orig_qty)), ("NEW", ID, _CENT))
        limit = {"type": "LIMIT", "timeInForce": "GTC", "price": str(price("0.96"))}
        same = {"symbol": ID, "side": "BUY", "quantity": "0.01", **limit}
        await _exact(on, models.NewOrderResponseResult, "order.place", **same)
        market = {"quantity": _CENT, "new_order_resp_type": "RESULT"}
        equal((await _call(on, "new_order", ID, "BUY", "MARKET", **market)).status, "FILLED")
        asked = {"quantity": _CENT, "trigger_price": price("0.96")}
        waiting = await _call(
            on, "new_algo_order", "CONDITIONAL", ID, "SELL", "STOP_MARKET", **asked
        )
        equal((waiting.algo_status, waiting.order_type), ("NEW", "STOP_MARKET"))
        stop = {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": limit["price"]}
        same = {"symbol": ID, "side": "SELL", "quantity": "0.01", **stop}
        await _exact(on, models.NewAlgoOrderResponseResult, "algoOrder.place", **same)
        gone = await _call(on, "cancel_algo_order", algo_id=waiting.algo_id)
        equal(gone.algo_id, waiting.algo_id)
        refusal = (await on.new_order(ID, "SELL", "STOP_MARKET", quantity=_CENT)).data()
        equal(refusal["error"]["code"], -4120)


@capability("socket_api.order_modify")
async def order_modify() -> None:
    async with socket_api(VENUE.open_account()) as on:
        order = await _place(on)
        named = {"order_id": order.order_id}
        changed = await _call(
            on, "modify_order", ID, "BUY", Decimal("0.012"), price("0.955"), **named
        )
        equal((changed.order_id, Decimal(changed.orig_qty)), (order.order_id, Decimal("0.012")))
        asked = {"symbol": ID, "side": "BUY", "quantity": "0.013", "price": str(price("0.95"))}
        asked |= {"orderId": order.order_id, "modifyId": 77}
        same = await _exact(on, models.ModifyOrderResponseResult, "order.modify", **asked)
        equal(same["modifyId"], 77)


@capability("socket_api.order_query")
async def order_query() -> None:
    async with socket_api(VENUE.open_account()) as on:
        order = await _place(on)
        read = await _call(on, "query_order", ID, order_id=order.order_id)
        equal((read.order_id, read.status, read.avg_price), (order.order_id, "NEW", "0.00"))
        asked = {"symbol": ID, "orderId": order.order_id}
        await _exact(on, models.QueryOrderResponseResult, "order.status", **asked)


@capability("socket_api.order_cancel")
async def order_cancel() -> None:
    async with socket_api(VENUE.open_account()) as on:
        order = await _place(on)
        gone = await _call(on, "cancel_order", ID, order_id=order.order_id)
        equal((gone.order_id, gone.status), (order.order_id, "CANCELED"))
        asked = {"symbol": ID, "orderId": (await _place(on)).order_id}
        await _exact(on, models.CancelOrderResponseResult, "order.cancel", **asked)


@capability("socket_api.account")
async def account() -> None:
    opened = VENUE.open_account()
    bought(Rest(opened))
    async with socket_api(opened) as on:
        for method in ("account_information", "account_information_v2"):
            positive((await _call(on, method)).total_wallet_balance)
        for method in ("futures_account_balance", "futures_account_balance_v2"):
            positive(next(row for row in await _call(on, method) if row.asset == "USDT").balance)
        for method in ("position_information", "position_information_v2"):
            row = only(await _call(on, method, symbol=ID))
            equal((row.symbol, Decimal(row.position_amt)), (ID, _CENT))
        for method, model in _ACCOUNT_MODELS.items():
            await _exact(on, model, method)


@capability("socket_api.market")
async def market() -> None:
    async with socket_api() as on:
        book = await _call(on, "order_book", ID, limit=5)
        expect(book.last_update_id > 0, book)
        row = await _call(on, "symbol_order_book_ticker", symbol=ID)
        expect(positive(row.bid_price) < positive(row.ask_price) and row.last_update_id, row)
        positive((await _call(on, "symbol_price_ticker", symbol=ID)).price)
        await _exact(on, models.SymbolOrderBookTickerResponse1Result, "ticker.book", symbol=ID)
        await _exact(on, models.SymbolPriceTickerResponse1Result, "ticker.price", symbol=ID)
        rows = await _call(on, "symbol_price_ticker")
        expect(ID in {one.symbol for one in rows}, rows)


@capability("socket_api.listen_key")
async def listen_key() -> None:
    async with socket_api(VENUE.open_account()) as on:
        started = await _call(on, "start_user_data_stream")
        equal(set(started.model_fields_set) - {"additional_properties"}, {"listen_key"})
        equal((await _call(on, "keepalive_user_data_stream")).listen_key, started.listen_key)
        await _call(on, "close_user_data_stream")
        expect((await _call(on, "start_user_data_stream")).listen_key != started.listen_key, "new")


@capability("socket_api.session")
async def session() -> None:
    key = ECC.generate(curve="ed25519")
    private, public = key.export_key(format="PEM"), key.public_key().export_key(format="PEM")
    opened = VENUE.open_account(key_type="ED25519", public_key=public)
    async with socket_api(opened, private_key=private, api_secret=None) as on:
        logon = {"method": "session.logon", "params": {}}
        answer = (
            await on.send_signed_message(logon, api_key=True, session_logon=True, signer=on.signer)
        ).data()
        expect(answer.get("status") == 200, answer)
        result = answer["result"]
        equal(
            set(result),
            {"apiKey", "authorizedSince", "connectedSince", "returnRateLimits", "serverTime"},
        )
        equal(result["apiKey"], opened["api_key"])
        expect(on.connections[0].is_session_log_on, "the SDK now leaves signatures out")
        equal((await _place(on)).status, "NEW", "signed by the session")
        off = {"method": "session.logout", "params": {}}
        answer = (await on.send_message(off, session_logout=True)).data()
        equal((answer["status"], answer["result"]["apiKey"]), (200, None))
        equal((await _place(on)).status, "NEW", "signed by itself again")


def _signed_rest(account: Any, private: str) -> None:
    on = Rest(account, private_key=private, api_secret=None)
    order = resting(on, new_client_order_id="signed:by/me")
    equal(on("query_order", ID, orig_client_order_id="signed:by/me").order_id, order.order_id)
    equal(on("cancel_order", ID, order_id=order.order_id).status, "CANCELED")


@capability("signing.hmac")
def hmac() -> None:
    resting(trader(), new_client_order_id="signed:by/me")


@capability("signing.rsa")
async def rsa() -> None:
    key = RSA.generate(2048)
    private, public = key.export_key(pkcs=8).decode(), key.public_key().export_key().decode()
    opened = VENUE.open_account(key_type="RSA", public_key=public)
    _signed_rest(opened, private)
    async with socket_api(opened, private_key=private, api_secret=None) as on:
        equal((await _place(on)).status, "NEW")


@capability("signing.ed25519")
async def ed25519() -> None:
    key = ECC.generate(curve="ed25519")
    private, public = key.export_key(format="PEM"), key.public_key().export_key(format="PEM")
    opened = VENUE.open_account(key_type="ED25519", public_key=public)
    _signed_rest(opened, private)
    async with socket_api(opened, private_key=private, api_secret=None) as on:
        equal((await _place(on)).status, "NEW", "signed by itself")


@capability("error.invalid_symbol")
def invalid_symbol() -> None:
    with refused(BadRequestError, -1121, "Invalid symbol."):
        rest("order_book", "NOSUCHUSDT")


@capability("error.insufficient_margin")
def insufficient_margin() -> None:
    with refused(BadRequestError, -2019, "Margin is insufficient."):
        bought(trader(balance="10"), "1")


@capability("error.cancel_unknown")
def cancel_unknown() -> None:
    with refused(BadRequestError, -2011, "Unknown order sent."):
        rest("cancel_order", ID, order_id=999_999_999)


@capability("error.query_unknown")
def query_unknown() -> None:
    with refused(BadRequestError, -2013, "Order does not exist."):
        rest("query_order", ID, order_id=999_999_999)


@capability("error.conditional_as_order")
def conditional_as_order() -> None:
    with refused(BadRequestError, -4120):
        rest("new_order", ID, "SELL", "STOP_MARKET", quantity=_CENT)


@capability("error.wrong_secret")
def wrong_secret() -> None:
    with refused(_REFUSED, -1022):
        Rest(api_secret="x" * 64)("account_information_v3")


@capability("error.rate_limited")
def rate_limited() -> None:
    try:
        rest("query_order", VENUE.struck("http_429"), order_id=1)
    except TooManyRequestsError as error:
        equal(error.status_code, -1003)
        expect(error.retry_after and 0 < error.retry_after <= 60, error.retry_after)
    else:
        raise Failed("it was served")


@capability("error.banned")
def banned() -> None:
    try:
        rest("query_order", VENUE.struck("http_418"), order_id=1)
    except RateLimitBanError as ban:
        equal((ban.status_code, ban.retry_after), (-1003, 60))
        expect("banned until" in ban.error_message, ban.error_message)
    else:
        raise Failed("it was served")


@capability("error.outcome_unknown")
def outcome_unknown() -> None:
    symbol = VENUE.struck("http_503_unknown")
    try:
        rest("query_order", symbol, order_id=1)
    except ServerError as error:  # without a word of the body, whichever 503 it is
        equal(error.status_code, 503)
    else:
        raise Failed("it was served")


@capability("error.read_only_key")
def read_only_key() -> None:
    on = trader(permissions=["READ"])
    positive(on("futures_account_balance_v3")[0].balance)
    with refused(_REFUSED, -2015):
        bought(on)


def _limits(envelope: Any, kind: str) -> dict[tuple[str, int], int]:
    rows = [row for row in envelope.rate_limits if row.rateLimitType == kind]
    return {(row.interval, row.intervalNum): row.count for row in rows}


@capability("header.used_weight")
def used_weight() -> None:
    first = _limits(rest.told("check_server_time").envelope, "REQUEST_WEIGHT")
    expect(first[("MINUTE", 1)] > 0, first)


@capability("header.order_count")
def order_count() -> None:
    on = trader()
    asked = {"time_in_force": "GTC", "quantity": _CENT, "price": price("0.96")}
    told = on.told("new_order", ID, "BUY", "LIMIT", **asked)
    equal(_limits(told.envelope, "ORDERS"), {("SECOND", 10): 1, ("MINUTE", 1): 1})
