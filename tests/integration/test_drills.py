"""A few of the drills that ``make faults`` runs, so that every change meets them."""

import pytest

from drills.drill import run
from drills.market_rig import differences, market_rig
from drills.stream_drills import STREAM_DRILLS
from drills.user_drills import USER_DRILLS, user_drills
from drills.venue_drills import VENUE_DRILLS, VENUE_SETTINGS
from libs.common.messages.market import Candle, CandleOrigin

MARKET = (
    "closed candle of another subscribed symbol",
    "connection closed without reason",
    "http_503_unavailable on backfill of a lost bar",
    'exchangeInfo with tickSize "0"',
)
#: Wall time by which a told age may fall short where other tests share the machine.
SHARED_AGE_SLACK_MS = 2_000
USER = ("listen key expired twice in a row, fills meanwhile", "ACCOUNT_UPDATE without")


def test_no_two_drills_bear_the_same_name():
    names = [one.fault for one in (*STREAM_DRILLS, *VENUE_DRILLS, *USER_DRILLS)]
    assert len(names) == len(set(names))


async def test_faults_of_market_data_are_seen_and_healed_and_cost_nothing(tmp_path):
    drills = [one for one in (*STREAM_DRILLS, *VENUE_DRILLS) if one.fault in MARKET]
    assert len(drills) == len(MARKET)
    async with market_rig(tmp_path, settings=VENUE_SETTINGS) as rig:
        rig.age_slack_ms = SHARED_AGE_SLACK_MS
        for drill in drills:
            outcome = await run(rig, drill)
            # How soon is for `make faults` to judge, on a machine that does nothing else.
            assert outcome.seen_by, outcome
            assert outcome.healed_ms is not None, outcome
            assert outcome.lost == (), outcome


async def test_faults_of_the_user_stream_are_seen_and_healed_and_cost_nothing(tmp_path):
    drills = [one for one in USER_DRILLS if one.fault.startswith(USER)]
    assert len(drills) == len(USER)
    for outcome in await user_drills(tmp_path, drills, lambda _: None):
        assert outcome.seen_by, outcome
        assert outcome.healed_ms is not None, outcome
        assert outcome.lost == (), outcome


def a_candle(minute: int, close: str = "2") -> Candle:
    names = dict.fromkeys(("message_id", "causation_id", "correlation_id", "source"), "c")
    prices = {"open": "1", "high": "3", "low": "1", "close": close, "volume": "5"}
    return Candle(
        **names, ts_event_ns=0, ts_published_ns=0, symbol="BTCUSDT", interval="1m",
        open_ns=minute * 60_000_000_000, close_ns=(minute + 1) * 60_000_000_000,
        trade_count=1, origin=CandleOrigin.STREAM, **prices,
    )  # fmt: skip


def a_row(minute: int) -> list:
    return [minute * 60_000, "1", "3", "1", "2", "5"]


@pytest.mark.parametrize(
    ("minutes", "word"),
    [
        ((1, 2, 3), None),
        ((1, 3), "missing"),
        ((1, 2, 2, 3), "2 times"),
        ((2, 1, 3), "out of order"),
        ((1, 2, 3, 4), "none of the venue's"),
    ],
)
def test_the_judge_names_what_is_missing_repeated_disordered_or_invented(minutes, word):
    listed = [a_row(minute) for minute in (1, 2, 3)]
    told = [a_candle(minute) for minute in minutes]
    found = differences("x", told, listed, is_first_old=False)
    assert (found == []) if word is None else any(word in one for one in found)


def test_the_judge_names_a_bar_that_differs_in_one_figure():
    found = differences("x", [a_candle(1, close="3")], [a_row(1)], is_first_old=False)
    assert len(found) == 1
