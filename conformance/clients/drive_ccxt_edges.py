"""Signatures of each kind, refusals as ccxt's exceptions, and headers."""

from __future__ import annotations

import base64
from typing import Any

import ccxt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from conformance.clients.drive_ccxt_session import (
    BY_HOST,
    ID,
    SYMBOL,
    VENUE,
    client,
    filled,
    place,
    price,
    rest,
    trader,
)
from conformance.driver import capability, equal, expect, refused

_PKCS8 = serialization.PrivateFormat.PKCS8
_PKCS1 = serialization.PrivateFormat.TraditionalOpenSSL


def _pem(key: Any, form: Any) -> str:
    sealed = serialization.NoEncryption()
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, form, sealed)
    return pem.decode().strip()


def _public(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return pem.decode()


def _signs(kind: str, key: Any, form: Any) -> None:
    account = VENUE.open_account(key_type=kind, public_key=_public(key))
    on = client(account=account, secret=_pem(key, form))
    on.load_markets()
    order = place(on, "limit", "buy", 0.01, price("0.96"), clientOrderId="signed:by/me")
    equal(on.fetch_order(order["id"], SYMBOL)["status"], "open")
    equal(on.cancel_order(order["id"], SYMBOL)["status"], "canceled")


@capability("signing.hmac")
def hmac() -> None:
    on = trader()
    filled(on, place(on, "market", "buy", 0.01))


@capability("signing.rsa")
def rsa_() -> None:
    _signs("RSA", rsa.generate_private_key(public_exponent=65537, key_size=2048), _PKCS1)


@capability("signing.ed25519")
def ed25519_() -> None:
    _signs("ED25519", ed25519.Ed25519PrivateKey.generate(), _PKCS8)


@capability("error.invalid_symbol")
def invalid_symbol() -> None:
    with refused(ccxt.BadSymbol, -1121):
        rest.fapiPublicGetDepth({"symbol": "NOSUCHUSDT"})


@capability("error.insufficient_margin")
def insufficient_margin() -> None:
    with refused(BY_HOST, -2019):
        place(trader(balance="10"), "market", "buy", 1.0)


@capability("error.cancel_unknown")
def cancel_unknown() -> None:
    with refused(ccxt.OrderNotFound, -2011):
        rest.cancel_order("999999999", SYMBOL)


@capability("error.query_unknown")
def query_unknown() -> None:
    with refused(ccxt.OrderNotFound, -2013):
        rest.fetch_order("999999999", SYMBOL)


@capability("error.conditional_as_order")
def conditional_as_order() -> None:
    with refused(BY_HOST, -4120):
        rest.fapiPrivatePostOrder(
            {
                "symbol": ID,
                "side": "SELL",
                "type": "STOP_MARKET",
                "quantity": "0.01",
                "stopPrice": "1000",
            }
        )


@capability("error.wrong_secret")
def wrong_secret() -> None:
    on = client(secret=base64.b64encode(b"x" * 48).decode())
    with refused(ccxt.AuthenticationError, -1022):
        on.fetch_balance()


@capability("error.rate_limited")
def rate_limited() -> None:
    with refused(ccxt.DDoSProtection, -1003, "429"):
        rest.fapiPrivateGetOrder({"symbol": VENUE.struck("http_429"), "orderId": 1})


@capability("error.banned")
def banned() -> None:
    with refused(ccxt.DDoSProtection, -1003, "banned until"):
        rest.fapiPrivateGetOrder({"symbol": VENUE.struck("http_418"), "orderId": 1})


@capability("error.outcome_unknown")
def outcome_unknown() -> None:
    symbol = VENUE.struck("http_503_unknown")
    try:
        rest.fapiPrivateGetOrder({"symbol": symbol, "orderId": 1})
    except ccxt.OperationFailed as failed:  # not ExchangeError: nobody knows what became of it
        expect("Unknown error, please check your request" in str(failed), str(failed))
    else:
        expect(False, "it was served")


@capability("error.read_only_key")
def read_only_key() -> None:
    account = VENUE.open_account(permissions=["READ"])
    on = client(account=account)
    on.load_markets()
    with refused(ccxt.AuthenticationError, -2015):
        on.create_order(SYMBOL, "market", "buy", 0.01)
    expect(on.fetch_balance()["USDT"]["total"] > 0, "it may read")


@capability("header.used_weight")
def used_weight() -> None:
    rest.fetch_time()
    first = int(rest.last_response_headers["X-MBX-USED-WEIGHT-1M"])
    expect(first > 0, first)


@capability("header.order_count")
def order_count() -> None:
    on = trader()
    place(on, "market", "buy", 0.01)
    headers = on.last_response_headers
    equal((headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1M"]), ("1", "1"))
