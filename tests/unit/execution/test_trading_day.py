"""A day begins at the zone's midnight, whatever the clocks do that night."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.model.pnl import NS_PER_QUARTER, PnlBook
from services.execution.trading_day import day_start_ns

S = 1_000_000_000
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo",
    "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Kiritimati",
    "Atlantic/Azores", "America/Havana",
)  # fmt: skip
FIRST_S, LAST_S = 1_704_067_200, 1_830_297_600  # 2024 to 2027


def local_date(zone, at_ns):
    return datetime.fromtimestamp(at_ns // S, tz=UTC).astimezone(zone).date()


@given(name=st.sampled_from(ZONES), at_s=st.integers(FIRST_S, LAST_S))
def test_the_start_is_the_first_moment_of_the_day_and_a_quarter_of_an_hour(name, at_s):
    zone, at_ns = ZoneInfo(name), at_s * S
    start = day_start_ns(zone, at_ns)
    day = local_date(zone, at_ns)
    assert start <= at_ns
    assert local_date(zone, start) == day
    assert local_date(zone, start - S) < day
    assert start % NS_PER_QUARTER == 0
    step = start
    while step < at_ns:
        assert local_date(zone, step) == day
        step += NS_PER_QUARTER


@pytest.mark.parametrize(
    ("noon", "hours"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-20", 24)],
)
def test_a_day_in_berlin_is_as_long_as_its_clocks_make_it(noon, hours):
    zone = ZoneInfo("Europe/Berlin")
    at_ns = int(datetime.fromisoformat(f"{noon}T12:00:00").replace(tzinfo=zone).timestamp()) * S
    start = day_start_ns(zone, at_ns)
    assert day_start_ns(zone, start + hours * 3_600 * S - S) == start
    assert day_start_ns(zone, start + hours * 3_600 * S) == start + hours * 3_600 * S


@given(
    name=st.sampled_from(ZONES),
    now_s=st.integers(FIRST_S, LAST_S),
    ago=st.lists(st.tuples(st.integers(0, 40 * 3_600), st.integers(-9, 9)), max_size=30),
)
def test_what_a_day_brought_is_the_sum_of_what_came_since_it_began(name, now_s, ago):
    zone = ZoneInfo(name)
    start = day_start_ns(zone, now_s * S)
    book = PnlBook()
    for seconds, amount in ago:
        book.quarter((now_s - seconds) * S).add_fill(1, Decimal(amount), "USDT", Decimal(0))
    slow = sum(amount for seconds, amount in ago if (now_s - seconds) * S >= start)
    assert book.since(start).realized_pnl == slow


def test_quarters_of_long_ago_are_forgotten_and_change_nothing():
    book = PnlBook()
    for hour in range(500):
        book.quarter(hour * 3_600 * S).add_fill(1, Decimal(1), "USDT", Decimal(0))
    book.quarter(0).add_fill(1, Decimal(1), "USDT", Decimal(0))
    assert len(book.quarters) == 50
    assert book.since(0).realized_pnl == 50
