"""Whatever the venue answers and whenever: no exposed entry is without a stop beyond its grace."""

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    ProtectionFailed,
)
from libs.common.messages.journal import OrderRecorded, OrderRejected
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.money import ZERO
from libs.common.model.order import OrderStatus, Side
from services.execution.answers import decide_answer
from services.execution.state import AlgoOrderState
from tests.unit.execution.gate_cases import LIMITS, MS, restarted
from tests.unit.execution.protection_cases import Protected

STEP = Decimal("0.001")
ROUGH = {
    "accept": (AlgoStatus.WORKING, 0),
    "lose": (AlgoStatus.UNKNOWN, 0),
    "refuse": (AlgoStatus.REJECTED, -1001),
    "too late": (AlgoStatus.REJECTED, -2021),
    "throttle": (AlgoStatus.REJECTED, -1008),
}


class Protection(RuleBasedStateMachine):
    """The venue is played by the rules; what is decided is folded after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Protected()
        self.left = Decimal("0.020")
        self.placed = 0

    @initialize(parts=st.sampled_from([0, 5, 20]))
    def begin(self, parts: int) -> None:
        if parts:
            self.fill_entry(parts)

    def _tend(self) -> None:
        """What the desk does after every change; cancels only ever end what is not needed."""
        for _ in range(3):
            covered = self._covered()
            events = self.world.decide().events
            for event in events:
                if isinstance(event, AlgoOrderRecorded):
                    self.placed += 1
                if isinstance(event, AlgoCancelRequested) and self.world.order.exposure > ZERO:
                    assert self._covered() >= min(covered, self.world.order.exposure)
            if not events:
                return

    def _algos(self, *statuses: AlgoStatus) -> list[AlgoOrderState]:
        return [algo for algo in self.world.state.algo_orders.values() if algo.status in statuses]

    def _covered(self) -> Decimal:
        stops = [algo for algo in self._algos(AlgoStatus.WORKING) if algo.kind is AlgoKind.STOP]
        return max((algo.quantity for algo in stops if algo.is_working), default=ZERO)

    def _closings(self) -> list[str]:
        return [
            order.client_order_id for order in self.world.state.open_orders() if order.reduce_only
        ]

    # -- the venue -------------------------------------------------------------------------------

    @precondition(lambda self: self.left > 0)
    @rule(parts=st.integers(1, 20))
    def fill_entry(self, parts: int) -> None:
        quantity = min(parts * STEP, self.left)
        self.left -= quantity
        self.world.fill(str(quantity))
        status = OrderStatus.PARTIALLY_FILLED if self.left else OrderStatus.FILLED
        self.world.told(status, str(Decimal("0.020") - self.left))
        self._tend()

    @precondition(lambda self: self._algos(AlgoStatus.RECORDED))
    @rule(data=st.data(), answer=st.sampled_from(["accept"] * 6 + sorted(ROUGH)))
    def answer(self, data: st.DataObject, answer: str) -> None:
        algo = data.draw(st.sampled_from(self._algos(AlgoStatus.RECORDED)))
        status, code = ROUGH[answer]
        self.world.algo(algo.client_algo_id, status, code=code, why=answer)
        self._tend()

    @precondition(lambda self: self._algos(AlgoStatus.UNKNOWN))
    @rule(
        data=st.data(),
        status=st.sampled_from([AlgoStatus.WORKING, AlgoStatus.NOT_PLACED, AlgoStatus.CANCELED]),
    )
    def resolve(self, data: st.DataObject, status: AlgoStatus) -> None:
        algo = data.draw(st.sampled_from(self._algos(AlgoStatus.UNKNOWN)))
        self.world.algo(algo.client_algo_id, status)
        self._tend()

    @precondition(lambda self: self._algos(AlgoStatus.UNKNOWN))
    @rule()
    def look_in_vain(self) -> None:
        unknown = self._algos(AlgoStatus.UNKNOWN)
        self.world.unlisted = frozenset(algo.client_algo_id for algo in unknown)
        self._tend()

    @precondition(lambda self: self._algos(AlgoStatus.WORKING))
    @rule(
        data=st.data(),
        status=st.sampled_from(
            [AlgoStatus.TRIGGERED, AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED]
        ),
    )
    def end(self, data: st.DataObject, status: AlgoStatus) -> None:
        algo = data.draw(st.sampled_from(self._algos(AlgoStatus.WORKING)))
        self.world.algo(algo.client_algo_id, status)
        self._tend()

    @precondition(lambda self: self._algos(AlgoStatus.TRIGGERED))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        algo = data.draw(st.sampled_from(self._algos(AlgoStatus.TRIGGERED)))
        self._reduce(algo.quantity)
        self.world.algo(algo.client_algo_id, AlgoStatus.FINISHED)
        self._tend()

    def _reduce(self, quantity: Decimal) -> None:
        held = self.world.state.position_quantity("BTCUSDT")
        if held > ZERO:
            self.world.fill(str(min(held, quantity)), side=Side.SELL, client_order_id="other")

    @rule(parts=st.integers(1, 20))
    def somebody_reduces(self, parts: int) -> None:
        self._reduce(parts * STEP)
        self._tend()

    @precondition(lambda self: self._closings())
    @rule(works=st.booleans())
    def answer_closing(self, works: bool) -> None:
        (closing,) = self._closings()
        if works:
            quantity = self.world.state.orders[closing].quantity
            held = self.world.state.position_quantity("BTCUSDT")
            sold = max(ZERO, min(quantity, held))
            if sold:
                self.world.fill(str(sold), side=Side.SELL, client_order_id=closing)
            self.world.told(OrderStatus.FILLED, str(sold), closing)
        else:
            answer = OrderRejected(client_order_id=closing, reason="INTERNAL", code=-1, message="")
            state, now_ns = self.world.state, self.world.now_ns
            self.world.fold(*decide_answer(LIMITS, state, answer, now_ns).events)
        self._tend()

    @rule(ms=st.sampled_from([1, 100, 999, 1_000, 2_500, 5_000, 60_000]))
    def wait(self, ms: int) -> None:
        for _ in range(0, ms, 1_000):  # the desk looks more often than that
            self.world.wait(min(ms, 1_000))
            self._tend()

    @rule()
    def restart(self) -> None:
        self.world.state = restarted(self.world.state)
        self.world.unlisted = frozenset()
        self._tend()

    # -- the promises ----------------------------------------------------------------------------

    @invariant()
    def protected_or_within_grace_or_closing(self) -> None:
        order = self.world.order
        if order.exposure <= ZERO or self._covered() >= order.exposure:
            return
        waited_ms = (self.world.now_ns - order.unprotected_since_ns) // MS
        assert order.unprotected_since_ns > 0
        assert order.protection_failed or waited_ms < LIMITS.stop_grace_ms

    @invariant()
    def what_failed_is_being_closed_or_held_by_a_failed_exit(self) -> None:
        order, state = self.world.order, self.world.state
        if not order.protection_failed:
            return
        cooldown = state.cooldown_exits.get("BTCUSDT")
        held = cooldown is not None and self.world.now_ns < cooldown.until_ns
        assert self._closings() or held

    @invariant()
    def at_most_one_closing_is_under_way(self) -> None:
        assert len(self._closings()) <= 1

    @invariant()
    def nothing_is_left_alive_for_a_position_that_is_closed(self) -> None:
        if self.world.order.exposure > ZERO:
            return
        alive = self._algos(AlgoStatus.RECORDED, AlgoStatus.UNKNOWN, AlgoStatus.WORKING)
        assert all(algo.cancel_requested for algo in alive)

    @invariant()
    def deciding_again_without_news_decides_nothing(self) -> None:
        decision = self.world.decide()
        assert not [
            event
            for event in decision.events
            if isinstance(event, AlgoOrderRecorded | OrderRecorded | ProtectionFailed)
        ]


Protection.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestProtection = Protection.TestCase
