"""Funding and fees reach the journal: once, soon after their word, or without one."""

from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from libs.common.model.pnl import utc_day
from libs.common.runtime.bus import Bus
from libs.common.runtime.venue_client import VenueReadError
from libs.common.venue.user_payloads import AccountChange, AccountUpdate
from services.execution.income import ATTEMPTS_MAX
from tests.integration.execution.desks import NOW_MS, Parameters, Replica, running_venue


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        await replica.get_ready()
        yield replica
        await replica.close()


def a_row(transaction_id: int, amount: str = "-0.5", **changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "incomeType": "FUNDING_FEE",
        "income": amount,
        "asset": "USDT",
        "info": "FUNDING_FEE",
        "time": NOW_MS,
        "tranId": transaction_id,
        "tradeId": "",
        **changes,
    }


def an_update(reason: str = "FUNDING_FEE", at_ms: int = NOW_MS) -> AccountUpdate:
    return AccountUpdate(event_ms=at_ms, transaction_ms=at_ms, change=AccountChange(reason=reason))


def net(replica: Replica) -> Decimal:
    return replica.gate.state.pnl.total(utc_day(replica.now_ns)).net("USDT")


async def read(replica: Replica, at_s: float) -> int:
    """Let upkeep look at a time; returns how often the list was asked for."""
    before = replica.venue.paths().count("income")
    replica.at(at_s)
    await replica.figures.income.read_if_due()
    return replica.venue.paths().count("income") - before


async def test_what_fills_do_not_tell_is_journaled_once_and_by_two_replicas_once(
    replica: Replica,
) -> None:
    rows = [
        a_row(1),
        a_row(2, "-9", incomeType="REALIZED_PNL"),
        a_row(2, "-1", incomeType="COMMISSION"),
        a_row(1, "-2", incomeType="INSURANCE_CLEAR"),
        a_row(3, "700", incomeType="TRANSFER", symbol=""),
    ]
    replica.venue.answers["income"] = (200, rows)
    other = Replica(replica.bus, replica.venue, writer="w2")
    for one in (replica, other, replica):
        one.figures.income.suspect()
        assert await read(one, 1) == 1
    assert net(replica) == net(other) == Decimal("-2.5")
    await other.close()


async def test_a_word_of_the_stream_makes_it_read_until_the_row_is_there(replica: Replica) -> None:
    assert await read(replica, 0) == 1
    assert await read(replica, 10) == 0
    replica.figures.income.hear(an_update())
    assert await read(replica, 10) == 1
    assert net(replica) == 0
    replica.venue.answers["income"] = (200, [a_row(1)])
    assert await read(replica, 11) == 0
    assert await read(replica, 12) == 1
    assert net(replica) == Decimal("-0.5")
    assert await read(replica, 600) == 0


async def test_a_row_that_never_comes_is_not_asked_for_for_ever(replica: Replica) -> None:
    assert await read(replica, 0) == 1
    replica.figures.income.hear(an_update())
    asked = sum([await read(replica, second) for second in range(1, 800)])
    assert asked == ATTEMPTS_MAX


async def test_fills_and_moves_of_margin_do_not_make_it_read(replica: Replica) -> None:
    assert await read(replica, 0) == 1
    for reason in ("ORDER", "MARGIN_TRANSFER"):
        replica.figures.income.hear(an_update(reason))
    assert await read(replica, 60) == 0


async def test_a_lost_word_shows_within_the_interval(replica: Replica) -> None:
    assert await read(replica, 0) == 1
    replica.venue.answers["income"] = (200, [a_row(1)])
    assert await read(replica, 901) == 1
    assert net(replica) == Decimal("-0.5")


async def test_a_read_that_fails_loses_nothing(replica: Replica) -> None:
    replica.venue.answers["income"] = (500, {"code": -1000, "msg": "An unknown error occurred."})
    with pytest.raises(VenueReadError):
        await read(replica, 0)
    assert not replica.figures.income.is_read
    replica.venue.answers["income"] = (200, [a_row(1)])
    assert await read(replica, 901) == 1
    assert net(replica) == Decimal("-0.5")
    assert replica.figures.income.is_read


async def test_reads_that_fail_are_tried_again_soon_and_then_less_often(replica: Replica) -> None:
    replica.venue.answers["income"] = (500, {"code": -1000, "msg": "An unknown error occurred."})
    tried = []
    for second in range(200):
        before = replica.venue.paths().count("income")
        with suppress(VenueReadError):
            await read(replica, second)
        if replica.venue.paths().count("income") > before:
            tried.append(second)
    assert tried == [0, 2, 6, 14, 30, 62, 126, 190]
    replica.venue.answers["income"] = (200, [])
    assert await read(replica, 254) == 1
    assert await read(replica, 318) == 0


async def test_pages_are_followed_to_the_end(replica: Replica) -> None:
    rows = [a_row(number, "-0.001", time=NOW_MS + number // 700) for number in range(2_500)]

    async def page(told: Parameters) -> tuple[int, Any]:
        start_ms = int(told["startTime"])
        return 200, [row for row in rows if row["time"] >= start_ms][: int(told["limit"])]

    replica.venue.answers["income"] = page
    replica.figures.income.suspect()
    await read(replica, 10)
    assert net(replica) == Decimal("-2.5")


async def test_a_venue_that_repeats_a_page_for_ever_is_not_asked_for_ever(
    replica: Replica,
) -> None:
    rows = [a_row(number, "-0.001") for number in range(1_000)]
    replica.venue.answers["income"] = (200, rows)
    assert await read(replica, 0) <= 3
    assert net(replica) == -1


async def test_the_first_read_begins_with_the_day_and_later_ones_shortly_before_what_is_known(
    replica: Replica,
) -> None:
    replica.venue.answers["income"] = (200, [a_row(1)])
    await read(replica, 0)
    await read(replica, 901)
    first, second = [
        int(told["startTime"]) for path, told in replica.venue.asked if path == "income"
    ]
    assert first % 86_400_000 == 0
    assert NOW_MS - 3_600_000 <= second < NOW_MS
