"""Whatever is sent, in whatever order: venue codes only, and a ledger that sums to zero."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.core import ENDPOINTS, Request, answer
from services.paper_exchange.wire.parameters import Parameters

CENT8 = Decimal("0.00000001")
BATCH = (
    '[{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":0.01,'
    '"price":"50000.00","newClientOrderId":"mine"},{"orderId":1,"symbol":"BTCUSDT"}]'
)
WORDS = st.one_of(
    st.sampled_from(
        [
            "", "0", "-1", "1", "0.010", "50000.10", "49999.90", "1e5", "NaN", "Infinity", "true",
            "True", "BUY", "SELL", "LIMIT", "MARKET", "STOP", "GTC", "IOC", "FOK", "GTX", "GTD",
            "STOP_MARKET", "CONDITIONAL", "MARK_PRICE",
            "RPI", "BTCUSDT", "ETHUSDT", "NOPE", "BOTH", "LONG", "CROSSED", "ISOLATED", "RESULT",
            "SHORT", "QUEUE", "OPPONENT_5", "NONE", "EXPIRE_BOTH", "GTE_GTC", BATCH, "[1]", '["a"]',
            "[]", "[{}]", "9" * 25, "1" * 19, "0." + "1" * 30, "mine", "币安", "\x00", "100000",
        ]
    ),
    st.text(max_size=8),
    st.integers().map(str),
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "symbol", "side", "type", "timeInForce", "quantity", "price", "reduceOnly", "positionSide",
        "newClientOrderId", "origClientOrderId", "orderId", "fromId", "startTime", "endTime",
        "limit", "leverage", "marginType", "dualSidePosition", "multiAssetsMargin", "stopPrice",
        "countdownTime", "closePosition", "newOrderRespType", "goodTillDate", "priceMatch",
        "selfTradePreventionMode", "algoType", "triggerPrice", "clientAlgoId", "algoId",
        "workingType", "priceProtect", "callbackRate", "activatePrice", "recvWindow",
        "timestamp", "listenKey", "incomeType", "batchOrders", "orderIdList",
        "origClientOrderIdList", "modifyId",
    ]
)  # fmt: skip
LIKELY = {
    "batchOrders": st.just(BATCH),
    "symbol": st.sampled_from(["BTCUSDT", "ETHUSDT", "DOGEUSDT"]),
    "side": st.sampled_from(["BUY", "SELL"]),
    "type": st.sampled_from(["LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT", "STOP"]),
    "algoType": st.just("CONDITIONAL"),
    "triggerPrice": st.integers(480_000, 520_000).map(lambda n: f"{Decimal(n).scaleb(-1):f}0"),
    "timeInForce": st.sampled_from(["GTC", "IOC", "FOK", "GTX"]),
    "quantity": st.integers(1, 2000).map(lambda n: f"{Decimal(n).scaleb(-3):f}"),
    "price": st.integers(490_000, 510_000).map(lambda n: f"{Decimal(n).scaleb(-1):f}0"),
    "leverage": st.integers(0, 126),
    "marginType": st.sampled_from(["ISOLATED", "CROSSED"]),
    "amount": st.integers(-5, 3_000).map(str),
    "dualSidePosition": st.sampled_from(["true", "false"]),
    "multiAssetsMargin": st.sampled_from(["true", "false"]),
}
MARGIN_PATHS = ("/fapi/v1/positionMargin", "/fapi/v1/positionMargin/history")


@st.composite
def requests(draw):
    method, path = draw(st.sampled_from(sorted(ENDPOINTS)))
    sent = {name: draw(values) for name, values in LIKELY.items() if draw(st.integers(0, 9))}
    sent |= draw(st.dictionaries(NAMES, WORDS, max_size=4))
    if path in MARGIN_PATHS:
        sent["type"] = draw(st.sampled_from(["1", "2"]))
    return method, path, sent


@settings(max_examples=300, deadline=None)
@given(st.lists(requests(), max_size=12), st.booleans(), st.booleans())
def test_any_signed_request_is_answered_in_the_venues_words(
    make_venue, sequence, is_hedging, is_isolated
):
    venue = make_venue()
    if is_isolated:
        venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    if is_hedging:
        venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    for place, (method, path, sent) in enumerate(sequence):
        if is_hedging:
            sent.setdefault("positionSide", ("LONG", "SHORT")[place % 2])
        found = venue.call(method, path, **sent)
        assert found.status == 200 or (found.status in (400, 401, 429) and found.code < 0), found
        assert venue.exchange.ledger.total() == 0
        venue.sleep(1)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(ENDPOINTS)), st.binary(max_size=60), st.binary(max_size=60),
    st.one_of(st.none(), st.text(max_size=70)),
)  # fmt: skip
def test_any_bytes_are_refused_in_the_venues_words(make_venue, endpoint, query, body, key):
    venue = make_venue()
    for api_key in (key, venue.key.key):
        request = Request(*endpoint, api_key, Parameters(query, body))
        found = answer(venue.exchange, request, venue.now_ns)
        is_keyed_only = endpoint[1] == "/fapi/v1/listenKey"
        assert found.code < 0 or (is_keyed_only and found.status == 200), found


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["MARKET", "LIMIT", "CANCEL", "TRADE", "BOOK", "STOP"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(2, 400),
        st.integers(-30, 30),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(MOVES)
def test_profit_and_position_equal_a_recomputation_from_the_fills_alone(make_venue, moves):
    venue = make_venue()
    for kind, side, quantity, offset, flag in moves:
        size, price = f"{Decimal(quantity).scaleb(-3):f}", f"{50000 + offset}.10"
        if kind == "MARKET":
            venue.order(side, size, reduceOnly=str(flag).lower())
        elif kind == "LIMIT":
            venue.order(side, size, price, reduceOnly=str(flag).lower())
        elif kind == "CANCEL":
            venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
        elif kind == "STOP":
            conditional_order(venue, side, size, price, is_closing=flag)
        elif kind == "TRADE":
            venue.trade("BTCUSDT", price, size, is_buyer_maker=flag)
        else:
            bid = f"{50000 + offset}.00"
            venue.depth("BTCUSDT", [(bid, size)], [(price, size)], mark=bid)
        assert venue.exchange.ledger.total() == 0
        assert all(order.is_open for order in venue.account.open_orders.values())
        assert all(algo.is_waiting for algo in venue.account.waiting_algos.values())
        for order in venue.account.orders.values():
            assert 0 <= order.executed <= order.quantity
    quantity, cost, realized, fees = recomputed(
        venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", limit=1000)
    )
    position = venue.account.position("BTCUSDT")
    assert (position.quantity, position.cost) == (quantity, cost)
    assert venue.exchange.wallet_of(venue.account) == 10_000 + realized - fees


def conditional_order(venue, side, quantity, price, *, is_closing):
    amount = {"closePosition": "true"} if is_closing else {"quantity": quantity}
    venue.call(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side=side,
        type="STOP_MARKET", triggerPrice=price, **amount,
    )  # fmt: skip


def recomputed(trades):
    """Position, cost, realized profit and fees by the money rule, written down once more."""
    quantity = cost = realized = fees = Decimal(0)
    for trade in trades:
        amount, price = Decimal(trade["qty"]), Decimal(trade["price"])
        rate = Decimal("0.0002") if trade["maker"] else Decimal("0.0005")
        fees += (amount * price * rate).quantize(CENT8, rounding=ROUND_HALF_EVEN)
        sign = 1 if trade["side"] == "BUY" else -1
        told = Decimal(0)
        if quantity * sign < 0:
            closing = min(amount, abs(quantity))
            if closing == abs(quantity):
                released = cost
            else:
                released = (cost * closing / abs(quantity)).quantize(
                    CENT8, rounding=ROUND_HALF_EVEN
                )
            told = -sign * closing * price - released
            cost -= released
            quantity += sign * closing
            amount -= closing
        quantity += sign * amount
        cost += sign * amount * price
        realized += told
        assert Decimal(trade["realizedPnl"]) == told
    return quantity, cost, realized, fees


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
def test_every_endpoint_refuses_a_stranger(venue, endpoint):
    found = answer(venue.exchange, Request(*endpoint, "0" * 64, Parameters(b"")), venue.now_ns)
    assert (found.status, found.code) == (401, -2015)
