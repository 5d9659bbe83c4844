"""What operators are shown: seconds that are left, and the name by which a guard is unlocked."""

from decimal import Decimal
from typing import Any

from libs.common.messages.guard_events import LatchKind
from libs.common.messages.vouching import HealthSeen
from libs.common.model.position import Position
from libs.common.testing.builders import NOW_NS, S
from services.execution.admin_core import holds
from services.execution.admin_view import guard_rows, health_rows, position_rows
from services.execution.config import ExecutionConfig
from services.execution.question import MarkSeen
from services.execution.state import ExitCooldown, Lock, RecentOrder, State
from sim.vouching import vouched

LIMITS = ExecutionConfig()
SYMBOL = "BTCUSDT"


def row(state: State, guard: str) -> dict[str, Any]:
    (found,) = [one for one in guard_rows(LIMITS, state, NOW_NS) if one["guard"] == guard]
    return found


def held() -> State:
    until_ns = NOW_NS + 10 * S
    return State(
        safe_mode_until_ns=until_ns,
        cooldown_global_until_ns=until_ns,
        cooldown_symbols={SYMBOL: until_ns},
        cooldown_exits={SYMBOL: ExitCooldown(until_ns=until_ns, failures=2)},
        latches={LatchKind.BANNED: until_ns},
        locks={f"{SYMBOL}:BUY": Lock(client_order_id="pc-1", until_ns=until_ns)},
    )


def test_every_hold_tells_its_seconds_and_how_to_unlock_it() -> None:
    rows = [one for one in guard_rows(LIMITS, held(), NOW_NS) if one["unlock"]]
    assert len(rows) == 6
    for one in rows:
        assert one["active"], one
        assert one["remaining_s"] == 10, one
        assert one["limit"], one
        assert holds(held(), one["unlock"]), one
    assert {one["unlock"] for one in rows} >= {"latch:BANNED", f"lock:{SYMBOL}:BUY", "safe_mode"}


def test_what_is_over_does_not_hold_and_has_nothing_left() -> None:
    rows = guard_rows(LIMITS, held(), NOW_NS + 10 * S)
    assert [one["guard"] for one in rows if one["active"]] == ["trading_state"]
    assert all(one["remaining_s"] == 0 for one in rows)


def test_a_symbol_that_the_feed_does_not_vouch_for_holds_and_tells_what_was_found() -> None:
    late = HealthSeen(health=vouched("LATEUSDT").health, silence_ms=5_001)
    rows = health_rows(LIMITS, {SYMBOL: vouched(SYMBOL), "ETHUSDT": None, "LATEUSDT": late})
    assert [(one["key"], one["active"], one["observed"]) for one in rows] == [
        (SYMBOL, False, "TRADING"),
        ("ETHUSDT", True, "unknown"),
        ("LATEUSDT", True, "5001 ms ago"),
    ]
    assert {one["guard"] for one in rows} == {"market_health"}
    assert all(one["limit"] and not one["unlock"] for one in rows)


def test_a_full_rate_tells_when_there_is_room_again() -> None:
    state = State(
        recent_orders=[
            RecentOrder(intent_id="a", symbol=SYMBOL, is_exit=False, at_ns=NOW_NS - 12 * S),
            RecentOrder(intent_id="b", symbol=SYMBOL, is_exit=True, at_ns=NOW_NS),
        ]
    )
    assert row(state, "rate_symbol")["active"]
    assert row(state, "rate_symbol")["remaining_s"] == 18
    assert not row(state, "rate_global")["active"]
    assert row(state, "rate_global")["observed"] == "1 recorded"


def test_a_position_is_valued_at_the_newest_mark_if_there_is_one() -> None:
    position = Position(symbol=SYMBOL, quantity=Decimal("0.5"), cost=Decimal(25_000))
    state = State(positions={SYMBOL: position})
    (unvalued,) = position_rows(state, {}, NOW_NS)
    assert unvalued["mark_price"] is unvalued["unrealized_pnl"] is None
    mark = MarkSeen(price=Decimal(51_000), at_ns=NOW_NS - S)
    (valued,) = position_rows(state, {SYMBOL: mark}, NOW_NS)
    assert Decimal(valued["unrealized_pnl"]) == 500
    assert valued["mark_age_s"] == 1
    assert valued["stops"] == []
