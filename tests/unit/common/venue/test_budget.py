import pytest

from libs.common.venue.budget import BudgetLimits, Level, VenueBudget, count_of
from libs.common.venue.endpoints import Cost, Purpose
from libs.common.venue.payloads import RateLimit

NOW_MS = 1_723_161_240_000  # the start of a minute
WEIGHT = {"x-mbx-used-weight-1m": "1700"}
ORDER = Cost(0, 1, 1)
ORDINARY = (Purpose.ENTRY, Purpose.READ)
RESERVED = (Purpose.EXIT, Purpose.CANCEL, Purpose.RECONCILE)


def used(budget: VenueBudget, window: str = "weight_1m", venue_ms: int = NOW_MS) -> int:
    return budget.describe(venue_ms)[window]["used"]


def spend(budget: VenueBudget, weight: int, venue_ms: int = NOW_MS) -> None:
    budget.settle(budget.book(Cost(weight), venue_ms), {}, venue_ms)


@pytest.mark.parametrize(
    ("purposes", "warns_from", "refused_above"),
    [(ORDINARY, 1_536, 1_728), (RESERVED, 1_920, 2_160)],
)
def test_ordinary_requests_leave_a_fifth_to_those_that_get_us_out(
    purposes: tuple[Purpose, ...], warns_from: int, refused_above: int
) -> None:
    for purpose in purposes:
        for weight, level in (
            (warns_from - 1, Level.FREE),
            (warns_from, Level.WARN),
            (refused_above, Level.WARN),
            (refused_above + 1, Level.REFUSE),
        ):
            budget = VenueBudget()
            spend(budget, weight - 1)
            room = budget.may_send(purpose, Cost(1), NOW_MS)
            assert (room.level, room.may_send) == (level, level is not Level.REFUSE)
            assert room.used == weight - 1
            assert room.limit == 2_400


@pytest.mark.parametrize(
    ("window", "interval_ms", "entries", "exits"),
    [("orders_10s", 0, 216, 270), ("orders_1m", 50, 864, 1_080)],
)
def test_order_counts_have_budgets_of_their_own(
    window: str, interval_ms: int, entries: int, exits: int
) -> None:
    for purpose, most in ((Purpose.ENTRY, entries), (Purpose.EXIT, exits)):
        budget = VenueBudget()
        sent = 0
        while budget.may_send(purpose, ORDER, at_ms := NOW_MS + sent * interval_ms).may_send:
            budget.settle(budget.book(ORDER, at_ms), {}, at_ms)
            sent += 1
        room = budget.may_send(purpose, ORDER, at_ms)
        assert room.used == most
        assert room.window == window


def test_orders_are_not_refused_for_weight_they_do_not_cost() -> None:
    budget = VenueBudget()
    spend(budget, 2_400)
    assert budget.may_send(Purpose.ENTRY, ORDER, NOW_MS).level is Level.FREE
    assert not budget.may_send(Purpose.CANCEL, Cost(1), NOW_MS).may_send


def test_the_tightest_window_speaks() -> None:
    budget = VenueBudget()
    for _ in range(250):
        budget.settle(budget.book(ORDER, NOW_MS), {}, NOW_MS)
    room = budget.may_send(Purpose.ENTRY, ORDER, NOW_MS)
    assert room.observed == "orders_10s 250 of 300"
    assert room.allowed == "orders_10s at most 216 for ENTRY"


def test_counts_are_forgotten_with_their_window() -> None:
    budget = VenueBudget()
    spend(budget, 2_000)
    budget.settle(budget.book(ORDER, NOW_MS), {}, NOW_MS)
    assert used(budget, "orders_10s", NOW_MS + 9_999) == 1
    assert used(budget, "orders_10s", NOW_MS + 10_000) == 0
    assert used(budget, "orders_1m", NOW_MS + 10_000) == 1
    assert used(budget, venue_ms=NOW_MS + 59_999) == 2_000
    assert used(budget, venue_ms=NOW_MS + 60_000) == 0
    assert budget.peak_weight == 2_000


def test_the_venue_knows_of_more_than_our_own_requests() -> None:
    budget = VenueBudget()
    budget.settle(budget.book(Cost(5), NOW_MS), WEIGHT, NOW_MS + 5)
    assert used(budget) == 1_700
    spend(budget, 20)
    assert used(budget) == 1_720


def test_requests_in_flight_are_added_to_what_the_venue_tells() -> None:
    budget = VenueBudget()
    first, _second = budget.book(Cost(5), NOW_MS), budget.book(Cost(40), NOW_MS)
    budget.settle(first, WEIGHT, NOW_MS)
    assert used(budget) == 1_740


def test_an_answer_that_tells_less_does_not_lower_the_count() -> None:
    budget = VenueBudget()
    spend(budget, 2_000)
    budget.settle(budget.book(Cost(5), NOW_MS), WEIGHT, NOW_MS)
    assert used(budget) == 2_005


def test_an_answer_of_the_last_minute_says_nothing_about_this_one() -> None:
    budget = VenueBudget()
    booking = budget.book(Cost(5), NOW_MS + 59_999)
    budget.settle(booking, WEIGHT, NOW_MS + 60_001)
    assert used(budget, venue_ms=NOW_MS + 60_001) == 5  # the venue may count it in either


def test_what_was_not_sent_does_not_count() -> None:
    budget = VenueBudget()
    budget.cancel(budget.book(Cost(5, 1, 1), NOW_MS))
    assert [used(budget, name) for name in budget.describe(NOW_MS)] == [0, 0, 0]


def test_a_clock_put_back_a_little_forgets_nothing() -> None:
    budget = VenueBudget()
    spend(budget, 100, NOW_MS + 60_000)
    spend(budget, 1, NOW_MS + 59_990)
    assert used(budget, venue_ms=NOW_MS + 60_000) == 101
    assert used(budget, venue_ms=NOW_MS - 600_000) == 0


def test_limits_come_from_exchange_info() -> None:
    budget = VenueBudget()
    told = [
        ("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
        ("ORDERS", "SECOND", 10, 100),
        ("ORDERS", "MINUTE", 1, 0),
        ("RAW_REQUESTS", "MINUTE", 5, 7),
    ]
    budget.set_limits(
        RateLimit(kind=kind, interval=interval, interval_count=count, limit=limit)
        for kind, interval, count, limit in told
    )
    limits = [window["limit"] for window in budget.describe(NOW_MS).values()]
    assert limits == [6_000, 100, 1_200]


def test_the_figures_can_be_shown() -> None:
    budget = VenueBudget()
    spend(budget, 600)
    assert budget.describe(NOW_MS + 1)["weight_1m"] == {
        "used": 600,
        "limit": 2_400,
        "used_percent": 25,
        "peak": 600,
        "refused_above_ordinary": 1_728,
        "refused_above_reserved": 2_160,
        "ends_ms": NOW_MS + 60_000,
    }


def test_shares_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="warn_percent"):
        BudgetLimits(warn_percent=91)
    with pytest.raises(ValueError, match="reserve_percent"):
        BudgetLimits(reserve_percent=100)


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "soon", "9" * 10, "²"])
def test_a_count_that_cannot_be_read_is_none(text: str | None) -> None:
    assert count_of(text) is None
