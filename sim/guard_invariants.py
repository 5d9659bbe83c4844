"""What the guards promise, judged from the order of the journal's records and the venue's log.

Nothing is asked of the guards themselves: a failure, a refusal or a latch is a journaled fact, and
what may not follow it, and for how long, is computed here once more, by other code.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sim.settings import EPOCH_NS, EXECUTION
from sim.venue import NS_PER_MS, OrderSent

ZERO = Decimal(0)
FENCE_NS = (EXECUTION.fence_age_ms_max + 20) * NS_PER_MS
"""A process may still send on an append so old; it cannot know of what was appended since."""
ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "NOT_PLACED"})
DOUBTFUL = frozenset({"RECORDED", "UNKNOWN"})
STOPS_EVERYTHING = frozenset({"BANNED", "REQUEST_LIMIT"})
OWN_STRATEGIES = frozenset({"operator", "protection"})
"""Orders that close what a person, or a missing stop, wants closed."""
DRIFT_MEMORY_NS = 8_000 * NS_PER_MS
Journaled = tuple[int, int, dict[str, Any]]


class GuardCheck:
    """Follows the journal and finds records and sends that should not be there."""

    def __init__(self, marks: dict[str, list[tuple[int, Decimal]]]) -> None:
        self.faults: list[str] = []
        self._marks = marks
        self._orders: dict[str, dict[str, Any]] = {}
        self._status: dict[str, str] = {}
        self._entries: list[tuple[int, str, str]] = []
        self._trading = "ACTIVE"
        self._symbol_until: dict[str, tuple[int, str]] = {}
        self._global_until = (0, "")
        self._safe_until_ns = 0
        self._margin_refusals: list[int] = []
        self._balance_at_ns = 0
        self._filters_at_ns = 0
        self._latched: dict[str, int] = {}
        self._holds: list[tuple[int, int, str, bool, str]] = []

    def read(self, events: list[Journaled]) -> None:
        """Take in every event, in order."""
        for stored_ns, ts_ns, event in events:
            match event["event"]:
                case "OrderRecorded":
                    self._recorded(event, ts_ns, stored_ns)
                case "IntentRefusedByGate":
                    self._refused(event, ts_ns)
                case "TradingStateChanged":
                    self._trading = event["state"]
                case "BalanceObserved" if event["available_balance"] is not None:
                    self._balance_at_ns = max(self._balance_at_ns, event["observed_at_ns"])
                case "InstrumentsLoaded":
                    self._filters_at_ns = event["loaded_at_ns"]
                case "VenueLatched":
                    until_ns = max(event["until_ns"], self._latched.get(event["kind"], 0))
                    self._latched[event["kind"]] = until_ns
                    is_total = event["kind"] in STOPS_EVERYTHING
                    self._hold(stored_ns, event["until_ns"], "", event["kind"], is_total=is_total)
                case "SafeModeEntered":
                    self._hold(stored_ns, event["until_ns"], "", "safe mode")
                case "CooldownStarted" if event["scope"] != "EXITS":
                    self._hold(stored_ns, event["until_ns"], event["symbol"], "a cooldown")
                case _:
                    self._changed(event, ts_ns)

    # -- records ---------------------------------------------------------------------------------

    def _recorded(self, event: dict[str, Any], ts_ns: int, stored_ns: int) -> None:
        name, order, intent_id = event["client_order_id"], event["order"], _intent_id(event)
        for other, status in self._status.items():
            held = self._orders[other]
            if status not in DOUBTFUL or held["order"]["symbol"] != order["symbol"]:
                continue
            if _intent_id(held) == intent_id:
                continue
            if not order["reduce_only"]:
                self._blame(f"QUARANTINE order {name} was recorded while {other} was {status}")
            elif held["order"]["side"] == order["side"] and ts_ns < held["lock_until_ns"]:
                is_kill = event["intent"]["strategy_id"] in OWN_STRATEGIES
                if not is_kill:
                    self._blame(f"LOCK order {name} was recorded while {other} held the lock")
        if event["intent"]["strategy_id"] not in OWN_STRATEGIES:
            for kind, until_ns in self._latched.items():
                is_held = kind in STOPS_EVERYTHING or not order["reduce_only"]
                if is_held and ts_ns < until_ns:
                    self._blame(f"LATCH order {name} was recorded during {kind}")
        self._orders[name], self._status[name] = event, "RECORDED"
        if event["attempt"] > 1:  # what was not placed is tried again at once: that is no failure
            self._symbol_until.pop(order["symbol"], None)
        if not order["reduce_only"]:
            self._entry(event, ts_ns, stored_ns)

    def _entry(self, event: dict[str, Any], ts_ns: int, stored_ns: int) -> None:
        name, symbol, intent_id = (
            event["client_order_id"], event["order"]["symbol"], _intent_id(event)
        )  # fmt: skip
        if self._trading != "ACTIVE":
            self._blame(f"HALT entry {name} was recorded while {self._trading}")
        self._check_rates(name, symbol, intent_id, ts_ns)
        for until_ns, why in (
            self._symbol_until.get(symbol, (0, "")),
            self._global_until,
            (self._safe_until_ns, "safe mode"),
        ):
            if ts_ns < until_ns and event["attempt"] == 1:
                left_ms = (until_ns - ts_ns) // NS_PER_MS
                self._blame(f"HOLD entry {name} was recorded {left_ms} ms before the end of {why}")
        age_ms = (ts_ns - self._balance_at_ns) // NS_PER_MS
        if age_ms > EXECUTION.account_age_ms_max + EXECUTION.fence_age_ms_max:
            self._blame(f"ACCOUNT entry {name} was decided on a balance {age_ms} ms old")
        age_ms = (ts_ns - self._filters_at_ns) // NS_PER_MS
        if age_ms > EXECUTION.filters_age_ms_max + EXECUTION.fence_age_ms_max:
            self._blame(f"FILTERS entry {name} was decided on filters {age_ms} ms old")
        self._check_drift(event, stored_ns + EPOCH_NS)

    def _check_rates(self, name: str, symbol: str, intent_id: str, ts_ns: int) -> None:
        others = [one for one in self._entries if one[2] != intent_id]
        own = EXECUTION.for_symbol(symbol)
        for window_ms, most, found in (
            (own.rate_symbol_window_ms, own.rate_symbol_orders_max,
             [one for one in others if one[1] == symbol]),
            (own.rate_global_window_ms, own.rate_global_orders_max, others),
        ):  # fmt: skip
            count = sum(at_ns > ts_ns - window_ms * NS_PER_MS for at_ns, _, _ in found)
            if count >= most:
                self._blame(f"RATE entry {name} is number {count + 1} in {window_ms} ms")
        self._entries.append((ts_ns, symbol, intent_id))

    def _check_drift(self, event: dict[str, Any], now_ns: int) -> None:
        reference = Decimal(event["intent"]["reference_price"])
        allowed = reference * EXECUTION.price_drift_max
        recent = [
            price
            for at_ns, price in self._marks[event["order"]["symbol"]]
            if now_ns - DRIFT_MEMORY_NS < at_ns <= now_ns
        ]
        if recent and all(abs(price - reference) > allowed for price in recent):
            name = event["client_order_id"]
            self._blame(f"DRIFT entry {name} was decided far from its reference {reference}")

    # -- what starts a hold ----------------------------------------------------------------------

    def _changed(self, event: dict[str, Any], ts_ns: int) -> None:
        name = event.get("client_order_id", "")
        if name not in self._status:
            return
        before, kind = self._status[name], event["event"]
        after = {
            "OrderRejected": "REJECTED", "OrderNotPlaced": "NOT_PLACED",
            "OrderBecameUnknown": "UNKNOWN",
        }.get(kind, event.get("status", before))  # fmt: skip
        if before in ENDED or (after in DOUBTFUL and before not in DOUBTFUL):
            return
        self._status[name] = after
        order = self._orders[name]["order"]
        is_failure = kind == "OrderRejected" or (
            kind == "OrderNotPlaced" and not event["evidence"].startswith("not sent")
        )
        if is_failure and not order["reduce_only"]:
            until_ns = ts_ns + EXECUTION.for_symbol(order["symbol"]).cooldown_failed_ms * NS_PER_MS
            self._symbol_until[order["symbol"]] = (until_ns, f"the cooldown after {name}")
            if kind == "OrderRejected" and event["reason"] == "MARGIN_INSUFFICIENT":
                self._margin_refused(ts_ns)

    def _refused(self, event: dict[str, Any], ts_ns: int) -> None:
        reasons = {verdict.get("reason") for verdict in event["verdicts"]}
        if "MARGIN_INSUFFICIENT" in reasons and "ACCOUNT_STALE" not in reasons:
            self._margin_refused(ts_ns)
        if "RATE_GLOBAL" in reasons:
            self._start_global(ts_ns, EXECUTION.cooldown_global_rate_ms, "the global rate's breach")

    def _margin_refused(self, ts_ns: int) -> None:
        if ts_ns < self._safe_until_ns:
            return
        self._start_global(
            ts_ns, EXECUTION.cooldown_margin_ms, "the cooldown after a margin refusal"
        )
        since_ns = ts_ns - EXECUTION.safe_mode_window_ms * NS_PER_MS
        self._margin_refusals = [one for one in self._margin_refusals if one > since_ns] + [ts_ns]
        if len(self._margin_refusals) >= EXECUTION.safe_mode_refusals:
            self._safe_until_ns = ts_ns + EXECUTION.safe_mode_ms * NS_PER_MS
            self._margin_refusals = []

    def _start_global(self, ts_ns: int, wait_ms: int, why: str) -> None:
        if ts_ns >= self._global_until[0]:
            self._global_until = (ts_ns + wait_ms * NS_PER_MS, why)

    def _hold(
        self, stored_ns: int, until_ns: int, symbol: str, why: str, *, is_total: bool = False
    ) -> None:
        self._holds.append((stored_ns + EPOCH_NS, until_ns, symbol, is_total, why))

    # -- sends -----------------------------------------------------------------------------------

    def sends(self, log: list[OrderSent]) -> Iterator[str]:
        """What left although a hold was durable for longer than anybody may not know of it."""
        for sent in log:
            if sent.method != "POST" or sent.sender_now_ns != sent.sent_ns:
                continue
            for begin_ns, until_ns, symbol, is_total, why in self._holds:
                if sent.reduce_only and not is_total:
                    continue
                if symbol in ("", sent.symbol) and begin_ns + FENCE_NS < sent.sent_ns < until_ns:
                    yield f"HOLD order {sent.client_order_id} was sent during {why} {symbol}"

    def _blame(self, fault: str) -> None:
        self.faults.append(fault)


def _intent_id(event: dict[str, Any]) -> str:
    return str(event["intent"]["intent_id"])
