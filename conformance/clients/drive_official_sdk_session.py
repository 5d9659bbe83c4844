"""How the official SDK is pointed at the venue, and what is demanded of every answer it reads.

Each answer is read by the SDK into its model with strict types, and the raw keys are compared with
the model's fields: the models are the second source of the exact key sets beside the documents.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Final

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures

from conformance.clients.drive_official_sdk_keys import same_keys
from conformance.driver import Failed, Venue, expect, until, venue

VENUE: Final[Venue] = venue()
ID: Final = "BTCUSDT"
OTHER: Final = "ETHUSDT"
TIMEOUT_MS: Final = 5_000


class Told:
    """What the SDK read: its model, the raw body beside it, and the envelope."""

    def __init__(self, data: Any, raw: Any, envelope: Any) -> None:
        self.data, self.raw, self.envelope = data, raw, envelope


class Rest:
    """The SDK's REST client, whose every answer is held against the model it was read into."""

    def __init__(self, account: Any = None, **options: Any) -> None:
        keys = VENUE.account if account is None else account
        options.setdefault("api_secret", keys.get("secret"))
        made = ConfigurationRestAPI(
            api_key=keys["api_key"], base_path=VENUE.url, timeout=TIMEOUT_MS, retries=0, **options
        )
        self.client = DerivativesTradingUsdsFutures(config_rest_api=made).rest_api
        self._bodies: list[Any] = []
        self.client._session.hooks["response"].append(self._keep)

    def _keep(self, response: Any, **_: object) -> None:
        self._bodies.append(response)

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the client and return what it read, checked for types and keys."""
        return self.told(method, *arguments, **named).data

    def told(self, method: str, *arguments: Any, **named: Any) -> Told:
        """The same with the raw body and the envelope, which has headers and rate limits."""
        self._bodies.clear()
        with strictly_typed():
            envelope = getattr(self.client, method)(*arguments, **named)
        raw = self._bodies[-1].json()
        data = envelope.data()
        same_keys(data, raw)
        return Told(getattr(data, "actual_instance", None) or data, raw, envelope)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextlib.contextmanager
def strictly_typed() -> Iterator[list[str]]:
    """Fail where the SDK says that an answer did not have its model's types."""
    ear = _Complaints()
    logging.getLogger().addHandler(ear)
    try:
        yield ear.said
    finally:
        logging.getLogger().removeHandler(ear)
    wrong = [said for said in ear.said if "did not match" in said or "Failed to parse" in said]
    if wrong:
        raise Failed("; ".join(wrong))


rest: Final = Rest()


def trader(**options: object) -> Rest:
    """A client of an account opened for one check, so that no other check's orders are seen."""
    return Rest(VENUE.open_account(**options))


def price(factor: str = "1", symbol: str = ID) -> Decimal:
    """A price near the best bid, on the tick."""
    return VENUE.price(symbol, factor)


def resting(on: Any, factor: str = "0.96", **params: Any) -> Any:
    """Place a limit order below the market."""
    asked = {"time_in_force": "GTC", "quantity": Decimal("0.01"), "price": price(factor), **params}
    if asked["price"] is None:
        del asked["price"]
    order = on("new_order", ID, "BUY", "LIMIT", **asked)
    expect(order.status == "NEW" and order.symbol == ID, order)
    return order


def bought(on: Any, quantity: str = "0.01", side: str = "BUY", **params: Any) -> Any:
    """Fill a market order, and return what a query says of it."""
    asked = {"quantity": Decimal(quantity), "new_order_resp_type": "RESULT", **params}
    order = on("new_order", ID, side, "MARKET", **asked)
    expect(order.status == "FILLED", order)
    return until(lambda: _filled(on, order.order_id))


def _filled(on: Any, order_id: int) -> Any:
    order = on("query_order", ID, order_id=order_id)
    return order if order.status == "FILLED" and Decimal(order.avg_price) > 0 else None


@contextlib.asynccontextmanager
async def streams() -> AsyncIterator[Any]:
    """The SDK's stream client with its three sockets open, closed in the end."""
    made = ConfigurationWebSocketStreams(stream_url=VENUE.socket_url)
    client = DerivativesTradingUsdsFutures(config_ws_streams=made).websocket_streams
    await client.create_connection()
    try:
        expect(len(client.connections) == 3, "three sockets: market, public, private")
        yield client
    finally:
        await client.close_connection()


@contextlib.asynccontextmanager
async def socket_api(account: Any = None, **options: Any) -> AsyncIterator[Any]:
    """The SDK's WebSocket API client, closed in the end."""
    keys = VENUE.account if account is None else account
    options.setdefault("api_secret", keys.get("secret"))
    made = ConfigurationWebSocketAPI(
        api_key=keys["api_key"], stream_url=f"{VENUE.socket_url}/ws-fapi/v1", **options
    )
    client = DerivativesTradingUsdsFutures(config_ws_api=made).websocket_api
    await client.create_connection()
    try:
        expect(len(client.connections) == 1, "the socket is open")
        yield client
    finally:
        await client.close_connection()
