import pytest

from libs.common.venue.endpoints import (
    ENDPOINTS,
    Cost,
    Purpose,
    cost_of,
    endpoint_of,
    is_exit,
    purpose_of,
)
from libs.common.venue.latches import Latch, Latches
from libs.common.venue.outcome_table import ThrottleKind as T

P = Purpose


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [
        (T.BANNED, {*P}),
        (T.REQUEST_LIMIT, {*P}),
        (T.ORDER_LIMIT, {P.ENTRY}),
        (T.OVERLOADED, {P.ENTRY}),
    ],
)
def test_each_latch_stops_what_it_must_and_no_more(kind: T, stopped: set[Purpose]) -> None:
    latches = Latches()
    latches.latch(kind, 1_000)
    assert {purpose for purpose in P if latches.stopping(purpose, 999)} == stopped
    assert not any(latches.stopping(purpose, 1_000) for purpose in P)


def test_a_latch_is_only_ever_prolonged() -> None:
    latches = Latches()
    assert latches.latch(T.BANNED, 1_000) == Latch(T.BANNED, 1_000)
    assert latches.latch(T.BANNED, 900) is None
    assert latches.latch(T.BANNED, 1_000) is None
    assert latches.latch(T.BANNED, 1_001) == Latch(T.BANNED, 1_001)


def test_a_latch_that_is_over_stays_over_though_the_venue_sets_its_clock_back() -> None:
    latches = Latches()
    latches.latch(T.REQUEST_LIMIT, 1_000)
    assert latches.stopping(Purpose.READ, 999) is not None
    assert latches.stopping(Purpose.READ, 1_000) is None
    assert latches.stopping(Purpose.READ, 1_000 - 86_400_000) is None


def test_the_longest_latch_is_named() -> None:
    latches = Latches()
    latches.latch(T.OVERLOADED, 2_000)
    latches.latch(T.BANNED, 9_000)
    assert latches.held(0) == (Latch(T.BANNED, 9_000), Latch(T.OVERLOADED, 2_000))
    assert latches.stopping(P.ENTRY, 0) == Latch(T.BANNED, 9_000)


def test_a_person_may_lift_latches() -> None:
    latches = Latches()
    latches.latch(T.BANNED, 1_000)
    latches.latch(T.OVERLOADED, 1_000)
    latches.lift(T.BANNED)
    assert latches.held(0) == (Latch(T.OVERLOADED, 1_000),)
    latches.lift()
    assert latches.held(0) == ()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"side": "SELL"}, False),
        ({"reduceOnly": "false"}, False),
        ({"reduceOnly": True}, True),
        ({"reduceOnly": "true"}, True),
        ({"closePosition": "true"}, True),
        ({"positionSide": "BOTH", "side": "SELL"}, False),
        ({"positionSide": "LONG", "side": "SELL"}, True),
        ({"positionSide": "LONG", "side": "BUY"}, False),
        ({"positionSide": "SHORT", "side": "BUY"}, True),
    ],
)
def test_the_venue_exempts_orders_that_can_only_reduce(
    parameters: dict[str, object], expected: bool
) -> None:
    assert is_exit(parameters) is expected
    order = endpoint_of("POST", "/fapi/v1/order")
    assert purpose_of(order, parameters) is (P.EXIT if expected else P.ENTRY)
    assert purpose_of(endpoint_of("GET", "/fapi/v1/order"), parameters) is P.RECONCILE


@pytest.mark.parametrize(
    ("verb", "path", "parameters", "cost"),
    [
        ("POST", "/fapi/v1/order", {}, Cost(0, 1, 1)),
        ("PUT", "/fapi/v1/order", {}, Cost(0, 1, 1)),
        ("POST", "/fapi/v1/algoOrder", {}, Cost(0, 1, 1)),
        ("POST", "/fapi/v1/batchOrders", {}, Cost(5, 5, 1)),
        ("DELETE", "/fapi/v1/order", {}, Cost(1)),
        ("POST", "/fapi/v1/countdownCancelAll", {}, Cost(10)),
        ("GET", "/fapi/v1/openOrders", {"symbol": "BTCUSDT"}, Cost(1)),
        ("GET", "/fapi/v1/openOrders", {"symbol": None}, Cost(40)),
        ("GET", "/fapi/v1/openAlgoOrders", {}, Cost(40)),
        ("GET", "/fapi/v3/account", {}, Cost(5)),
        ("GET", "/fapi/v1/income", {}, Cost(30)),
        ("GET", "/fapi/v1/klines", {"limit": 99}, Cost(1)),
        ("GET", "/fapi/v1/klines", {"limit": 100}, Cost(2)),
        ("GET", "/fapi/v1/klines", {}, Cost(5)),
        ("GET", "/fapi/v1/klines", {"limit": 1_500}, Cost(10)),
        ("GET", "/fapi/v1/depth", {"limit": 5}, Cost(2)),
        ("GET", "/fapi/v1/depth", {}, Cost(10)),
        ("GET", "/fapi/v1/depth", {"limit": 1_000}, Cost(20)),
        ("GET", "/fapi/v1/ticker/bookTicker", {"symbol": "BTCUSDT"}, Cost(2)),
        ("GET", "/fapi/v1/rateLimit/order", {}, Cost(1)),
        ("GET", "/fapi/v9/nobodyKnows", {}, Cost(40)),
    ],
)
def test_a_request_costs_what_the_venue_says(
    verb: str, path: str, parameters: dict[str, object], cost: Cost
) -> None:
    assert cost_of(endpoint_of(verb, path), parameters) == cost


def test_only_what_makes_orders_counts_as_orders() -> None:
    counted = {key for key, endpoint in ENDPOINTS.items() if endpoint.orders_1m}
    assert {endpoint.purpose for endpoint in map(ENDPOINTS.__getitem__, counted)} == {P.ENTRY}
    assert {verb for verb, _ in counted} == {"POST", "PUT"}
