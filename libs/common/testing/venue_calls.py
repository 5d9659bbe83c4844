"""A venue client against a scripted venue: the key, the order and the answer that tests share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.venue.signing import ParameterValue

KEY = "Key" + "k" * 58 + "yek"
SECRET = "Secret" + "s" * 58
NOW_MS = 1_723_161_255_030
ORDER: dict[str, ParameterValue | None] = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": Decimal("0.010"),
    "price": Decimal("61800.20"),
    "reduceOnly": False,
    "newClientOrderId": "p:intent/7-1",
}
ACK = (
    b'{"orderId":283194212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"p:intent/7-1",'
    b'"price":"61800.20","origQty":"0.010","executedQty":"0.000","cumQty":"0.000",'
    b'"timeInForce":"GTC","type":"LIMIT","reduceOnly":false,"side":"BUY","updateTime":1}'
)


@asynccontextmanager
async def client_of(url: str, **changes: Any) -> AsyncIterator[VenueClient]:
    """A client of the venue at ``url``, closed at the end; ``changes`` go to its constructor."""
    changes.setdefault("limits", VenueLimits(request_timeout_ms=300))
    client = VenueClient(
        url, lambda: NOW_MS * 1_000_000, api_key=KEY, api_secret=Secret(SECRET), **changes
    )
    try:
        yield client
    finally:
        await client.close_connection()


async def place(client: VenueClient) -> object:
    """Send the order; returns the outcome."""
    return await client.place_order(ORDER, timestamp_ms=NOW_MS)
