"""The paper clock takes over only grants that a clock can follow."""

from decimal import Decimal

import pytest

from libs.common.runtime.clock import PaperClock


@pytest.mark.parametrize("speed", ["NaN", "sNaN", "Infinity", "0", "-1", "1E+999999999", "1E-99"])
def test_a_speed_no_clock_can_run_at_is_refused_and_nothing_is_taken_over(speed: str) -> None:
    ticks = [0]
    clock = PaperClock(lambda: ticks[0])
    clock.grant(1_000, Decimal(2), None)
    with pytest.raises(ValueError, match="no speed"):
        clock.grant(9_000, Decimal(speed), 5)
    ticks[0] = 10
    assert clock.now_ns() == 1_020


def test_market_time_stops_at_its_limit_and_never_goes_back() -> None:
    ticks = [0]
    clock = PaperClock(lambda: ticks[0])
    clock.grant(1_000, Decimal(1), 1_005)
    ticks[0] = 50
    assert clock.now_ns() == 1_005
    clock.grant(900, Decimal(1), None)
    assert clock.now_ns() == 1_005
