"""What a kill still has to do, decided from the state alone."""

from decimal import Decimal

import pytest

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import KillProven, OperatorActed
from libs.common.messages.guard_events import LatchKind, VenueLatched
from libs.common.messages.journal import (
    JournalEvent,
    JournalRecord,
    OrderAnswered,
    OrderBecameUnknown,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import NOW_NS, S
from services.execution.admin_core import decide_command, fault_of
from services.execution.config import ExecutionConfig
from services.execution.core import Facts
from services.execution.fold import apply
from services.execution.kill_core import (
    banned,
    decide_cancels,
    decide_close,
    in_doubt,
    kill_intent_id,
    may_close,
)
from services.execution.state import State

LIMITS = ExecutionConfig()
SYMBOL = "BTCUSDT"
NOW_MS = NOW_NS // 1_000_000
FACTS = Facts(
    now_ns=NOW_NS,
    venue_timestamp_ms=NOW_MS,
    recv_window_ms=5_000,
    mark=None,
    health=None,
    unarmed=("market: none",),
    account="paper",
    writer="me",
    is_closing=True,
)


def fold(state: State, *events: JournalEvent) -> None:
    apply(
        state,
        JournalRecord(
            account="paper",
            number=1,
            prev_hash="",
            causation_id="",
            correlation_id="",
            ts_event_ns=NOW_NS,
            ts_wall_ns=0,
            app_version="",
            config_hash="",
            events=events,
        ),
    )


def killing(verb: Verb = Verb.FLATTEN, target: str = "") -> State:
    state = State()
    acted = OperatorActed(actor="alice", verb=verb, reason="a drill", target=target, key="k")
    fold(state, acted)
    return state


def close(state: State, quantity: str) -> tuple[JournalEvent, ...]:
    return decide_close(
        LIMITS, state, "k", SYMBOL, Decimal(quantity), Decimal(50_000), FACTS
    ).events


@pytest.mark.parametrize(("quantity", "side"), [("0.5", Side.SELL), ("-0.5", Side.BUY)])
def test_a_position_is_closed_by_what_only_reduces_it(quantity: str, side: Side) -> None:
    (recorded,) = close(killing(), quantity)
    assert isinstance(recorded, OrderRecorded)
    assert (recorded.order.side, recorded.order.quantity) == (side, Decimal("0.5"))
    assert recorded.order.reduce_only
    assert recorded.margin_reserved == 0


def test_an_exit_has_the_same_id_in_every_life_and_another_only_after_it_ended() -> None:
    state = killing()
    (first,) = close(state, "0.5")
    assert (first,) == close(killing(), "0.5")
    assert isinstance(first, OrderRecorded)
    fold(state, first)
    assert close(state, "0.5") == ()  # it may be under way
    fold(state, OrderBecameUnknown(client_order_id=first.client_order_id, why="lost"))
    assert close(state, "0.5") == ()  # only evidence ends it
    fold(
        state,
        OrderAnswered(
            client_order_id=first.client_order_id,
            venue_order_id=1,
            status=OrderStatus.FILLED,
            cumulative_quantity=Decimal("0.3"),
        ),
    )
    (second,) = close(state, "0.2")
    assert isinstance(second, OrderRecorded)
    assert second.intent.intent_id == kill_intent_id("paper", "k", SYMBOL, 2)


def test_nothing_is_closed_for_a_kill_that_is_over_or_a_position_that_is_flat() -> None:
    assert close(killing(), "0") == ()
    assert close(State(), "1") == ()


def test_a_halt_does_not_stop_an_exit_of_a_kill_and_a_ban_does() -> None:
    state = killing()
    (recorded,) = close(state, "0.5")
    assert isinstance(recorded, OrderRecorded)
    fold(state, recorded, TradingStateChanged(state=TradingState.HALTED, actor="a", reason="b"))
    assert may_close(LIMITS, state, recorded.client_order_id, FACTS) == ""
    fold(state, VenueLatched(kind=LatchKind.BANNED, until_ns=NOW_NS + S, why="418"))
    assert "BANNED" in may_close(LIMITS, state, recorded.client_order_id, FACTS)
    assert banned(state, NOW_NS + S) == ""
    assert "no longer ours" in may_close(LIMITS, state, "another", FACTS)


def test_an_order_is_in_doubt_until_the_venue_itself_would_refuse_it() -> None:
    state = killing()
    (recorded,) = close(state, "0.5")
    assert isinstance(recorded, OrderRecorded)
    fold(state, recorded)
    assert in_doubt(state, NOW_MS + 8_000, 3_000, "") == (recorded.client_order_id,)
    assert in_doubt(state, NOW_MS + 8_001, 3_000, "") == ()
    assert in_doubt(state, NOW_MS, 3_000, "ETHUSDT") == ()


def test_only_our_own_orders_are_recorded_as_canceled_and_once() -> None:
    state = killing()
    (recorded,) = close(state, "0.5")
    assert isinstance(recorded, OrderRecorded)
    fold(state, recorded)
    ids = (recorded.client_order_id, "by-hand")
    (asked,) = decide_cancels(state, state.kills["k"], ids).events
    fold(state, asked)
    assert decide_cancels(state, state.kills["k"], ids).events == ()


def test_what_a_kill_left_behind_is_remembered_until_one_is_complete_or_somebody_resumes() -> None:
    proven = KillProven(
        verb="flatten",
        orders_canceled=0,
        algo_orders_canceled=0,
        positions_closed=(),
        took_ms=1,
        is_complete=False,
        remaining="0.5 BTCUSDT",
        key="k",
    )
    state = killing()
    fold(state, proven)
    assert state.kills == {}
    assert state.kill_remains == "0.5 BTCUSDT"
    fold(state, TradingStateChanged(state=TradingState.ACTIVE, actor="a", reason="b"))
    assert state.kill_remains == ""


# -- commands ------------------------------------------------------------------------------------


def command(verb: Verb, target: str = "", key: str = "", **changes: str) -> Command:
    return Command(
        message_id="m",
        causation_id="m",
        correlation_id="m",
        ts_event_ns=NOW_NS,
        ts_published_ns=0,
        source="test",
        account="paper",
        verb=verb,
        target=target,
        idempotency_key=key,
        **{"actor": "alice", "reason": "a drill", **changes},
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (command(Verb.HALT, actor=""), "actor"),
        (command(Verb.HALT, reason=" "), "reason"),
        (command(Verb.HALT, target="BTCUSDT"), "takes no target"),
        (command(Verb.FLATTEN, target="BTC USDT"), "symbol must be"),
        (command(Verb.UNLOCK), "there are"),
        (command(Verb.UNLOCK, target="latch:NONSENSE"), "no latch"),
        (command(Verb.RESUME, key="k" * 501), "keys and targets"),
    ],
)
def test_a_command_that_cannot_be_obeyed_is_told_why(asked: Command, words: str) -> None:
    assert words in fault_of(asked)


def test_sound_commands_have_no_fault() -> None:
    for asked in (
        command(Verb.HALT),
        command(Verb.FLATTEN, target="BTCUSDT"),
        command(Verb.FLATTEN, target="币安人生USDT"),
        command(Verb.UNLOCK, target="lock:BTCUSDT:BUY"),
        command(Verb.UNLOCK, target="latch:BANNED"),
    ):
        assert fault_of(asked) == ""


def test_a_halt_asked_again_with_a_key_outranks_what_was_asked_before_it() -> None:
    state = State()
    fold(state, *decide_command(state, command(Verb.HALT, key="a"), 5).events)
    assert state.command_sequence == 5
    fold(state, *decide_command(state, command(Verb.HALT, key="b"), 9).events)
    assert state.command_sequence == 9
    assert decide_command(state, command(Verb.RESUME), 7).events == ()
    assert decide_command(state, command(Verb.RESUME, key="c"), 0).events != ()


def test_unlocking_what_does_not_hold_is_on_record_and_clears_nothing() -> None:
    (acted,) = decide_command(State(), command(Verb.UNLOCK, target="safe_mode"), 1).events
    assert isinstance(acted, OperatorActed)
    assert acted.key == "m"
