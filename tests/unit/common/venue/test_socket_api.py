import hashlib
import hmac
import json
from decimal import Decimal

import pytest

from libs.common.venue.payloads import PayloadError
from libs.common.venue.socket_api import SocketAnswer, decode_answer, encode_request

SECRET, KEY = "s" * 64, "k" * 64


def test_a_request_is_signed_over_its_sorted_raw_parameters_and_the_key() -> None:
    frame = encode_request(
        "id-1",
        "order.place",
        {
            "symbol": "币安USDT",
            "quantity": Decimal("0.00001"),
            "reduceOnly": True,
            "price": None,
            "newClientOrderId": "p:a/b-1",
            "timestamp": 1_723_161_255_030,
            "recvWindow": 5_000,
        },
        KEY,
        SECRET,
    )
    read = json.loads(frame)
    assert (read["id"], read["method"]) == ("id-1", "order.place")
    payload = (
        f"apiKey={KEY}&newClientOrderId=p:a/b-1&quantity=0.00001&recvWindow=5000&reduceOnly=true"
        "&symbol=币安USDT&timestamp=1723161255030"
    )
    expected = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert read["params"].pop("signature") == expected
    assert read["params"] == {
        "apiKey": KEY,
        "newClientOrderId": "p:a/b-1",
        "quantity": "0.00001",
        "recvWindow": 5_000,
        "reduceOnly": "true",
        "symbol": "币安USDT",
        "timestamp": 1_723_161_255_030,
    }


def test_an_answer_tells_its_counts_under_the_names_of_http() -> None:
    rate_limits = [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": 9, "count": c}
        for kind, interval, number, c in (
            ("REQUEST_WEIGHT", "MINUTE", 1, 5),
            ("ORDERS", "SECOND", 10, 6),
            ("ORDERS", "MINUTE", 1, 7),
            ("ORDERS", "DAY", 1, 8),
        )
    ]
    frame = {"id": 7, "status": 200, "result": {"orderId": 1}, "rateLimits": rate_limits}
    assert decode_answer(json.dumps(frame).encode()) == SocketAnswer(
        "7",
        200,
        b'{"orderId": 1}',
        {
            "x-mbx-used-weight-1m": "5",
            "x-mbx-order-count-10s": "6",
            "x-mbx-order-count-1m": "7",
        },
    )


def test_an_error_is_the_body_and_its_times_are_a_wait() -> None:
    body = {"code": -1003, "msg": "x", "data": {"serverTime": 1_000, "retryAfter": 3_500}}
    answer = decode_answer(json.dumps({"id": "a", "status": 418, "error": body}).encode())
    assert json.loads(answer.body) == body
    assert answer.headers == {"retry-after": "3"}


@pytest.mark.parametrize("data", ["{}", "null", '{"serverTime":1}', '"x"'])
def test_an_error_that_names_no_times_has_no_wait(data: str) -> None:
    frame = b'{"id":"a","status":429,"error":{"code":-1003,"msg":"x","data":%b}}' % data.encode()
    assert decode_answer(frame).headers == {}


def test_what_is_no_answer_is_said_so() -> None:
    for frame in (b"", b"[]", b'{"id":', b'{"id":{}}', b'{"status":"x"}', b"\xff"):
        with pytest.raises(PayloadError):
            decode_answer(frame)
    assert decode_answer(b'{"event":{"e":"serverShutdown"}}').request_id == ""
