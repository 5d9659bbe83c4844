"""Batches and tested orders over real sockets, sent in every way that clients send them."""

import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest
from yarl import URL

BATCH, ORDER = "/fapi/v1/batchOrders", "/fapi/v1/order"


async def limit_order(customer, **more):
    """An order that rests 2 percent below the market."""
    book = await customer.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol="BTCUSDT")
    price = (Decimal(book.body["bidPrice"]) * Decimal("0.98")).quantize(Decimal("0.1"))
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": f"{price:f}",
        **more,
    }


async def send_raw(customer, method, written, *, body):
    """Send a batch whose JSON is written by this function, signed as it goes over the wire."""
    time = await customer.call("GET", "/fapi/v1/time", signed=False)
    raw = f"timestamp={time.body['serverTime']}&{written}"
    secret = customer.account["secret"].encode()
    raw += "&signature=" + hmac.new(secret, raw.encode(), hashlib.sha256).hexdigest()
    url = URL(customer.url + BATCH + ("" if body else f"?{raw}"), encoded=True)
    headers = {"X-MBX-APIKEY": customer.account["api_key"]}
    data = raw.encode() if body else None
    async with customer.session.request(method, url, headers=headers, data=data) as response:
        return response.status, dict(response.headers), await response.json()


@pytest.mark.parametrize("is_body", [True, False])
@pytest.mark.parametrize("encode", [str, quote, quote_plus], ids=["raw", "percent", "plus"])
async def test_a_batch_is_understood_however_it_is_encoded(customer, encode, is_body):
    order = await limit_order(customer)
    separators = (",", ":") if encode is str else None
    written = encode(json.dumps([order, order], separators=separators))
    if encode is str and not is_body:
        written = written.replace('"', "%22")
    status, headers, rows = await send_raw(customer, "POST", f"batchOrders={written}", body=is_body)
    assert (status, [row["status"] for row in rows]) == (200, ["NEW", "NEW"])
    assert len(rows[0]) == 22
    assert (headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1M"]) == ("5", "1")


async def test_a_batch_is_placed_modified_and_canceled(customer):
    order = await limit_order(customer)
    placed = await customer.call(
        "POST", BATCH, body=True, batchOrders=json.dumps([order, {**order, "quantity": "0"}])
    )
    assert [row.get("code") for row in placed.body] == [None, -4003]
    first = placed.body[0]["orderId"]
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": order["price"]}
    modified = await customer.call(
        "PUT", BATCH, body=True, batchOrders=json.dumps([{**change, "orderId": first}])
    )
    assert modified.body[0]["origQty"] == "0.020"
    canceled = await customer.call(
        "DELETE", BATCH, body=True, symbol="BTCUSDT", orderIdList=json.dumps([first, 1])
    )
    assert [row.get("status", row.get("code")) for row in canceled.body] == ["CANCELED", -2011]
    rows = await customer.call("GET", "/fapi/v1/orderAmendment", symbol="BTCUSDT", orderId=first)
    assert rows.body[0]["amendment"]["origQty"] == {"before": "0.010", "after": "0.020"}


async def test_a_tested_order_is_judged_like_any_other_and_leaves_no_trace(customer):
    order = await limit_order(customer)
    tested = await customer.call("POST", f"{ORDER}/test", body=True, **order)
    assert (tested.status, tested.body["price"]) == (200, order["price"] + "0")
    assert {"avgPrice", "cumQuote"} < set(tested.body)
    refused = await customer.call("POST", f"{ORDER}/test", **{**order, "quantity": "0.0001"})
    assert (refused.status, refused.code) == (400, -1111)
    unsigned = await customer.call("POST", f"{ORDER}/test", signed=False, **order)
    assert unsigned.code == -1102
    assert (await customer.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")).body == []
