"""What a day has cost: fills, commission, funding and fees; from the limit on no entry passes."""

from decimal import Decimal

import msgspec
import pytest

from libs.common.messages.account import Verb
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.runtime.errors import BusUnavailable
from services.risk.checks import Case, day_loss
from services.risk.config import LimitsConfig
from services.risk.day_guard import DayGuard, reduction

LIMITS = LimitsConfig(daily_loss_max=Decimal(100))


def verdict(make, *, intent=None, account=None, **day):
    account = account or make.account(pnl_day=make.day(**day))
    case = Case(
        limits=LIMITS,
        facts=make.facts(account=account),
        intent=intent or make.intent(),
        quantity=Decimal(1),
        price=Decimal(1),
        slippage_bps=Decimal(0),
        now_ns=make.now_ns,
    )
    return day_loss(case)


@pytest.mark.parametrize(
    "day",
    [
        {"realized_pnl": Decimal(-100)},
        {"commission": Decimal(100)},
        {"funding": Decimal(-100)},
        {"liquidation": Decimal(-100)},
        {"other": Decimal(-100)},
        {"realized_pnl": Decimal(50), "commission": Decimal(30), "funding": Decimal(-120)},
    ],
)
def test_every_kind_of_cost_counts_toward_the_limit(make, day):
    found = verdict(make, **day)
    assert found.reason is Reason.DAILY_LOSS
    assert (found.observed, found.limit) == ("100", "100")


def test_a_day_that_cost_less_passes_and_gains_offset_costs(make):
    assert verdict(make, realized_pnl=Decimal("-99.99999999")).passed
    assert verdict(make, realized_pnl=Decimal(-150), funding=Decimal(51)).passed


def test_an_exit_is_never_refused_for_what_the_day_cost(make):
    intent = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    assert verdict(make, intent=intent, realized_pnl=Decimal(-1_000)).passed
    assert verdict(make, intent=intent, account=make.account(pnl_day=None)).passed


@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity", "1e400"])
def test_a_day_that_is_not_known_or_no_number_refuses_entries(make, bad):
    assert verdict(make, account=make.account(pnl_day=None)).reason is Reason.DAILY_LOSS
    assert verdict(make, funding=Decimal(bad)).reason is Reason.DAILY_LOSS


def test_commission_in_another_asset_is_told_and_not_added(make):
    found = verdict(make, commission_other={"BNB": Decimal(200)})
    assert found.passed
    assert found.observed == "0, and 200 BNB paid apart"


def test_a_breach_asks_for_a_reduction_with_a_key_of_the_day(make):
    account = make.account(pnl_day=make.day(funding=Decimal(-100)))
    command = reduction(LIMITS, account, 1)
    assert command.verb is Verb.REDUCE
    assert command.idempotency_key == f"day-loss-paper-{account.pnl_day.day_start_ns}"
    assert command.reason == "the day cost 100, limit 100"


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_what_does_not_trade_is_not_asked_to_reduce(make, state):
    account = make.account(pnl_day=make.day(funding=Decimal(-100)), trading_state=state)
    assert reduction(LIMITS, account, 1) is None
    assert reduction(LIMITS, make.account(), 1) is None
    assert reduction(LIMITS, make.account(pnl_day=None), 1) is None


class Bus:
    def __init__(self):
        self.said = []
        self.is_away = False

    async def publish_stored(self, subject, payload, *, message_id):
        if self.is_away:
            raise BusUnavailable("away")
        self.said.append((subject, message_id))


async def test_the_request_is_made_once_a_day_and_again_where_the_broker_was_away(make):
    bus = Bus()
    guard = DayGuard(bus, LIMITS, lambda: 1)
    account = make.account(pnl_day=make.day(funding=Decimal(-100)))
    bus.is_away = True
    await guard.hear(account)
    bus.is_away = False
    for _ in range(3):
        await guard.hear(account)
    assert [subject for subject, _ in bus.said] == ["command.paper.reduce-only"]
    tomorrow = account.pnl_day.day_start_ns + 86_400_000_000_000
    day = msgspec.structs.replace(account.pnl_day, day_start_ns=tomorrow)
    await guard.hear(make.account(pnl_day=day))
    assert len(bus.said) == 2
