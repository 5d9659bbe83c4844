"""Which guards an exit is exempt from, one by one, and that no other guard lets it through.

Every case makes one guard (and as little else as can be) stand in the way, and asks with an entry
and with an exit. A guard that is not in the table at all fails the last test.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.messages.guard_events import (
    CooldownScope,
    CooldownStarted,
    LatchKind,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.journal import (
    InstrumentsLoaded,
    OrderBecameUnknown,
    TradingStateChanged,
)
from libs.common.messages.vouching import HealthSeen
from libs.common.model.intent import Intent
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S, an_approval, an_instrument, an_order
from services.execution.question import BudgetSeen, MarkSeen
from services.execution.state import State
from sim.vouching import vouched
from tests.unit.execution.gate_cases import (
    a_ready_state,
    an_entry,
    an_exit,
    answered,
    decide,
    failed,
    fold,
    outcome_of,
    reason_of,
    recorded,
    refreshed,
    verdict_of,
)

LATER_NS = NOW_NS + 40 * S
USED = BudgetSeen(refusal="2161 of 2400", limit="2160 at most", observed="2161")


class Case(NamedTuple):
    """What stands in the way, and of whom.

    Attributes:
        arrange: makes it so in the state.
        exit_reason: why an exit is refused; ``None``: the guard lets it through.
        facts: what the shell sees besides.
        intent: changes to both intents.
    """

    check: str
    arrange: Callable[[State], object]
    reason: Reason
    exit_reason: Reason | None
    facts: dict[str, Any] = {}
    intent: dict[str, Any] = {}
    order: dict[str, Any] = {}


def becomes(wanted: TradingState) -> Callable[[State], object]:
    return lambda state: fold(state, TradingStateChanged(state=wanted, actor="t", reason="drill"))


def cooldown(scope: CooldownScope) -> Callable[[State], object]:
    symbol = "" if scope is CooldownScope.GLOBAL else "BTCUSDT"
    event = CooldownStarted(scope=scope, symbol=symbol, until_ns=NOW_NS + 2 * S, cause="test")
    return lambda state: fold(state, event)


def latch(kind: LatchKind) -> Callable[[State], object]:
    return lambda state: fold(state, VenueLatched(kind=kind, until_ns=NOW_NS + 2 * S, why="test"))


def instrument(**changes: Any) -> Callable[[State], object]:
    loaded = InstrumentsLoaded(instruments=(an_instrument(**changes),), loaded_at_ns=NOW_NS)
    return lambda state: fold(state, loaded)


def an_answered_entry(state: State) -> None:
    answered(state, recorded(state, an_entry("first")), NOW_NS + S)


def an_unknown_entry(state: State) -> None:
    order = recorded(state, an_entry("first", symbol="BTCUSDT"))
    fold(state, OrderBecameUnknown(client_order_id=order.client_order_id, why="silence"))


def five_entries(state: State) -> None:
    for symbol in ("ETHUSDT", "ADAUSDT", "XRPUSDT", "SOLUSDT", "BNBUSDT"):
        answered(state, recorded(state, an_entry(symbol, symbol=symbol)), NOW_NS + S)


def nothing(_: State) -> None:
    """It is not the state that stands in the way."""


def said(**changes: Any) -> HealthSeen:
    """What the feed says just now, and not only good."""
    health = msgspec.structs.replace(vouched("BTCUSDT").health, **changes)
    return HealthSeen(health=health, silence_ms=0)


LIMIT = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
FAR_AWAY = MarkSeen(price=Decimal(70_000), at_ns=NOW_NS + S)
OLD = MarkSeen(price=Decimal(60_000), at_ns=NOW_NS - 60 * S)
LONG_AGO = HealthSeen(health=vouched("BTCUSDT").health, silence_ms=5_001)
STALE = said(is_stale=True)
HALTED = said(status="TRADING_HALT", refusal="the venue halted it", is_stale=True)
SELL = {"side": Side.SELL}

CASES = (
    Case("trading_state", becomes(TradingState.HALTED), Reason.TRADING_HALTED,
         Reason.TRADING_HALTED),
    Case("trading_state", becomes(TradingState.REDUCING), Reason.REDUCE_ONLY, None),
    Case("trading_state", nothing, Reason.TRADING_HALTED, None, {"unarmed": ("clock: off",)}),
    Case("safe_mode", lambda state: fold(state, SafeModeEntered(
        until_ns=NOW_NS + 2 * S, refusals=5, window_ms=300_000)), Reason.SAFE_MODE, None),
    Case("latches", latch(LatchKind.BANNED), Reason.VENUE_BANNED, Reason.VENUE_BANNED),
    Case("latches", latch(LatchKind.REQUEST_LIMIT), Reason.VENUE_BANNED, Reason.VENUE_BANNED),
    Case("latches", latch(LatchKind.ORDER_LIMIT), Reason.VENUE_BANNED, None),
    Case("latches", latch(LatchKind.OVERLOADED), Reason.VENUE_OVERLOADED, None),
    Case("expiry", nothing, Reason.INTENT_EXPIRED, Reason.INTENT_EXPIRED,
         intent={"expires_at_ns": NOW_NS + S}),
    Case("drift", nothing, Reason.PRICE_DRIFT, None, {"mark": FAR_AWAY}),
    Case("cooldown_global", cooldown(CooldownScope.GLOBAL), Reason.COOLDOWN_GLOBAL, None),
    Case("cooldown_symbol", cooldown(CooldownScope.SYMBOL), Reason.COOLDOWN_SYMBOL, None),
    Case("quarantine", an_unknown_entry, Reason.SYMBOL_QUARANTINED, None, intent=SELL),
    Case("rate_symbol", an_answered_entry, Reason.RATE_SYMBOL, None),
    Case("rate_global", five_entries, Reason.RATE_GLOBAL, None),
    Case("venue_budget", nothing, Reason.VENUE_BUDGET, None, {"budget_entry": USED}),
    Case("venue_budget", nothing, Reason.VENUE_BUDGET, Reason.VENUE_BUDGET,
         {"budget_entry": USED, "budget_exit": USED}),
    Case("filters_age", lambda state: fold(state, InstrumentsLoaded(
        instruments=(an_instrument(),), loaded_at_ns=NOW_NS - 7_200 * S)),
        Reason.FILTERS_STALE, None),
    Case("filters_age", lambda state: fold(state, InstrumentsLoaded(
        instruments=(an_instrument(symbol="ETHUSDT"),), loaded_at_ns=NOW_NS)),
        Reason.FILTERS_STALE, Reason.FILTERS_STALE),
    Case("mark_age", nothing, Reason.INPUT_STALE, None, {"mark": OLD}),
    Case("mark_age", nothing, Reason.INPUT_STALE, Reason.INPUT_STALE, {"mark": OLD},
         {**LIMIT, "price": Decimal(60_000)}),
    Case("market_health", nothing, Reason.INPUT_STALE, None, {"health": None}),
    Case("market_health", nothing, Reason.INPUT_STALE, None, {"health": LONG_AGO}),
    Case("market_health", nothing, Reason.INPUT_STALE, None, {"health": LONG_AGO},
         {**LIMIT, "price": Decimal(60_000)}),
    Case("market_health", nothing, Reason.INPUT_STALE, None, {"health": STALE}),
    Case("market_health", nothing, Reason.FILTER_STATUS, None, {"health": HALTED}),
    Case("account_age", lambda state: refreshed(state, NOW_NS - 20 * S), Reason.ACCOUNT_STALE,
         None),
    Case("margin", lambda state: refreshed(state, NOW_NS, "1"), Reason.MARGIN_INSUFFICIENT, None),
    Case("filter_status", instrument(status="SETTLING"), Reason.FILTER_STATUS,
         Reason.FILTER_STATUS),
    Case("filter_status", instrument(status="UNREADABLE"), Reason.FILTER_STATUS, None),
    Case("filter_price", nothing, Reason.FILTER_PRICE, Reason.FILTER_PRICE,
         intent={**LIMIT, "price": Decimal("556.70")}),
    Case("filter_quantity", nothing, Reason.FILTER_QUANTITY, Reason.FILTER_QUANTITY,
         order={"quantity": Decimal("0.0009")}),
    Case("filter_orders_max", instrument(orders_max=0), Reason.FILTER_ORDERS_MAX,
         Reason.FILTER_ORDERS_MAX),
    Case("filter_notional", instrument(notional_min=Decimal(5_000)), Reason.FILTER_NOTIONAL, None),
    Case("filter_percent_price", nothing, Reason.FILTER_PERCENT_PRICE,
         Reason.FILTER_PERCENT_PRICE,
         intent={**LIMIT, **SELL, "price": Decimal("56999.90")}),
)  # fmt: skip


def named(case: Case) -> str:
    return f"{case.check}-{case.reason}-{'refused' if case.exit_reason else 'exempt'}"


def decided(case: Case, intent: Intent) -> Any:
    state = a_ready_state("1000000")
    case.arrange(state)
    return decide(state, an_approval(intent, an_order(intent, **case.order)), **case.facts)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_an_entry_is_refused_by_the_guard_and_told_the_limit_and_what_was_found(
    case: Case,
) -> None:
    decision = decided(case, an_entry(**case.intent))
    verdict = verdict_of(decision, case.check)
    assert (verdict.passed, verdict.reason) == (False, case.reason)
    assert verdict.limit
    assert verdict.observed


@pytest.mark.parametrize("case", [case for case in CASES if case.exit_reason is None], ids=named)
def test_an_exit_is_exempt_because_a_refusal_would_trap_the_position(case: Case) -> None:
    decision = decided(case, an_exit(**{**case.intent, **SELL}))
    assert reason_of(decision) is None
    assert verdict_of(decision, case.check).passed


@pytest.mark.parametrize("case", [case for case in CASES if case.exit_reason], ids=named)
def test_an_exit_is_not_exempt_from_what_the_venue_would_refuse_or_a_person_said(
    case: Case,
) -> None:
    decision = decided(case, an_exit(**{**case.intent, **SELL}))
    assert case.check in failed(decision)
    assert verdict_of(decision, case.check).reason is case.exit_reason


@pytest.mark.parametrize("purpose", ["entry", "exit"])
def test_a_lock_holds_back_entries_and_exits_of_its_side(purpose: str) -> None:
    state = a_ready_state()
    recorded(state, an_exit("first", side=Side.BUY))
    make = an_entry if purpose == "entry" else an_exit
    assert reason_of(decide(state, make("same side", side=Side.BUY))) is Reason.LOCKED
    other_side = decide(state, an_exit("other side", side=Side.SELL))
    assert reason_of(other_side) is None


def test_a_failed_exit_holds_back_exits_of_its_symbol_and_no_entry() -> None:
    state = a_ready_state()
    cooldown(CooldownScope.EXITS)(state)
    assert reason_of(decide(state, an_exit())) is Reason.COOLDOWN_SYMBOL
    assert reason_of(decide(state, an_exit(symbol="ETHUSDT"))) is None
    assert reason_of(decide(state, an_entry())) is None


def test_an_entry_is_refused_where_the_venue_would_not_take_its_stop() -> None:
    below = decide(a_ready_state(), an_entry(stop_price=Decimal("556.70")))
    assert verdict_of(below, "filter_protection").reason is Reason.FILTER_PRICE
    state = a_ready_state()
    instrument(market_quantity_max=Decimal("0.010"))(state)
    big = an_entry(**LIMIT, price=Decimal(60_000), stop_price=Decimal(59_000))
    assert verdict_of(decide(state, big), "filter_protection").reason is Reason.FILTER_QUANTITY


def test_every_guard_has_its_case_here() -> None:
    intent = an_entry(**LIMIT, price=Decimal(60_000), stop_price=Decimal(59_000))
    checks = {one.check for one in outcome_of(decide(a_ready_state(), intent)).verdicts}
    assert checks == {case.check for case in CASES} | {"consistency", "lock", "filter_protection"}
