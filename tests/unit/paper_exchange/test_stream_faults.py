"""Faults of market streams: what goes out instead of what was published."""

import msgspec
import pytest
from pydantic import ValidationError

from services.paper_exchange.doors.hub import Hub, Subscriber
from services.paper_exchange.doors.stream_disturbance import StreamDisturbance
from services.paper_exchange.faults.stream_faults import StreamFaults, StreamRule
from services.paper_exchange.wire.stream_names import Route

MS = 1_000_000
DEPTH = "btcusdt@depth@100ms"
KLINE = "btcusdt@kline_1m"


def _depth(update_id: int) -> dict[str, object]:
    return {"e": "depthUpdate", "s": "BTCUSDT", "u": update_id, "pu": update_id - 1}


class Room:
    """A hub with two sockets on one clock that a test moves."""

    def __init__(self, *rules: dict[str, object], stream: str = DEPTH) -> None:
        self.now_ns = 0
        self.hub = Hub()
        self.stream = stream
        self.raw = Subscriber(list(Route), is_combined=False)
        self.combined = Subscriber(list(Route), is_combined=True)
        for socket in (self.raw, self.combined):
            self.hub.attach(socket)
            self.hub.subscribe(socket, stream)
        self.faults = StreamFaults()
        self.disturbance = StreamDisturbance(self.hub, self.faults, lambda: self.now_ns)
        self.disturbance.set_rules([StreamRule.model_validate(rule) for rule in rules])

    def publish(self, *update_ids: int) -> None:
        for update_id in update_ids:
            self.hub.publish(self.stream, _depth(update_id))

    def ids(self) -> list[object]:
        return [msgspec.json.decode(frame)["u"] for frame in self.raw.frames]

    def move_to_ms(self, now_ms: int) -> None:
        self.now_ns = now_ms * MS
        self.disturbance.release()


def test_without_rules_nothing_stands_in_the_way() -> None:
    room = Room()
    assert room.hub.disturb is None
    room.disturbance.set_rules([StreamRule.model_validate({"effect": "drop"})])
    assert room.hub.disturb is not None
    room.disturbance.set_rules([])
    assert room.hub.disturb is None


@pytest.mark.parametrize(
    ("rule", "received"),
    [
        ({"effect": "drop", "nth": 2}, [1, 3, 4]),
        ({"effect": "pu_gap", "nth": 2}, [1, 3, 4]),
        ({"effect": "duplicate", "nth": 2}, [1, 2, 2, 3, 4]),
        ({"effect": "reorder", "nth": 2}, [1, 3, 2, 4]),
        ({"effect": "stall"}, []),
        ({"effect": "stall", "stream": "*@depth*"}, []),
        ({"effect": "stall", "stream": "*@trade"}, [1, 2, 3, 4]),
        ({"effect": "stall", "symbol": "ETHUSDT"}, [1, 2, 3, 4]),
        ({"effect": "corrected_bar"}, [1, 2, 3, 4]),
    ],
)
def test_a_rule_changes_what_arrives(rule: dict[str, object], received: list[int]) -> None:
    room = Room(rule)
    room.publish(1, 2, 3, 4)
    assert room.ids() == received
    assert len(room.combined.frames) == len(received)


def test_a_gap_breaks_the_chain_of_pu() -> None:
    room = Room({"effect": "pu_gap", "nth": 2})
    room.publish(1, 2, 3)
    frames = [msgspec.json.decode(frame) for frame in room.raw.frames]
    assert frames[1]["pu"] != frames[0]["u"]
    assert room.faults.struck == {"pu_gap": 1}


def test_a_delayed_message_comes_after_those_behind_it() -> None:
    room = Room({"effect": "delay", "delay_ms": 500, "nth": 1})
    room.publish(1, 2)
    room.move_to_ms(499)
    assert room.ids() == [2]
    room.move_to_ms(500)
    assert room.ids() == [2, 1]


def test_an_overtaken_message_comes_at_last_even_where_nothing_overtakes_it() -> None:
    room = Room({"effect": "reorder"})
    room.publish(1)
    room.disturbance.set_rules([])
    assert room.ids() == []
    room.move_to_ms(1_000)
    assert room.ids() == [1]
    assert room.hub.disturb is None


def test_a_rule_is_awake_between_its_times_only() -> None:
    room = Room({"effect": "drop", "after_ms": 100, "for_ms": 50})
    for now_ms in (0, 99, 100, 149, 150):
        room.move_to_ms(now_ms)
        room.publish(now_ms)
    assert room.ids() == [0, 99, 150]


def test_garbage_and_half_frames_cannot_be_read() -> None:
    room = Room({"effect": "garbage", "nth": 1}, {"effect": "half_frame", "nth": 2})
    room.publish(1, 2)
    for frame in (*room.raw.frames, *room.combined.frames):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(frame)


def test_a_wrong_symbol_is_one_that_was_not_asked_for() -> None:
    room = Room({"effect": "wrong_symbol"})
    room.publish(1)
    assert msgspec.json.decode(room.raw.frames[0])["s"] == "ETHUSDT"
    assert msgspec.json.decode(room.combined.frames[0])["stream"] == DEPTH


def test_a_closed_bar_is_said_again_with_other_values() -> None:
    room = Room({"effect": "corrected_bar", "delay_ms": 250}, stream=KLINE)
    bar = {"s": "BTCUSDT", "x": False, "c": "1.50", "h": "1.50", "v": "7"}
    room.hub.publish(KLINE, {"e": "kline", "s": "BTCUSDT", "k": bar})
    room.hub.publish(KLINE, {"e": "kline", "s": "BTCUSDT", "k": bar | {"x": True}})
    assert len(room.raw.frames) == 2
    room.move_to_ms(250)
    corrected = msgspec.json.decode(room.raw.frames[2])["k"]
    assert corrected == bar | {"x": True, "c": "1.51", "h": "1.51", "v": "8"}


def test_a_silent_socket_speaks_again_when_its_rule_is_over() -> None:
    room = Room({"effect": "stall", "scope": "socket", "nth": 1, "for_ms": 100})
    room.publish(1)
    assert room.raw.is_silent
    assert room.combined.is_silent
    room.move_to_ms(100)
    assert not room.raw.is_silent


def test_sockets_are_cut_or_closed_with_a_code() -> None:
    cut = Room({"effect": "close"})
    cut.publish(1)
    assert cut.raw.is_closing
    told = Room({"effect": "close", "code": 1012, "reason": "restart"})
    told.publish(1)
    assert told.raw.goodbye == (1012, b"restart")
    assert not told.raw.is_closing


def test_chance_is_the_same_for_the_same_seed() -> None:
    rooms = [Room({"effect": "drop", "probability": 0.5, "seed": 3}) for _ in range(2)]
    for room in rooms:
        room.publish(*range(100))
    assert rooms[0].ids() == rooms[1].ids()
    assert 20 < len(rooms[0].ids()) < 80


def test_our_own_clock_is_never_struck() -> None:
    room = Room({"effect": "drop"}, stream="!clock@sim")
    room.publish(1)
    assert room.ids() == [1]


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": "delay"},
        {"effect": "drop", "code": 1000},
        {"effect": "close", "code": 1006},
        {"effect": "close", "reason": "no code"},
        {"effect": "drop", "scope": "socket"},
        {"effect": "drop", "nth": 1, "probability": 0.5},
        {"effect": "drop", "nth": 10**30},
        {"effect": "drop", "seed": 10**30},
        {"effect": "drop", "colour": "red"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StreamRule.model_validate(rule)


def test_a_stalled_subscription_stays_silent_while_a_later_one_speaks() -> None:
    room = Room({"effect": "stall", "scope": "subscription", "for_ms": 100})
    room.publish(1)
    late = Subscriber(list(Route), is_combined=False)
    room.hub.attach(late)
    room.hub.subscribe(late, DEPTH)
    room.publish(2)
    assert room.ids() == []
    assert [msgspec.json.decode(frame)["u"] for frame in late.frames] == [2]
    room.move_to_ms(100)
    room.publish(3)
    assert room.ids() == [3]


def _candle(*, is_closed: bool) -> dict[str, object]:
    return {"e": "kline", "s": "BTCUSDT", "k": {"s": "BTCUSDT", "x": is_closed, "c": "1.0"}}


def test_a_rule_for_closed_candles_spares_open_ones() -> None:
    room = Room({"stream": KLINE, "effect": "drop", "closed_only": True}, stream=KLINE)
    for is_closed in (False, True, False):
        room.hub.publish(KLINE, _candle(is_closed=is_closed))
    assert [msgspec.json.decode(frame)["k"]["x"] for frame in room.raw.frames] == [False, False]


def test_a_wrong_symbol_is_the_one_asked_for() -> None:
    name = "币安人生USDT"
    room = Room({"stream": KLINE, "effect": "wrong_symbol", "as_symbol": name}, stream=KLINE)
    room.hub.publish(KLINE, _candle(is_closed=True))
    said = msgspec.json.decode(room.raw.frames[0])
    assert (said["s"], said["k"]["s"]) == (name, name)


@pytest.mark.parametrize(
    "rule",
    [{"effect": "drop", "scope": "subscription"}, {"effect": "drop", "as_symbol": "BTCUSDT"}],
)
def test_what_belongs_to_another_effect_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StreamRule.model_validate(rule)
