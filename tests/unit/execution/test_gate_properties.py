"""Whatever happens in whatever order: no accident, no second order, and the journal tells all.

A life is a list of small steps. Each asks the gate's decisions what to append, as the shell does,
and folds that; so every state met here is one that a real journal could lead to.
"""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.guard_events import (
    CooldownStarted,
    Guard,
    GuardCleared,
    LatchKind,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.journal import (
    BalanceObserved,
    FillReceived,
    InstrumentsLoaded,
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderResigned,
    OrderUpdated,
    TradingStateChanged,
)
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, OrderType, Side, TimeInForce
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import NOW_NS, S, a_record, an_approval, an_instrument
from services.execution.answers import (
    Answer,
    decide_answer,
    decide_balance,
    decide_fills,
    decide_latch,
    decide_resign,
    decide_update,
)
from services.execution.config import ExecutionConfig
from services.execution.core import Decision, Facts, decide_absence, decide_approval, may_send
from services.execution.fold import apply, forget
from services.execution.question import MarkSeen
from services.execution.state import State
from services.execution.trading import decide_paper_arming, decide_trading_state
from sim.vouching import vouched
from tests.unit.execution.gate_cases import a_balance, an_entry, facts

LIMITS = ExecutionConfig(rate_symbol_orders_max=2, rate_global_orders_max=3, safe_mode_refusals=2)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "NONEUSDT")
#: Told by the venue or decided already: hearing it again changes nothing.
FACTS = (
    OrderAnswered
    | OrderUpdated
    | OrderRejected
    | OrderNotPlaced
    | OrderBecameUnknown
    | OrderResigned
    | FillReceived
    | BalanceObserved
    | InstrumentsLoaded
    | LeverageAsserted
    | TradingStateChanged
    | CooldownStarted
    | SafeModeEntered
    | VenueLatched
    | GuardCleared
)


class Life:
    """One account's journal as it grows, and the state it is folded into."""

    def __init__(self) -> None:
        self.state, self.now_ns, self.records = State(), NOW_NS, list[JournalRecord]()
        self.names, self.trades = 0, 0
        self.append(
            TradingStateChanged(state=TradingState.ACTIVE, actor="test", reason="ready"),
            InstrumentsLoaded(
                instruments=tuple(an_instrument(symbol=symbol) for symbol in SYMBOLS[:2]),
                loaded_at_ns=NOW_NS,
            ),
            LeverageAsserted(symbol="BTCUSDT", leverage=10, margin_type="CROSSED"),
            a_balance("400"),
        )

    def append(self, *events: JournalEvent) -> None:
        if events:
            raw = encode(a_record(*events, now_ns=self.now_ns))
            self.records.append(decode_struct(raw, JournalRecord))
            apply(self.state, self.records[-1])

    def step(self, what: int, which: int, how: int) -> None:
        """Do one of the things that can happen; the numbers say which."""
        doings = (
            self.approve, self.approve, self.approve, self.approve_again, self.answer, self.answer,
            self.update, self.fill, self.absent, self.balance, self.latch, self.command, self.clear,
            self.wait, self.wait, self.resign,
        )  # fmt: skip
        self.append(*doings[what % len(doings)](which, how).events)

    def facts(self, which: int) -> Facts:
        price = ("60000", "60300", "61000", "NaN", "0")[which % 7 if which % 7 < 5 else 0]
        mark = MarkSeen(price=Decimal(price), at_ns=self.now_ns - (which % 3) * S)
        return facts(
            self.now_ns,
            mark=None if which % 11 == 10 else mark,
            health=None if which % 19 == 18 else vouched("BTCUSDT"),
            unarmed=("clock: off",) if which % 13 == 12 else (),
            is_closing=which % 17 == 16,
        )

    def approve(self, which: int, how: int) -> Decision:
        self.names += 1
        return self.decide(self.names, which, how)

    def approve_again(self, which: int, how: int) -> Decision:
        return self.decide(1 + which % max(1, self.names), which, how)

    def decide(self, name: int, which: int, how: int) -> Decision:
        more: dict[str, Any] = {}
        if how % 3 == 0:
            more = {"order_type": OrderType.LIMIT, "price": Decimal(59_990),
                    "time_in_force": list(TimeInForce)[how % 4]}  # fmt: skip
        intent = an_entry(
            f"{name}",
            self.now_ns - (how % 4) * 2 * S,
            symbol=SYMBOLS[which % 3 if which % 5 else 0],
            side=Side.BUY if how % 2 else Side.SELL,
            purpose=Purpose.EXIT if which % 4 == 3 else Purpose.ENTER,
            **more,
        )
        return decide_approval(LIMITS, self.state, an_approval(intent), self.facts(which * how))

    def pick(self, which: int) -> str:
        ids = [*self.state.orders, "pc-nobody-1"]
        return ids[which % len(ids)]

    def answer(self, which: int, how: int) -> Decision:
        coid = self.pick(which)
        words: tuple[Answer, ...] = (
            OrderAnswered(client_order_id=coid, venue_order_id=1 + which,
                          status=self.status(how), cumulative_quantity=self.quantity(how)),
            OrderRejected(client_order_id=coid, reason="FILTER", code=-1111, message=""),
            OrderRejected(client_order_id=coid, reason="MARGIN_INSUFFICIENT", code=-2019,
                          message=""),
            OrderBecameUnknown(client_order_id=coid, why="silence"),
            OrderNotPlaced(client_order_id=coid, evidence="nothing was sent"),
        )  # fmt: skip
        latch = VenueLatched(kind=LatchKind.BANNED, until_ns=self.now_ns + how * S, why="418")
        return decide_answer(
            LIMITS,
            self.state,
            words[how % 5],
            self.now_ns,
            latch=latch if how % 9 == 8 else None,
            is_failure=how % 7 != 6,
        )

    def status(self, how: int) -> OrderStatus:
        return [one for one in OrderStatus if one is not OrderStatus.RECORDED][how % 8]

    def quantity(self, how: int) -> Decimal:
        return Decimal(how % 3) / 100

    def update(self, which: int, how: int) -> Decision:
        word = OrderUpdated(
            client_order_id=self.pick(which),
            venue_order_id=1 + which,
            status=self.status(how),
            cumulative_quantity=self.quantity(how),
        )
        return decide_update(LIMITS, self.state, word, self.now_ns)

    def fill(self, which: int, how: int) -> Decision:
        self.trades = max(self.trades, which % 40)
        coid = self.pick(which)
        order = self.state.orders.get(coid)
        fill = FillReceived(
            symbol=order.symbol if order is not None else "BTCUSDT",
            trade_id=1 + which % 40,
            client_order_id=coid if how % 2 else "",
            venue_order_id=1 + which,
            side=order.side if order is not None else Side.BUY,
            quantity=Decimal("0.010"),
            price=Decimal(60_000),
            commission=Decimal("0.3"),
            commission_asset="USDT",
            venue_realized_pnl=Decimal(0),
            is_maker=False,
            ts_trade_ns=self.now_ns,
        )
        return decide_fills(self.state, [fill, fill])

    def absent(self, which: int, how: int) -> Decision:
        return decide_absence(LIMITS, self.state, self.pick(which), "proof", self.facts(how))

    def balance(self, which: int, how: int) -> Decision:
        told = a_balance(str(which * 20), self.now_ns - (how % 3) * S)
        return decide_balance(LIMITS, self.state, told, self.now_ns)

    def latch(self, which: int, how: int) -> Decision:
        kind = list(LatchKind)[which % 4]
        until_ns = self.now_ns + (how % 40) * S
        return decide_latch(self.state, VenueLatched(kind=kind, until_ns=until_ns, why="429"))

    def command(self, which: int, how: int) -> Decision:
        wanted = list(TradingState)[how % 3] if which % 3 else TradingState.ACTIVE
        if which % 7 == 6:
            return Decision(events=decide_paper_arming(self.state, ()))
        return decide_trading_state(self.state, wanted, "test", "drill", which)

    def clear(self, which: int, how: int) -> Decision:
        guard = list(Guard)[which % len(Guard)]
        key = ("", "BTCUSDT", "BTCUSDT:BUY")[how % 3] if guard is not Guard.LATCH else ""
        return Decision(events=(GuardCleared(guard=guard, key=key, actor="t", reason="drill"),))

    def wait(self, which: int, how: int) -> Decision:
        """Time passes; now and then the clock jumps back."""
        self.now_ns += (which * how % 120 - (90 if which % 19 == 18 else 0)) * S
        return Decision()

    def resign(self, which: int, how: int) -> Decision:
        stamp = OrderResigned(
            client_order_id=self.pick(which), timestamp_ms=self.now_ns // 1_000_000, offset_ms=how
        )
        return decide_resign(self.state, stamp)


numbers = st.integers(0, 100)
lives = st.lists(st.tuples(numbers, numbers, numbers), max_size=60)
SLOW = settings(max_examples=150, deadline=None)


def lived(steps: list[tuple[int, int, int]]) -> Life:
    life = Life()
    for step in steps:
        life.step(*step)
    return life


@SLOW
@given(lives)
def test_an_intent_has_one_order_at_a_time_and_none_once_it_was_refused(
    steps: list[tuple[int, int, int]],
) -> None:
    attempts: dict[str, int] = {}
    refused: set[str] = set()
    for record in lived(steps).records:
        ended = {one.client_order_id for one in record.events if isinstance(one, OrderNotPlaced)}
        for event in record.events:
            if isinstance(event, IntentRefusedByGate):
                assert event.intent.intent_id not in attempts.keys() | refused
                refused.add(event.intent.intent_id)
            elif isinstance(event, OrderRecorded):
                intent_id = event.intent.intent_id
                assert intent_id not in refused
                assert event.attempt == attempts.get(intent_id, 0) + 1
                assert event.attempt <= LIMITS.attempts_max
                if event.attempt > 1:
                    earlier = event.client_order_id.removesuffix("2") + "1"
                    assert ended == {earlier}
                attempts[intent_id] = event.attempt


@SLOW
@given(lives)
def test_what_is_recorded_passed_every_guard_and_lives(steps: list[tuple[int, int, int]]) -> None:
    life = Life()
    for step in steps:
        trading, count = life.state.trading_state, len(life.records)
        life.step(*step)
        for record in life.records[count:]:
            for event in record.events:
                if isinstance(event, OrderRecorded):
                    assert all(verdict.passed for verdict in event.verdicts)
                    assert event.expires_at_ns > record.ts_event_ns
                    assert trading is TradingState.ACTIVE or (
                        trading is TradingState.REDUCING and event.order.reduce_only
                    )
                elif isinstance(event, IntentRefusedByGate):
                    assert event.reason in {one.reason for one in event.verdicts}
                    assert not any(isinstance(one, OrderRecorded) for one in record.events)


@SLOW
@given(lives)
def test_a_restart_and_a_snapshot_at_any_moment_lead_to_the_same_state(
    steps: list[tuple[int, int, int]],
) -> None:
    life = lived(steps)
    from_bytes, from_snapshot = State(), State()
    for n, record in enumerate(life.records):
        apply(from_bytes, decode_struct(encode(record), JournalRecord))
        apply(from_snapshot, record)
        if n % 5 == 0:
            from_snapshot = decode_struct(encode(from_snapshot), State)
    assert from_bytes == life.state
    assert from_snapshot == life.state


@SLOW
@given(lives)
def test_a_fact_heard_twice_is_one_fact(steps: list[tuple[int, int, int]]) -> None:
    state = State()
    for record in lived(steps).records:
        apply(state, record)
        before = encode(state)
        for event in record.events[-1:]:
            if isinstance(event, FACTS):
                apply(state, a_record(event, now_ns=record.ts_event_ns))
        assert encode(state) == before


@SLOW
@given(lives)
def test_an_old_word_of_an_order_and_an_old_fill_change_nothing_that_is_traded_on(
    steps: list[tuple[int, int, int]],
) -> None:
    life = lived(steps)

    def traded_on() -> object:
        orders = life.state.orders.values()
        told = [(one.status, one.cumulative_quantity, one.filled_quantity) for one in orders]
        return told, encode(life.state.positions), len(life.state.margin_refusals)

    before = traded_on()
    for record in life.records:
        for event in record.events:
            if isinstance(event, FillReceived | OrderUpdated | OrderBecameUnknown | OrderRejected):
                apply(life.state, a_record(event, now_ns=life.now_ns))
    assert traded_on() == before


@SLOW
@given(lives, numbers)
def test_the_last_look_never_lets_pass_what_expired_or_was_halted(
    steps: list[tuple[int, int, int]], which: int
) -> None:
    life = lived(steps)
    now = life.facts(which)
    for order in life.state.orders.values():
        if may_send(LIMITS, life.state, order.client_order_id, now) == "":
            assert order.status is OrderStatus.RECORDED
            assert order.expires_at_ns > now.now_ns
            assert life.state.trading_state is not TradingState.HALTED
            assert not now.is_closing


@SLOW
@given(lives, numbers)
def test_forgetting_touches_nothing_that_is_open_or_not_settled(
    steps: list[tuple[int, int, int]], hours: int
) -> None:
    life = lived(steps)
    open_ids = {order.client_order_id for order in life.state.open_orders()}
    guards = (life.state.safe_mode_until_ns, dict(life.state.cooldown_symbols))
    forget(life.state, life.now_ns + hours * 3_600 * S, LIMITS.idempotency_ms)
    assert open_ids <= life.state.orders.keys()
    assert open_ids == {order.client_order_id for order in life.state.open_orders()}
    assert guards == (life.state.safe_mode_until_ns, life.state.cooldown_symbols)
