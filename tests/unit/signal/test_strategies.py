"""What the strategies that ship wish for, and when."""

import itertools
from decimal import Decimal

import pytest
from pydantic import ValidationError

from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from services.signal.strategies.contract import Wish, hash_parameters
from services.signal.strategies.ema_cross import EmaCross, EmaParameters
from services.signal.strategies.rsi_crossover import RsiCrossover, RsiParameters
from services.signal.strategies.stance import Stance

ENTER_BUY = Wish(purpose=Purpose.ENTER, side=Side.BUY)
ENTER_SELL = Wish(purpose=Purpose.ENTER, side=Side.SELL)
EXIT_BUY = Wish(purpose=Purpose.EXIT, side=Side.BUY)
EXIT_SELL = Wish(purpose=Purpose.EXIT, side=Side.SELL)


def wishes_of(strategy, candle, closes):
    """(index of the candle, wish) for every wish."""
    return [
        (index, wish)
        for index, close in enumerate(closes)
        for wish in strategy.on_candle(candle(index, close))
    ]


def ramp(start, steps):
    """Prices that change by each step in turn."""
    prices = [Decimal(start)]
    for step in steps:
        prices.append(prices[-1] + Decimal(step))
    return prices


FALL_RISE_FALL = ramp(1_000, [-1] * 12 + [3] * 12 + [-3] * 12 + [3] * 12)


def test_rsi_buys_when_oversold_turns_up_then_leaves_before_it_sells(candle):
    strategy = RsiCrossover(RsiParameters(period=5, pause_bars=2))
    found = wishes_of(strategy, candle, FALL_RISE_FALL)
    assert [wish for _, wish in found] == [ENTER_BUY, EXIT_SELL, ENTER_SELL, EXIT_BUY, ENTER_BUY]
    assert found[0][0] == 13  # the first rise after twelve falls
    assert found[2][0] - found[1][0] == 3


def test_ema_follows_the_trend(candle):
    strategy = EmaCross(EmaParameters(fast_period=2, slow_period=4, pause_bars=1))
    found = wishes_of(strategy, candle, FALL_RISE_FALL)
    assert [wish for _, wish in found] == [ENTER_BUY, EXIT_SELL, ENTER_SELL, EXIT_BUY, ENTER_BUY]


@pytest.mark.parametrize(
    "strategy",
    [RsiCrossover(RsiParameters(period=5)), EmaCross(EmaParameters(fast_period=2, slow_period=4))],
)
def test_a_flat_market_gives_no_wish(candle, strategy):
    assert wishes_of(strategy, candle, [Decimal(100)] * 200) == []


@pytest.mark.parametrize(
    ("strategy", "parameters"), [(RsiCrossover, RsiParameters), (EmaCross, EmaParameters)]
)
def test_no_wish_comes_before_the_warm_up_is_over(candle, strategy, parameters):
    built = strategy(parameters(pause_bars=1))
    found = wishes_of(built, candle, ramp(1_000, [-7, 9, -8, 6] * 100))
    assert all(index + 1 >= built.warmup_bars for index, _ in found)


def test_a_replay_gives_the_same_wishes(candle):
    twice = [
        wishes_of(RsiCrossover(RsiParameters(period=5)), candle, FALL_RISE_FALL) for _ in range(2)
    ]
    assert twice[0] == twice[1] != []


def test_a_stance_leaves_the_wrong_side_and_enters_the_right_one_after_the_pause():
    stance = Stance(pause_bars=2)
    steps = [Side.BUY, None, None, None, Side.SELL, None, None, None, None]
    assert [stance.step(turned) for turned in steps] == [
        (ENTER_BUY,), (), (), (), (EXIT_SELL,), (), (), (ENTER_SELL,), (),
    ]  # fmt: skip


def test_a_stance_keeps_the_newest_direction_while_it_pauses():
    stance = Stance(pause_bars=3)
    steps = [Side.BUY, Side.SELL, Side.BUY, None, None, None]
    assert [stance.step(turned) for turned in steps] == [(ENTER_BUY,), (), (), (), (), ()]


def test_a_stance_never_asks_twice_within_its_pause():
    stance = Stance(pause_bars=4)
    asked = [
        index for index in range(100) if stance.step(Side.BUY if index % 2 else Side.SELL) != ()
    ]
    assert min(b - a for a, b in itertools.pairwise(asked)) > 4


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (RsiParameters, {"oversold": "70", "overbought": "30"}),
        (RsiParameters, {"period": 1}),
        (RsiParameters, {"oversold": "NaN"}),
        (RsiParameters, {"perod": 14}),
        (EmaParameters, {"fast_period": 21, "slow_period": 9}),
        (EmaParameters, {"pause_bars": 0}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(model, settings):
    with pytest.raises(ValidationError):
        model.model_validate(settings)


def test_the_parameter_hash_changes_with_every_setting_and_with_the_class():
    hashes = {
        hash_parameters("a", RsiParameters()),
        hash_parameters("b", RsiParameters()),
        hash_parameters("a", RsiParameters(period=15)),
        hash_parameters("a", RsiParameters(oversold=Decimal("30.5"))),
    }
    assert len(hashes) == 4
    assert hash_parameters("a", RsiParameters()) == hash_parameters("a", RsiParameters())
