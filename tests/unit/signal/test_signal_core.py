"""Folding candles: once each, in order, never over a hole."""

from decimal import Decimal
from functools import partial

import pytest

from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from services.signal.core import Fate, Series, StrategyRun, fault_of, fold
from services.signal.strategies.contract import Wish

TTL_MS = 5_000


class EveryThird:
    """Wishes to buy on every third candle it sees."""

    def __init__(self, wishes=1):
        self.seen = 0
        self.wishes = wishes

    def on_candle(self, candle):
        self.seen += 1
        wish = Wish(purpose=Purpose.ENTER, side=Side.BUY)
        return () if self.seen % 3 else (wish,) * self.wishes


def series(wishes=1):
    run = StrategyRun(
        strategy_id="third",
        parameter_hash="abc",
        intent_ttl_ms=TTL_MS,
        build=partial(EveryThird, wishes),
    )
    return Series((run,))


def test_an_intent_says_what_the_candle_says_and_nothing_else(candle):
    own = series()
    own.fold(candle(0, 10))
    own.fold(candle(1, 11))
    (intent,) = own.fold(candle(2, 12)).intents
    cause = candle(2, 12)
    assert intent.symbol == "BTCUSDT"
    assert intent.reference_price == 12
    assert intent.candle_id == cause.message_id
    assert intent.created_at_ns == cause.close_ns
    assert intent.expires_at_ns == cause.close_ns + TTL_MS * 1_000_000
    assert intent.caused_wall_ns == cause.ts_published_ns
    assert intent.quantity is None
    assert intent.price is None


def test_equal_candles_give_equal_intents(candle):
    runs = [series(), series()]
    found = [[own.fold(candle(n, 10)).intents for n in range(30)] for own in runs]
    assert found[0] == found[1]
    assert len({intent.intent_id for intents in found[0] for intent in intents}) == 10


@pytest.mark.parametrize("repeated", [0, 1, 2])
def test_a_candle_at_or_before_the_last_one_is_ignored(candle, repeated):
    own = series()
    for n in range(3):
        own.fold(candle(n, 10))
    assert own.fold(candle(repeated, 99)).fate is Fate.REPEATED
    assert (own.folded, own.repeated, own.last) == (3, 1, candle(2, 10))


def test_after_a_gap_the_strategies_start_anew(candle):
    own = series()
    own.fold(candle(0, 10))
    own.fold(candle(1, 10))
    after = own.fold(candle(3, 10))
    assert (after.fate, after.gap_ns, after.intents) == (Fate.AFTER_GAP, 1_000_000_000, ())
    assert own.fold(candle(4, 10)).intents == ()
    assert len(own.fold(candle(5, 10)).intents) == 1
    assert own.gaps == 1


def test_a_candle_that_overlaps_the_last_one_is_a_gap_too(candle):
    own = series()
    own.fold(candle(0, 10, length_ns=60))
    overlapping = candle(1, 10, length_ns=30)
    assert own.fold(overlapping).fate is Fate.AFTER_GAP


def test_a_candle_of_another_symbol_or_interval_is_not_ours(candle):
    own = {("BTCUSDT", "1s"): series()}
    assert fold(own, candle(0, 10, symbol="ETHUSDT")).fate is Fate.NOT_OURS
    assert fold(own, candle(0, 10, interval="1m")).fate is Fate.NOT_OURS
    assert fold(own, candle(0, 10)).fate is Fate.FOLDED


def test_two_wishes_at_once_are_a_defect_since_they_would_share_an_id(candle):
    own = series(wishes=2)
    own.fold(candle(0, 10))
    own.fold(candle(1, 10))
    with pytest.raises(ValueError, match="2 wishes"):
        own.fold(candle(2, 10))


@pytest.mark.parametrize(
    "changes",
    [
        {"close": Decimal("NaN")},
        {"high": Decimal("Infinity")},
        {"low": Decimal(0)},
        {"open": Decimal(-1)},
        {"high": Decimal(9)},
        {"low": Decimal(11)},
        {"close_ns": 0},
    ],
)
def test_a_candle_that_cannot_be_true_has_a_fault(candle, changes):
    assert fault_of(candle(0, 10)) == ""
    assert fault_of(candle(0, 10, **changes)) != ""
