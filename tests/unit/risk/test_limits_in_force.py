"""Limits that people set: the tighter one of each counts, and never more than is configured."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages.account import Verb
from libs.common.messages.intents import ApprovalBody
from libs.common.messages.limit_events import LimitsInForce
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.model.risk_limits import (
    NAMES,
    NO_LIMITS,
    RiskLimits,
    changed,
    fault_of,
    looser_names,
    tightest,
)
from libs.common.model.verdict import Reason
from services.risk.config import LimitsConfig, SizingConfig
from services.risk.core import Board, Refusal, decide
from services.risk.day_guard import DayGuard
from services.risk.limits import in_force, of_file

FILE = LimitsConfig()
AMOUNTS = st.none() | st.decimals("0.01", "20000", places=2)
SYMBOLS = st.none() | st.lists(st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"]), unique=True).map(
    tuple
)
LIMITS = st.builds(
    RiskLimits,
    order_notional_max=AMOUNTS,
    position_notional_max=AMOUNTS,
    daily_loss_max=AMOUNTS,
    positions_max=st.none() | st.integers(0, 10),
    symbols_allowed=SYMBOLS,
)


@given(LIMITS)
def test_whatever_people_set_nothing_passes_the_configuration(told):
    force = of_file(in_force(FILE, told))
    assert looser_names(force, of_file(FILE)) == ()
    assert looser_names(force, told) == ()


@given(LIMITS, LIMITS)
def test_the_tightest_of_two_is_one_of_them_and_no_order_matters(one, other):
    both = tightest(one, other)
    assert looser_names(both, one) == looser_names(both, other) == ()
    for name in NAMES:
        values = [getattr(limits, name) for limits in (one, other, both)]
        if name == "symbols_allowed":
            sets = [None if value is None else set(value) for value in values]
            assert sets[2] in (sets[0], sets[1], (sets[0] or set()) & (sets[1] or set()))
        else:
            assert values[2] in values[:2]
    mirrored = tightest(other, one)
    assert looser_names(both, mirrored) == looser_names(mirrored, both) == ()


def test_nothing_set_leaves_the_configuration_itself():
    assert in_force(FILE, NO_LIMITS) is FILE


def test_a_change_sets_what_it_names_and_gives_back_what_it_releases():
    before = RiskLimits(order_notional_max=Decimal(100), positions_max=2)
    after = changed(before, RiskLimits(positions_max=1), ("order_notional_max",))
    assert after == RiskLimits(positions_max=1)


@pytest.mark.parametrize(
    "limits",
    [
        RiskLimits(order_notional_max=Decimal("NaN")),
        RiskLimits(daily_loss_max=Decimal("Infinity")),
        RiskLimits(position_notional_max=Decimal(0)),
        RiskLimits(order_notional_max=Decimal(-1)),
        RiskLimits(daily_loss_max=Decimal(10) ** 12),
        RiskLimits(positions_max=-1),
        RiskLimits(symbols_allowed=("btc usdt",)),
    ],
)
def test_impossible_limits_make_the_account_unheard_which_lets_nothing_through(make, limits):
    assert fault_of(limits)
    board = Board()
    assert not board.hear_account(make.account(limits=LimitsInForce(change=1, limits=limits)), 1)
    assert board.account is None


class Bus:
    def __init__(self):
        self.asked = []

    async def publish_stored(self, subject, payload, *, message_id):
        self.asked.append(subject)


async def test_the_days_loss_that_a_person_set_asks_for_the_reduction(make):
    bus = Bus()
    guard = DayGuard(bus, FILE, lambda: 1)
    day = make.day(realized_pnl=Decimal(-60))
    await guard.hear(make.account(pnl_day=day))
    assert bus.asked == []
    told = LimitsInForce(change=1, limits=RiskLimits(daily_loss_max=Decimal(50)))
    await guard.hear(make.account(pnl_day=day, limits=told))
    assert bus.asked == [f"command.paper.{Verb.REDUCE}"]


def test_a_position_in_a_symbol_that_is_no_longer_allowed_may_be_given_back(make):
    told = RiskLimits(symbols_allowed=())
    intents = {
        Purpose.ENTER: make.intent(),
        Purpose.EXIT: make.intent(purpose=Purpose.EXIT, side=Side.SELL),
    }
    facts = make.facts(account=make.account(positions=(make.position("0.1"),)))
    found = {
        purpose: decide(
            in_force(FILE, told),
            SizingConfig(),
            facts,
            intent,
            account="paper",
            now_ns=make.now_ns,
            now_wall_ns=1,
        )
        for purpose, intent in intents.items()
    }
    assert isinstance(found[Purpose.EXIT], ApprovalBody)
    assert isinstance(found[Purpose.ENTER], Refusal)
    assert found[Purpose.ENTER].reason is Reason.SYMBOL_NOT_ALLOWED
