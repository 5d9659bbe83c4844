"""The journal as an outsider reads it: from its bytes alone, with a fold of its own.

Nothing of execution's code is used here, so that a mistake there cannot hide itself.
"""

import hashlib
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec

from sim.jetstream import Stored

ZERO = Decimal(0)
ATTEMPTS_MAX = 15
"""Nothing that goes well, and nothing that fails for good, is tried so often."""
ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "NOT_PLACED"})
NEVER_PLACED = frozenset({"REJECTED", "NOT_PLACED"})
_MONEY = frozenset({"FillReceived", "IncomeReceived", "BalanceObserved"})
_RANK = {"RECORDED": 0, "UNKNOWN": 1, "OPEN": 2, "PARTIALLY_FILLED": 3}


class OrderRead:
    """One order as the journal tells it. `stored_ns` is when its record was durable."""

    __slots__ = (
        "client_order_id", "cumulative", "event", "fills", "intent_id", "status", "stored_ns",
        "venue_order_id",
    )  # fmt: skip

    def __init__(self, event: dict[str, Any], stored_ns: int) -> None:
        self.client_order_id: str = event["client_order_id"]
        self.intent_id: str = event["intent"]["intent_id"]
        self.event = event
        self.stored_ns = stored_ns
        self.status = "RECORDED"
        self.cumulative = ZERO
        self.fills = ZERO
        self.venue_order_id = 0


class JournalView:
    """The journal folded up to its last record; `faults` are contradictions inside it."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRead] = {}
        self.refused: dict[str, str] = {}
        self.positions: dict[str, Decimal] = {}
        self.wallet: Decimal | None = None
        self.income: dict[tuple[str, str], Decimal] = {}
        self.trading: list[tuple[int, str, str]] = []
        self.events: list[tuple[int, int, dict[str, Any]]] = []
        self.counts: Counter[str] = Counter()
        self.algos: dict[str, tuple[str, str]] = {}
        self.opened_by: dict[str, list[OrderRead | None]] = {}
        self.faults: list[str] = []
        self._read = 0
        self._head = "0" * 64
        self._trades: set[tuple[str, int]] = set()
        self._incomes: set[tuple[str, ...]] = set()
        self._by_venue_id: dict[int, OrderRead] = {}

    def read_on(self, journal: list[Stored]) -> None:
        """Fold what was appended since."""
        for message in journal[self._read :]:
            record = msgspec.json.decode(message.data)
            self._read += 1
            if record["number"] != self._read:
                self.faults.append(f"I9 record {self._read} has number {record['number']}")
            if record["prev_hash"] != self._head:
                self.faults.append(f"I9 record {self._read} does not continue the chain")
            self._head = hashlib.sha256(message.data).hexdigest()
            for event in record["events"]:
                self.counts[event["event"]] += 1
                self.events.append((message.at_ns, record["ts_event_ns"], event))
                self._fold(event, message.at_ns)

    def _fold(self, event: dict[str, Any], stored_ns: int) -> None:
        kind = event["event"]
        if kind == "OrderRecorded":
            self._record(OrderRead(event, stored_ns))
        elif kind == "IntentRefusedByGate":
            intent_id = event["intent"]["intent_id"]
            if intent_id in self.refused:
                self.faults.append(f"I2 intent {intent_id} was refused twice")
            self.refused[intent_id] = event["reason"]
        elif kind in _MONEY:
            self._fold_money(event)
        elif kind == "TradingStateChanged":
            self.trading.append((stored_ns, event["state"], event["actor"]))
        elif kind == "AlgoOrderRecorded":
            self.algos[event["client_algo_id"]] = (event["symbol"], "RECORDED")
            if event["attempt"] == ATTEMPTS_MAX:
                self.faults.append(
                    f"STORM the {event['kind']} of intent {event['intent_id']} was tried"
                    f" {ATTEMPTS_MAX} times"
                )
        elif kind == "AlgoOrderUpdated":
            known = self.algos.get(event["client_algo_id"])
            if known is not None:
                self.algos[event["client_algo_id"]] = (known[0], event["status"])
        elif event.get("client_order_id") in self.orders:
            self._move(self.orders[event["client_order_id"]], event)

    def _fold_money(self, event: dict[str, Any]) -> None:
        if event["event"] == "FillReceived":
            self._fill(event)
        elif event["event"] == "IncomeReceived":
            self._receive(event)
        else:
            self.wallet = Decimal(event["wallet_balance"])

    def _receive(self, event: dict[str, Any]) -> None:
        """Count a row of income, once however often it is told."""
        kind, symbol = event["income_type"], event["symbol"]
        key = (kind, event["transaction_id"], symbol, event["asset"])
        if key not in self._incomes:
            self._incomes.add(key)
            self._earn(kind, symbol, Decimal(event["amount"]))

    def _earn(self, kind: str, symbol: str, amount: Decimal) -> None:
        self.income[kind, symbol] = self.income.get((kind, symbol), ZERO) + amount

    def _record(self, order: OrderRead) -> None:
        if order.client_order_id in self.orders:
            self.faults.append(f"I1 order {order.client_order_id} was recorded twice")
        for other in self.orders.values():
            if other.intent_id == order.intent_id and other.status != "NOT_PLACED":
                self.faults.append(
                    f"I1 intent {order.intent_id} got a new attempt while the last was"
                    f" {other.status}"
                )
        self.orders[order.client_order_id] = order

    def _fill(self, event: dict[str, Any]) -> None:
        key = event["symbol"], event["trade_id"]
        if key in self._trades:
            self.faults.append(f"I10 fill {key} was journaled twice")
        self._trades.add(key)
        self._earn("REALIZED_PNL", event["symbol"], Decimal(event["venue_realized_pnl"]))
        self._earn("COMMISSION", event["symbol"], -Decimal(event["commission"]))
        quantity = Decimal(event["quantity"])
        order = self.orders.get(event["client_order_id"])
        if order is None:
            order = self._by_venue_id.get(event["venue_order_id"])
        if order is not None:
            order.fills += quantity
        signed = quantity if event["side"] == "BUY" else -quantity
        symbol = event["symbol"]
        before = self.positions.get(symbol, ZERO)
        self.positions[symbol] = before + signed
        if before * (before + signed) <= 0:
            self.opened_by[symbol] = []
        if before * signed >= 0 or before * (before + signed) < 0:
            self.opened_by.setdefault(symbol, []).append(order)

    def _move(self, order: OrderRead, event: dict[str, Any]) -> None:
        status = {
            "OrderRejected": "REJECTED",
            "OrderBecameUnknown": "UNKNOWN",
            "OrderNotPlaced": "NOT_PLACED",
        }.get(event["event"], event.get("status"))
        if status is None:
            return
        if event.get("venue_order_id"):
            order.venue_order_id = event["venue_order_id"]
            self._by_venue_id[order.venue_order_id] = order
        order.cumulative = max(order.cumulative, Decimal(event.get("cumulative_quantity", 0)))
        before = order.status
        if before in NEVER_PLACED and status not in (before, "UNKNOWN"):
            self.faults.append(f"I10 order {order.client_order_id} was {before} and then {status}")
        if event["event"] == "OrderUpdated" and not _may_follow(before, status, order, event):
            self.faults.append(
                f"I10 order {order.client_order_id} went from {before} back to {status}"
            )
        if before == "FILLED" or status == before:
            return
        if before in ENDED and status != "FILLED":
            return
        if status in ENDED or _RANK[status] > _RANK.get(before, 9):
            order.status = status

    def outcome_of(self, intent_id: str) -> str | None:
        """How an intent ended; None while it has not."""
        if intent_id in self.refused:
            return "REFUSED"
        attempts = [one for one in self.orders.values() if one.intent_id == intent_id]
        if attempts and all(one.status in ENDED for one in attempts):
            return attempts[-1].status
        return None


def _may_follow(before: str, status: str, order: OrderRead, event: dict[str, Any]) -> bool:
    """Whether an update tells something new, or more of the same."""
    if Decimal(event["cumulative_quantity"]) >= order.cumulative and status == before:
        return True
    if before in ENDED:
        return status == "FILLED" and before in ("CANCELED", "EXPIRED")
    return status in ENDED or _RANK[status] >= _RANK[before]
