"""An entry with a stop and a target, and a venue of which the test says what it answers."""

from decimal import Decimal
from typing import Any

from libs.common.messages.algo_events import AlgoOrderRecorded, AlgoOrderUpdated
from libs.common.messages.journal import FillReceived, JournalEvent, OrderRecorded, OrderUpdated
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.order import OrderStatus, Side
from libs.common.testing.builders import NOW_NS, S
from services.execution.core import Decision
from services.execution.protection import decide_protection
from services.execution.state import AlgoOrderState, OrderState, State
from tests.unit.execution.gate_cases import (
    LIMITS,
    MS,
    a_ready_state,
    an_entry,
    facts,
    fold,
    recorded,
)

STOP, TARGET = Decimal("59000.05"), Decimal("61000.05")
QUANTITY = Decimal("0.020")


class Protected:
    """A gate's state with one recorded entry, at a time that only the test moves."""

    def __init__(self, **intent: Any) -> None:
        self.state: State = a_ready_state()
        wishes = {"stop_price": STOP, "target_price": TARGET, **intent}
        self.entry = recorded(self.state, an_entry(**wishes))
        self.now_ns = NOW_NS + S
        self.unlisted: frozenset[str] = frozenset()
        self._trades = 0

    @property
    def order(self) -> OrderState:
        return self.state.orders[self.entry.client_order_id]

    def fold(self, *events: JournalEvent) -> None:
        fold(self.state, *events, now_ns=self.now_ns)

    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS

    def decide(self, **changes: Any) -> Decision:
        """What is decided now; it is folded, too."""
        decision = decide_protection(
            LIMITS,
            self.state,
            self.entry.client_order_id,
            facts(self.now_ns, **changes),
            self.unlisted,
        )
        if decision.events:
            self.fold(*decision.events)
        return decision

    def decided(self, kind: type[JournalEvent], **changes: Any) -> list[Any]:
        """The events of a kind that are decided now."""
        return [event for event in self.decide(**changes).events if isinstance(event, kind)]

    def fill(
        self,
        quantity: str = "0.020",
        *,
        side: Side | None = None,
        client_order_id: str | None = None,
        venue_order_id: int = 7,
        price: str = "60000",
    ) -> FillReceived:
        """An execution, by default of the entry; its order is told of in the same breath."""
        self._trades += 1
        mine = self.entry.client_order_id
        event = FillReceived(
            symbol="BTCUSDT",
            trade_id=self._trades,
            client_order_id=mine if client_order_id is None else client_order_id,
            venue_order_id=venue_order_id,
            side=side or self.entry.order.side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            commission=Decimal(0),
            commission_asset="USDT",
            venue_realized_pnl=Decimal(0),
            is_maker=False,
            ts_trade_ns=self.now_ns,
        )
        self.fold(event)
        return event

    def told(
        self, status: OrderStatus, cumulative: str = "0", client_order_id: str | None = None
    ) -> None:
        """The venue tells how an order stands."""
        self.fold(
            OrderUpdated(
                client_order_id=client_order_id or self.entry.client_order_id,
                venue_order_id=7,
                status=status,
                cumulative_quantity=Decimal(cumulative),
            )
        )

    def filled(self) -> None:
        """The entry is filled, and its fill known."""
        self.fill()
        self.told(OrderStatus.FILLED, "0.020")

    def algo(self, client_algo_id: str, status: AlgoStatus, **changes: Any) -> None:
        """The venue tells how a stop or target stands."""
        self.fold(AlgoOrderUpdated(client_algo_id=client_algo_id, status=status, **changes))

    def newest(self, kind: AlgoKind) -> AlgoOrderState:
        algos = self.state.algo_orders_of(self.order.intent_id)
        return max((algo for algo in algos if algo.kind is kind), key=lambda algo: algo.attempt)

    def protect(self) -> tuple[str, str]:
        """The entry is filled, and its stop and target are acknowledged; returns their ids."""
        self.filled()
        stop, target = self.decided(AlgoOrderRecorded)
        self.algo(stop.client_algo_id, AlgoStatus.WORKING, algo_id=1)
        self.algo(target.client_algo_id, AlgoStatus.WORKING, algo_id=2)
        return stop.client_algo_id, target.client_algo_id

    def closings(self, **changes: Any) -> list[OrderRecorded]:
        return self.decided(OrderRecorded, **changes)


def quantity_of(position: State) -> Decimal:
    return position.position_quantity("BTCUSDT")
