"""Our indicators against talipp, which computes the same figures in another way."""

import csv
import random
from decimal import Decimal, localcontext

import pytest
import talipp.indicators as oracle

from services.signal.indicators import ExponentialAverage, RelativeStrength

TOLERANCE = Decimal("1e-9")


def random_walk(seed, bars=600):
    dice = random.Random(seed)
    price = Decimal(60_000)
    for _ in range(bars):
        price += Decimal(dice.randint(-500, 500)).scaleb(-2)
        yield price


def assert_equal_to_oracle(ours, theirs):
    assert len(ours) == len(theirs)
    for index, (mine, their) in enumerate(zip(ours, theirs, strict=True)):
        assert (mine is None) == (their is None), index
        if mine is not None:
            expected = Decimal(their)
            assert abs(mine - expected) <= TOLERANCE * max(abs(expected), Decimal(1)), index


def pairs(prices, period):
    yield ExponentialAverage(period), oracle.EMA(period)
    if period > 1:
        yield RelativeStrength(period), oracle.RSI(period)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("period", [1, 2, 9, 14, 21, 200])
def test_indicators_equal_the_oracle_on_random_walks(seed, period):
    prices = list(random_walk(seed))
    for ours, theirs in pairs(prices, period):
        theirs.add([float(price) for price in prices])
        assert_equal_to_oracle([ours.update(price) for price in prices], list(theirs))


@pytest.mark.parametrize("name", ["ADAUSDT-1m-2022-12-13.csv", "XRPUSDT-5m-2021-11.csv"])
@pytest.mark.parametrize("period", [9, 14, 21])
def test_indicators_equal_the_oracle_on_recorded_candles(shared_data, name, period):
    with (shared_data / "klines" / name).open() as file:
        prices = [Decimal(row["close"]) for row in csv.DictReader(file)]
    for ours, theirs in pairs(prices, period):
        theirs.add([float(price) for price in prices])
        assert_equal_to_oracle([ours.update(price) for price in prices], list(theirs))


def test_only_rises_are_a_hundred_and_only_falls_are_zero():
    rising, falling = RelativeStrength(5), RelativeStrength(5)
    for step in range(1, 30):
        rising.update(Decimal(step))
        falling.update(Decimal(100 - step))
    assert rising.value == 100
    assert falling.value == 0


def test_a_price_that_never_moved_has_no_strength():
    index = RelativeStrength(5)
    assert [index.update(Decimal(7)) for _ in range(50)] == [None] * 50


@pytest.mark.parametrize("indicator", [ExponentialAverage, RelativeStrength])
def test_the_precision_of_another_library_does_not_reach_an_indicator(indicator):
    prices = list(random_walk(1))
    ours, disturbed = indicator(21), indicator(21)
    for price in prices:
        ours.update(price)
    with localcontext() as context:
        context.prec = 4
        for price in prices:
            disturbed.update(price)
    assert ours.value == disturbed.value


@pytest.mark.parametrize(("indicator", "period"), [(ExponentialAverage, 0), (RelativeStrength, 1)])
def test_a_period_too_short_to_mean_anything_is_refused(indicator, period):
    with pytest.raises(ValueError, match="period must be at least"):
        indicator(period)
