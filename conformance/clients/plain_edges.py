"""Checks of keys, refusals and limits, for clients that hand the venue's JSON through."""

from __future__ import annotations

from Crypto.PublicKey import ECC, RSA

from conformance.clients.plain_client import Checks, PlainClient
from conformance.clients.plain_orders import place_limit
from conformance.driver import equal, expect, refused

EDGES = Checks()
_RSA_BITS = 2048


def _pem(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


@EDGES.add("signing.hmac")
async def hmac(client: PlainClient) -> None:
    rows = await client("balance")
    expect(any(row["asset"] == "USDT" for row in rows), rows)
    placed = await place_limit(client)
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])


async def _sign_with(client: PlainClient, key_type: str, key: RSA.RsaKey | ECC.EccKey) -> None:
    """Sign with a key whose private half never leaves this process."""
    public = _pem(key.public_key().export_key(format="PEM"))
    account = client.venue.open_account(key_type=key_type, public_key=public)
    form = {"pkcs": 8} if isinstance(key, RSA.RsaKey) else {}
    private = key.export_key(format="PEM", **form)
    own = client.open({**account, "private_key": _pem(private)})
    expect(any(row["asset"] == "USDT" for row in await own("balance")), "the balance")
    placed = await place_limit(own)
    canceled = await own("cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    equal(canceled["status"], "CANCELED")


@EDGES.add("signing.rsa")
async def rsa(client: PlainClient) -> None:
    await _sign_with(client, "RSA", RSA.generate(_RSA_BITS))


@EDGES.add("signing.ed25519")
async def ed25519(client: PlainClient) -> None:
    await _sign_with(client, "ED25519", ECC.generate(curve="Ed25519"))


@EDGES.add("error.invalid_symbol")
async def invalid_symbol(client: PlainClient) -> None:
    with refused(client.error, -1121):
        await client("depth", symbol="NOSUCHUSDT")


@EDGES.add("error.insufficient_margin")
async def insufficient_margin(client: PlainClient) -> None:
    with refused(client.error, -2019):
        await client("place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="100")


@EDGES.add("error.cancel_unknown")
async def cancel_unknown(client: PlainClient) -> None:
    with refused(client.error, -2011):
        await client("cancel", symbol="BTCUSDT", orderId=1)


@EDGES.add("error.query_unknown")
async def query_unknown(client: PlainClient) -> None:
    with refused(client.error, -2013):
        await client("query", symbol="BTCUSDT", orderId=1)


@EDGES.add("error.conditional_as_order")
async def conditional_as_order(client: PlainClient) -> None:
    trigger = str(client.venue.price("BTCUSDT", "0.9"))
    with refused(client.error, -4120):
        await client(
            "place_as_it_is", symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice=trigger,
            quantity="0.010",
        )  # fmt: skip


@EDGES.add("error.wrong_secret")
async def wrong_secret(client: PlainClient) -> None:
    thief = client.open({**client.account, "secret": "0" * 64})
    with refused(client.error, -1022):
        await thief("balance")


@EDGES.add("error.rate_limited")
async def rate_limited(client: PlainClient) -> None:
    with refused(client.error, -1003, "Too many requests"):
        await client("query", symbol=client.venue.struck("http_429"), orderId=1)


@EDGES.add("error.banned")
async def banned(client: PlainClient) -> None:
    with refused(client.error, -1003, "banned until"):
        await client("query", symbol=client.venue.struck("http_418"), orderId=1)


@EDGES.add("error.outcome_unknown")
async def outcome_unknown(client: PlainClient) -> None:
    with refused(Exception, -1000, "Unknown error, please check your request"):
        await client("query", symbol=client.venue.struck("http_503_unknown"), orderId=1)


@EDGES.add("error.read_only_key")
async def read_only_key(client: PlainClient) -> None:
    reader = client.fresh(permissions=["READ"])
    expect(any(row["asset"] == "USDT" for row in await reader("balance")), "the balance")
    with refused(client.error, -2015):
        await place_limit(reader)


@EDGES.add("header.used_weight")
async def used_weight(client: PlainClient) -> None:
    headers = await client("headers_of", asked="depth", symbol="BTCUSDT")
    expect(int(headers["x-mbx-used-weight-1m"]) > 0, headers)


@EDGES.add("header.order_count")
async def order_count(client: PlainClient) -> None:
    own = client.fresh()
    price = str(client.venue.price("BTCUSDT", "0.97"))
    headers = await own(
        "headers_of", asked="place", symbol="BTCUSDT", side="BUY", type="LIMIT",
        timeInForce="GTC", quantity="0.020", price=price,
    )  # fmt: skip
    equal(int(headers["x-mbx-order-count-10s"]), 1)
    equal(int(headers["x-mbx-order-count-1m"]), 1)
