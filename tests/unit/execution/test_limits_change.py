"""A change of risk's limits is journaled with both sides of it, and outdates what came before."""

from decimal import Decimal

import msgspec
import pytest

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit import event_types
from libs.common.messages.audit_events import OperatorActed
from libs.common.messages.journal import OrderBecameUnknown, OrderRecorded
from libs.common.messages.limit_events import LimitsChange, RiskLimitsSet
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.model.risk_limits import RiskLimits
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S, an_approval
from services.execution.admin_core import decide_command, fault_of
from services.execution.core import decide_absence
from services.execution.state import State
from services.execution.view import account_view
from tests.unit.execution.gate_cases import (
    LIMITS,
    a_ready_state,
    an_entry,
    an_exit,
    decide,
    facts,
    fold,
    outcome_of,
    reason_of,
    recorded,
    restarted,
)

FILE = RiskLimits(order_notional_max=Decimal(5_000), positions_max=5)


def a_command(key: str, *released: str, **limits: object) -> Command:
    change = LimitsChange(
        limits=RiskLimits(**limits),  # type: ignore[arg-type]
        released=released,
        file=FILE,
        config_hash="c0ffee",
        may_loosen=True,
    )
    return Command(
        message_id=key,
        causation_id=key,
        correlation_id=key,
        ts_event_ns=NOW_NS,
        ts_published_ns=0,
        source="risk",
        account="paper",
        verb=Verb.LIMITS,
        actor="alice (ops)",
        reason="nervous",
        idempotency_key=key,
        limits=change,
    )


def set_limits(state: State, command: Command, sequence: int) -> RiskLimitsSet:
    acted, event = decide_command(state, command, sequence).events
    assert isinstance(acted, OperatorActed)
    assert isinstance(event, RiskLimitsSet)
    fold(state, acted, event)
    return event


def test_a_change_is_recorded_with_who_and_why_before_and_after_and_the_configuration() -> None:
    state = a_ready_state()
    set_limits(state, a_command("k1", order_notional_max=Decimal(900), positions_max=2), 4)
    event = set_limits(state, a_command("k2", "positions_max", order_notional_max=Decimal(800)), 5)
    assert (event.actor, event.reason, event.change) == ("alice (ops)", "nervous", 2)
    assert event.before == RiskLimits(order_notional_max=Decimal(900), positions_max=2)
    assert event.after == RiskLimits(order_notional_max=Decimal(800))
    assert (event.file, event.risk_config_hash) == (FILE, "c0ffee")
    assert event_types(event) == ("risk_limits.set",)


def test_a_change_is_made_once_per_key_and_survives_a_restart_and_is_told() -> None:
    state = a_ready_state()
    event = set_limits(state, a_command("k1", positions_max=2), 4)
    assert decide_command(state, a_command("k1", positions_max=9), 5).events == ()
    again = restarted(state)
    told = account_view(
        again, account="paper", journal_sequence=3, unarmed=(), now_ns=NOW_NS, published_ns=0
    ).limits
    assert (told.limits, told.change, told.key) == (event.after, 1, "k1")
    assert told.set_at_ns == NOW_NS


def test_whoever_asked_is_told_of_his_change_though_others_came_behind_it() -> None:
    state = a_ready_state()
    for number in range(1, 20):
        set_limits(state, a_command(f"k{number}", positions_max=number), number)
    assert state.limits.keys == tuple(f"k{number}" for number in range(4, 20))


def test_a_change_that_comes_after_a_later_one_can_only_tighten() -> None:
    state = a_ready_state()
    set_limits(state, a_command("k2", order_notional_max=Decimal(800)), 5)
    late = a_command("k1", "order_notional_max", positions_max=3)
    assert set_limits(state, late, 4).after == RiskLimits(
        order_notional_max=Decimal(800), positions_max=3
    )


def test_a_wish_of_who_may_not_loosen_does_not_undo_a_tightening_that_came_between() -> None:
    state = a_ready_state()
    wish = a_command("k2", order_notional_max=Decimal(500), positions_max=1)
    assert wish.limits is not None
    may_not = msgspec.structs.replace(wish.limits, may_loosen=False)
    set_limits(state, a_command("k1", order_notional_max=Decimal(100)), 4)
    event = set_limits(state, msgspec.structs.replace(wish, limits=may_not), 5)
    assert event.after == RiskLimits(order_notional_max=Decimal(100), positions_max=1)


def test_a_service_that_is_no_door_of_people_can_only_tighten() -> None:
    state = a_ready_state()
    set_limits(state, a_command("k1", positions_max=2), 4)
    looser = msgspec.structs.replace(a_command("k2", positions_max=4), source="reconciler")
    assert set_limits(state, looser, 5).after == RiskLimits(positions_max=2)
    assert set_limits(state, a_command("k3", positions_max=4), 6).after.positions_max == 4


@pytest.mark.parametrize(
    "command",
    [
        a_command("k"),
        a_command("k", "leverage"),
        a_command("k", order_notional_max=Decimal("NaN")),
        msgspec.structs.replace(a_command("k", positions_max=1), verb=Verb.RECONCILE),
        msgspec.structs.replace(a_command("k", positions_max=1), target="BTCUSDT"),
        msgspec.structs.replace(a_command("k", positions_max=1), limits=None),
        msgspec.structs.replace(a_command("k", positions_max=1), reason=" "),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_with_words(command: Command) -> None:
    assert fault_of(command)


def test_an_entry_that_was_approved_before_the_change_is_refused_and_an_exit_is_not() -> None:
    state = a_ready_state()
    set_limits(state, a_command("k1", positions_max=2), 4)
    assert reason_of(decide(state, an_entry())) is Reason.LIMITS_CHANGED
    exit_ = an_exit(side=Side.SELL)
    assert exit_.purpose is Purpose.EXIT
    assert reason_of(decide(state, exit_)) is not Reason.LIMITS_CHANGED
    approval = an_approval(an_entry("later"))
    body = msgspec.structs.replace(approval.body, limits_change=1)
    assert reason_of(decide(state, msgspec.structs.replace(approval, body=body))) is None


def test_without_any_change_no_verdict_speaks_of_it() -> None:
    checks = [one.check for one in outcome_of(decide(a_ready_state())).verdicts]
    assert "limits_change" not in checks


def test_an_entry_that_never_arrived_is_not_tried_again_under_changed_limits() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    unknown = OrderBecameUnknown(client_order_id=order.client_order_id, why="no answer")
    fold(state, unknown, now_ns=NOW_NS + 2 * S)
    again = decide_absence(LIMITS, state, order.client_order_id, "not there", facts(NOW_NS + 4 * S))
    assert any(isinstance(event, OrderRecorded) for event in again.events)
    (acted, event) = decide_command(state, a_command("k1", positions_max=2), 4).events
    fold(state, acted, event, now_ns=NOW_NS + 3 * S)
    none = decide_absence(LIMITS, state, order.client_order_id, "not there", facts(NOW_NS + 4 * S))
    assert not any(isinstance(event, OrderRecorded) for event in none.events)
