"""Market time: moved by grants, held back by data, never backwards."""

import asyncio
from decimal import Decimal

import pytest

from services.paper_exchange.clock import ClockError, MarketClock

SECOND_NS = 1_000_000_000


class _Wall:
    def __init__(self) -> None:
        self.ns = 5 * SECOND_NS

    def __call__(self) -> int:
        return self.ns


def test_time_flows_at_the_speed_granted() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 1_000, "2.5")
    wall.ns += 10
    assert clock.now_ns() == 1_025
    assert clock.speed == Decimal("2.5")


def test_a_third_of_a_nanosecond_is_never_lost() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0, "0.1")
    for _ in range(1_000):
        wall.ns += 1
        clock.now_ns()
    assert clock.now_ns() == 100


def test_time_never_passes_the_limit_and_stands_when_held_at_the_start() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 1_000, 20, limit_ns=1_000)
    wall.ns += SECOND_NS
    assert clock.now_ns() == 1_000
    clock.set_grant(limit_ns=1_500)
    wall.ns += SECOND_NS
    assert clock.now_ns() == 1_500
    assert clock.limit_ns == 1_500


def test_waiting_at_a_limit_is_not_caught_up_after_the_next_grant() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0, 1, limit_ns=10)
    wall.ns += 1_000
    clock.set_grant(limit_ns=None)
    wall.ns += 5
    assert clock.now_ns() == 15


def test_a_limit_below_now_becomes_now() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0)
    wall.ns += 100
    clock.set_grant(limit_ns=40)
    assert clock.limit_ns == 100
    wall.ns += 100
    assert clock.now_ns() == 100


def test_a_change_of_speed_keeps_the_time_and_the_limit() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0, 1, limit_ns=10_000)
    wall.ns += 100
    clock.set_grant(speed="3")
    wall.ns += 100
    assert clock.now_ns() == 400
    assert clock.limit_ns == 10_000


def test_time_waits_for_the_data_it_is_held_by() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0)
    clock.hold_at(50)
    wall.ns += 100
    assert clock.now_ns() == 50
    assert clock.flow_ns() == 100
    clock.hold_at(20)
    assert clock.now_ns() == 50, "time never goes backwards"
    clock.hold_at(None)
    assert clock.now_ns() == 100


@pytest.mark.parametrize("speed", ["0", "-1", "NaN", "Infinity", "fast", "1000001"])
def test_a_speed_that_is_none_is_refused_and_changes_nothing(speed: str) -> None:
    clock = MarketClock(_Wall(), 0, 2)
    with pytest.raises(ClockError, match="speed"):
        clock.set_grant(speed=speed, limit_ns=7)
    assert clock.speed == 2
    assert clock.limit_ns is None


def test_listeners_are_told_of_each_change_of_grant() -> None:
    clock = MarketClock(_Wall(), 0)
    told: list[int | None] = []
    clock.on_change(lambda: told.append(clock.limit_ns))
    clock.set_grant(limit_ns=5)
    clock.set_grant(speed=2)
    assert told == [5, 5]


async def test_a_sleeper_wakes_when_a_grant_takes_time_past_its_hour() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0, 1, limit_ns=0)
    sleeper = asyncio.create_task(clock.sleep_until(1_000))
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.set_grant(limit_ns=2_000)
    wall.ns += 1_000
    clock.wake()
    async with asyncio.timeout(5):
        await sleeper


async def test_a_sleeper_wakes_by_itself_and_waits_for_data() -> None:
    wall = _Wall()
    clock = MarketClock(wall, 0)
    clock.hold_at(10)
    wall.ns += 1_000
    sleeper = asyncio.create_task(clock.sleep_until(500))
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.hold_at(None)
    async with asyncio.timeout(5):
        await sleeper
