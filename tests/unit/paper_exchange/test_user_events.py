"""What customers are told, in the fields and order of the venue's documentation of 2026."""

import pytest

ORDER_PATH = "/fapi/v1/order"
ORDER_FIELDS = [
    "s", "c", "S", "o", "f", "q", "p", "ap", "sp", "x", "X", "i", "l", "z", "L", "n", "N", "T", "t",
    "b", "a", "m", "R", "wt", "ot", "ps", "cp", "rp", "pP", "si", "ss", "V", "pm", "gtd", "er",
]  # fmt: skip
POSITION_FIELDS = ["s", "pa", "ep", "bep", "cr", "up", "mt", "iw", "ps"]


@pytest.fixture
def heard(venue):
    """A venue whose account listens from now on."""
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    return venue


def kinds(events):
    return [(event["e"], event["o"]["x"] if "o" in event else "") for event in events]


def test_nobody_is_told_anything_without_a_listen_key(venue):
    venue.order("BUY", "0.010")
    assert venue.events() == []


def test_a_filled_market_order_says_new_then_each_fill_in_short_for_the_account_and_in_full(heard):
    heard.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("50000.20", "1")])
    heard.order("BUY", "0.010", newClientOrderId="mine")
    said = heard.events()
    assert kinds(said) == [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("TRADE_LITE", ""),
        ("ACCOUNT_UPDATE", ""),
        ("ORDER_TRADE_UPDATE", "TRADE"),
        ("TRADE_LITE", ""),
        ("ACCOUNT_UPDATE", ""),
        ("ORDER_TRADE_UPDATE", "TRADE"),
    ]
    for event in (said[0], said[3], said[6]):
        assert list(event) == ["e", "T", "E", "o"]
        assert list(event["o"]) == ORDER_FIELDS
    first, last = said[3]["o"], said[6]["o"]
    assert said[1] == {
        "e": "TRADE_LITE",
        "E": first["T"],
        "T": first["T"],
        "s": "BTCUSDT",
        "q": "0.010",
        "p": "0.00",
        "m": False,
        "c": "mine",
        "S": "BUY",
        "L": "50000.10",
        "l": "0.004",
        "t": 1,
        "i": first["i"],
    }
    assert (first["X"], first["l"], first["z"], first["L"]) == (
        "PARTIALLY_FILLED",
        "0.004",
        "0.004",
        "50000.10",
    )
    assert (last["X"], last["l"], last["z"], last["t"]) == ("FILLED", "0.006", "0.010", 2)
    assert (last["n"], last["N"], last["m"], last["rp"]) == (
        "0.15000060",
        "USDT",
        False,
        "0.00000000",
    )
    assert last["ap"] == "50000.16"
    assert first["c"] == "mine"


def test_an_account_update_tells_wallet_and_position_after_the_fill(heard):
    heard.order("BUY", "0.010")
    update = heard.events()[2]
    assert list(update["a"]) == ["m", "B", "P"]
    assert update["a"]["m"] == "ORDER"
    assert update["a"]["B"] == [
        {"a": "USDT", "wb": "9999.74999950", "cw": "9999.74999950", "bc": "0"}
    ]
    (position,) = update["a"]["P"]
    assert list(position) == POSITION_FIELDS
    assert (position["pa"], position["ep"], position["up"]) == ("0.010", "50000.1", "-0.00100000")
    # Break even carries the commission paid.
    assert position["bep"] == "50025.10005"


def test_realized_profit_is_told_with_the_fill_that_realizes_it(heard):
    heard.order("BUY", "0.010")
    heard.depth("BTCUSDT", [("51000.00", "1")], [("51000.10", "1")], mark="51000")
    heard.events()
    heard.order("SELL", "0.010", reduceOnly="true")
    said = heard.events()
    assert said[3]["o"]["rp"] == "9.99900000"
    assert said[3]["o"]["R"] is True
    assert said[2]["a"]["P"][0]["cr"] == "9.99900000"
    assert said[2]["a"]["P"][0]["pa"] == "0.000"


def test_cancel_and_expiry_are_told_with_their_reason(heard):
    order_id = heard.order("BUY", "0.010", "49000").body["orderId"]
    heard.call("DELETE", ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    heard.order("BUY", "0.010", "49000", timeInForce="IOC")
    said = heard.events()
    assert [event["o"]["x"] for event in said] == ["NEW", "CANCELED", "NEW", "EXPIRED"]
    assert [event["o"]["er"] for event in said] == ["0", "0", "0", "2"]
    assert said[0]["o"]["b"] == "490.00000000"


def test_a_change_of_leverage_is_told(heard):
    heard.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=3)
    (event,) = heard.events()
    assert (event["e"], event["ac"]) == ("ACCOUNT_CONFIG_UPDATE", {"s": "BTCUSDT", "l": 3})
    assert list(event) == ["e", "E", "T", "ac"]


def test_a_listen_key_expires_an_hour_after_it_was_last_extended(heard):
    heard.sleep(3_000)
    heard.call("PUT", "/fapi/v1/listenKey")
    heard.sleep(3_599)
    assert heard.events() == []
    heard.sleep(1)
    (event,) = heard.events()
    assert list(event) == ["e", "E", "listenKey"]
    assert heard.call("PUT", "/fapi/v1/listenKey").code == -1125


def test_a_closed_listen_key_says_so_and_the_next_one_is_another(heard):
    before = heard.account.listen_key
    heard.call("DELETE", "/fapi/v1/listenKey")
    assert [event["e"] for event in heard.events()] == ["listenKeyExpired"]
    assert heard.call("POST", "/fapi/v1/listenKey").body["listenKey"] != before
