"""The figures of strategies equal a slow model that knows every unit ever bought and sold."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.execution.round_trips import (
    BPS_QUANTUM,
    CALIBRATION_BINS,
    CALIBRATION_COUNT_MIN,
    ENTRIES_KEPT,
    RATIO_QUANTUM,
    TRIPS_KEPT,
    Entry,
    MeasuredOrder,
    TradeBook,
    TripFill,
    calibration_error,
    figures,
    slippage_bps,
    strategies,
)

NAMES = ("", "one", "two")
FILLS = st.lists(
    st.tuples(
        st.sampled_from(("BTCUSDT", "ETHUSDT")),
        st.integers(-4, 4).filter(bool),
        st.integers(-3, 3),
        st.sampled_from(("USDT", "BNB")),
        st.integers(0, 3),
        st.sampled_from(NAMES),
        st.sampled_from((None, "0", "0.3", "0.55", "1")),
    ),
    max_size=40,
)


def fold(fills):
    """The book after fills, each of an order of its own."""
    book, held = TradeBook(), defaultdict(Decimal)
    for number, (symbol, signed, pnl, asset, commission, name, stated) in enumerate(fills, 1):
        entry = Entry(
            venue_order_id=number,
            strategy_id=name,
            confidence=None if stated is None else Decimal(stated),
        )
        book.book(
            TripFill(
                symbol=symbol,
                held=held[symbol],
                signed=Decimal(signed),
                realized_pnl=Decimal(pnl),
                asset=asset,
                commission=Decimal(commission),
                at_ns=number,
                entry=entry,
            )
        )
        held[symbol] += signed
    return book


def slow_trips(fills):
    """Every trip that ended, unit by unit: whose, won or not, and the confidences of its entries.

    Each fill is taken apart into single units with an even share of its commission.
    """
    ended = []
    for symbol in sorted({fill[0] for fill in fills}):
        held, trip = 0, None
        for number, (name_of, signed, pnl, asset, commission, name, stated) in enumerate(fills, 1):
            if name_of != symbol:
                continue
            step = 1 if signed > 0 else -1
            for unit in range(abs(signed)):
                is_new = held == 0
                if is_new:
                    trip = {"name": name, "left": Fraction(0), "stated": {}}
                if held * step >= 0 and stated is not None:
                    trip["stated"][number] = (name, Fraction(stated))
                if asset == "USDT":
                    trip["left"] -= Fraction(commission, abs(signed))
                # Profit is the first unit's: it belongs to what was held before the fill.
                trip["left"] += pnl if unit == 0 else 0
                held += step
                if held == 0:
                    ended.append((number, trip))
    return [trip for _, trip in sorted(ended, key=lambda pair: pair[0])]


@given(fills=FILLS)
def test_hit_ratio_and_confidences_equal_those_of_a_slow_model(fills):
    found = {one.strategy_id: one for one in figures(fold(fills), "USDT", 0)}
    slow = slow_trips(fills)
    # Shares of a commission are cut to eight decimals, so a trip that ends just even is left out.
    close = [trip for trip in slow if 0 < abs(trip["left"]) < Fraction(1, 10**6)]
    assert not close
    for name in NAMES:
        mine = [trip["left"] > 0 for trip in slow if trip["name"] == name]
        stated = [
            (whose, said, trip["left"] > 0)
            for trip in slow
            for whose, said in trip["stated"].values()
            if whose == name
        ]
        one = found.get(name)
        assert (one.round_trips if one else 0) == len(mine)
        assert (one.outcomes if one else 0) == len(stated)
        if mine:
            exact = Fraction(sum(mine), len(mine))
            assert abs(Fraction(one.hit_ratio) - exact) <= Fraction(RATIO_QUANTUM)
        elif one:
            assert one.hit_ratio is None


def slow_calibration(outcomes):
    """By its definition, with fractions: per bin, its share times |mean stated - share won|."""
    error = Fraction(0)
    for place in range(CALIBRATION_BINS):
        low, high = Fraction(place, CALIBRATION_BINS), Fraction(place + 1, CALIBRATION_BINS)
        inside = [
            (Fraction(said), won)
            for said, won in outcomes
            if low <= Fraction(said) < high or (said == 1 and high == 1)
        ]
        if inside:
            mean = sum(said for said, _ in inside) / len(inside)
            share = Fraction(sum(won for _, won in inside), len(inside))
            error += Fraction(len(inside), len(outcomes)) * abs(mean - share)
    return error


@given(
    outcomes=st.lists(
        st.tuples(st.decimals(0, 1, places=12), st.booleans()),
        min_size=CALIBRATION_COUNT_MIN,
        max_size=80,
    )
)
def test_calibration_equals_its_definition(outcomes):
    found = calibration_error(outcomes)
    assert abs(Fraction(found) - slow_calibration(outcomes)) <= Fraction(RATIO_QUANTUM) / 2
    assert calibration_error(outcomes[: CALIBRATION_COUNT_MIN - 1]) is None


@given(
    price=st.decimals("0.000001", "999999", places=6),
    decided=st.decimals("0.000001", "999999", places=6),
    sign=st.sampled_from((1, -1)),
)
def test_slippage_is_the_distance_to_the_price_at_decision_and_worse_is_above_zero(
    price, decided, sign
):
    exact = (Fraction(price) - Fraction(decided)) / Fraction(decided) * 10_000 * sign
    assert abs(Fraction(slippage_bps(sign, price, decided)) - exact) <= Fraction(BPS_QUANTUM) / 2


def test_what_is_no_price_has_no_slippage():
    for bad in ("NaN", "Infinity", "0", "-1"):
        assert slippage_bps(1, Decimal(bad), Decimal(1)) is None
        assert slippage_bps(1, Decimal(1), Decimal(bad)) is None


def test_a_position_that_was_adopted_counts_in_no_figure_and_the_next_one_does():
    book = fold([("BTCUSDT", 1, 0, "USDT", 0, "one", "0.5")])
    book.give_up("BTCUSDT")

    def fill(held, signed, pnl):
        return TripFill(
            symbol="BTCUSDT",
            held=Decimal(held),
            signed=Decimal(signed),
            realized_pnl=Decimal(pnl),
            asset="USDT",
            commission=Decimal(0),
            at_ns=9,
            entry=Entry(venue_order_id=9, strategy_id="one"),
        )

    book.book(fill(3, -1, 5))
    book.book(fill(2, -4, 5))
    assert book.ended == []
    book.book(fill(-2, 2, -1))
    assert [trip.is_won("USDT") for trip in book.ended] == [False]


def test_an_order_that_turns_out_to_be_ours_brings_its_trip_and_confidence_along():
    book = fold([("BTCUSDT", 1, 0, "USDT", 0, "", None), ("BTCUSDT", -1, 2, "USDT", 1, "", None)])
    book.claim("ETHUSDT", Entry(venue_order_id=1, strategy_id="two"))
    book.claim("BTCUSDT", Entry(venue_order_id=1, strategy_id="one", confidence=Decimal("0.7")))
    (one,) = figures(book, "USDT", 0)
    assert (one.strategy_id, one.round_trips, one.hit_ratio, one.outcomes) == ("one", 1, 1, 1)


def test_commission_in_another_asset_loses_no_trip():
    fills = [("BTCUSDT", 1, 0, "BNB", 3, "one", None), ("BTCUSDT", -1, 1, "BNB", 3, "one", None)]
    assert figures(fold(fills), "USDT", 0)[0].hit_ratio == 1


def test_only_the_window_counts_and_the_newest_are_kept():
    fills = [("BTCUSDT", sign, 1, "USDT", 0, "one", "0.9") for sign in (1, -1)] * (TRIPS_KEPT + 5)
    book = fold(fills)
    assert len(book.ended) == TRIPS_KEPT
    (one,) = figures(book, "USDT", len(fills) - 3)
    assert one.round_trips == 2
    assert figures(book, "USDT", len(fills) + 1) == []


def test_entries_of_one_trip_are_bounded():
    fills = [("BTCUSDT", 1, 0, "USDT", 0, "one", "0.9")] * (ENTRIES_KEPT + 9)
    assert len(fold(fills).lasting["BTCUSDT"].entries) == ENTRIES_KEPT


def test_slippage_is_compared_over_orders_that_have_both_figures():
    book = TradeBook()
    for realized, predicted in (("4", "1"), ("-2", "2"), ("100", None)):
        stated = None if predicted is None else Decimal(predicted)
        book.measure(
            MeasuredOrder(
                strategy_id="one", at_ns=1, realized_bps=Decimal(realized), predicted_bps=stated
            )
        )
    (one,) = figures(book, "USDT", 0)
    assert (one.orders, one.orders_compared) == (3, 2)
    assert (one.slippage_realized_bps, one.slippage_predicted_bps) == (1, Decimal("1.5"))
    assert (one.hit_ratio, one.calibration_error) == (None, None)


def test_metrics_name_a_bounded_number_of_strategies_and_no_hands():
    book = TradeBook()
    for number in range(9):
        for _ in range(number + 1):
            book.measure(
                MeasuredOrder(
                    strategy_id="" if number == 8 else f"s{number}",
                    at_ns=1,
                    realized_bps=Decimal(1),
                )
            )
    named = [one.strategy_id for one in strategies(figures(book, "USDT", 0), 3)]
    assert named == ["s7", "s6", "s5"]
