"""The hub: who gets what, in which envelope, and what happens to those who do not read."""

import msgspec
import pytest

from services.paper_exchange.doors import hub as hub_module
from services.paper_exchange.doors.hub import SEND_QUEUE_MAX, Hub, Subscriber
from services.paper_exchange.wire.stream_names import Route

PAYLOAD = {"e": "trade", "p": "1.0"}


def _socket(hub: Hub, *routes: Route, combined: bool = False) -> Subscriber:
    subscriber = Subscriber(routes, is_combined=combined)
    hub.attach(subscriber)
    return subscriber


def test_each_socket_gets_the_envelope_of_its_path() -> None:
    hub = Hub()
    raw, combined = _socket(hub, Route.PUBLIC), _socket(hub, Route.PUBLIC, combined=True)
    for socket in (raw, combined):
        hub.subscribe(socket, "btcusdt@bookTicker")
    hub.publish("btcusdt@bookTicker", PAYLOAD)
    assert msgspec.json.decode(raw.frames[0]) == PAYLOAD
    assert msgspec.json.decode(combined.frames[0]) == {
        "stream": "btcusdt@bookTicker",
        "data": PAYLOAD,
    }


@pytest.mark.parametrize(
    ("stream", "reached"),
    [
        ("btcusdt@bookTicker", {Route.PUBLIC}),
        ("btcusdt@depth@0ms", {Route.PUBLIC}),
        ("btcusdt@depth", {Route.PUBLIC}),
        ("btcusdt@trade", {Route.PUBLIC, Route.MARKET}),
        ("btcusdt@aggTrade", {Route.MARKET}),
        ("btcusdt@markPrice@1s", {Route.MARKET}),
        ("btcusdt@kline_1m", {Route.MARKET}),
        ("!clock@sim", {Route.PUBLIC, Route.MARKET}),
        ("btcusdt@nonsense", set()),
    ],
)
def test_a_stream_flows_through_its_own_doors_only(stream: str, reached: set[Route]) -> None:
    hub = Hub()
    sockets = {route: _socket(hub, route) for route in Route}
    for socket in sockets.values():
        hub.subscribe(socket, stream)
    hub.publish(stream, PAYLOAD)
    assert {route for route, socket in sockets.items() if socket.frames} == reached


def test_a_payload_nobody_wants_is_counted_but_never_made() -> None:
    hub = Hub()

    def make() -> dict[str, object]:
        raise AssertionError("nobody listens")

    hub.publish("btcusdt@kline_1m", make)
    assert hub.published["kline_1m"] == 1
    assert hub.delivered["kline_1m"] == 0


def test_unsubscribing_and_detaching_end_the_flow() -> None:
    hub = Hub()
    socket = _socket(hub, Route.PUBLIC)
    hub.subscribe(socket, "btcusdt@trade")
    hub.unsubscribe(socket, "btcusdt@trade")
    hub.unsubscribe(socket, "btcusdt@trade")
    hub.publish("btcusdt@trade", PAYLOAD)
    hub.subscribe(socket, "btcusdt@trade")
    hub.subscribe_user(socket, "key")
    hub.detach(socket)
    hub.publish("btcusdt@trade", PAYLOAD)
    hub.publish_user("key", {"e": "ACCOUNT_UPDATE"})
    assert not socket.frames
    assert hub.sockets == 0


def test_user_events_reach_the_sockets_of_their_key_that_want_them() -> None:
    hub = Hub()
    everything, orders = (_socket(hub, Route.PRIVATE) for _ in range(2))
    stranger = _socket(hub, Route.PRIVATE, combined=True)
    hub.subscribe_user(everything, "key")
    hub.subscribe_user(orders, "key", ["ORDER_TRADE_UPDATE"])
    hub.subscribe_user(stranger, "other")
    hub.publish_user("key", {"e": "ACCOUNT_UPDATE"})
    hub.publish_user("key", {"e": "ORDER_TRADE_UPDATE"})
    hub.publish_user("other", {"e": "MARGIN_CALL"})
    assert len(everything.frames) == 2
    assert len(orders.frames) == 1
    assert msgspec.json.decode(stranger.frames[0]) == {
        "stream": "other",
        "data": {"e": "MARGIN_CALL"},
    }


def test_a_subscriber_that_never_reads_is_closed_at_the_limit() -> None:
    hub = Hub()
    socket = _socket(hub, Route.PUBLIC)
    closed: list[bool] = []
    socket.on_close = lambda: closed.append(True)
    hub.subscribe(socket, "btcusdt@trade")
    for _ in range(SEND_QUEUE_MAX + 1):
        hub.publish("btcusdt@trade", PAYLOAD)
    assert closed == [True]
    assert len(socket.frames) == SEND_QUEUE_MAX
    hub.detach(socket)
    assert hub.slow_disconnects == 1


async def test_the_market_waits_for_a_slow_socket_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "SLOW_WAIT_SECONDS_MAX", 0.01)
    monkeypatch.setattr(hub_module, "SEND_QUEUE_HIGH", 3)
    hub = Hub()
    slow, quick = _socket(hub, Route.PUBLIC), _socket(hub, Route.PUBLIC)
    hub.subscribe(slow, "btcusdt@trade")
    for _ in range(3):
        hub.publish("btcusdt@trade", PAYLOAD)
    await hub.wait_for_slow()
    assert slow.is_too_slow
    assert not quick.is_closing
