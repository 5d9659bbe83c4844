"""What user events say, followed as a customer would: every life is legal, money adds up."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

ENDS = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"})
ALGO_NEXT = {
    None: {"NEW"},
    "NEW": {"TRIGGERING", "CANCELED", "EXPIRED"},
    "TRIGGERING": {"TRIGGERED", "REJECTED", "EXPIRED"},
    "TRIGGERED": {"FINISHED"},
}


class ToldLife:
    """Follows the user events of one account; raises AssertionError at the first illegal one."""

    def __init__(self) -> None:
        self.statuses: dict[int, str] = {}
        self.filled: dict[int, Decimal] = {}
        self.algos: dict[int, str] = {}
        self.born: dict[int, int] = {}
        self.told_short: list[tuple[int, int]] = []
        self.balances: tuple[Decimal, Decimal] | None = None
        self.positions: dict[tuple[str, str], Decimal] = {}
        self.last_ms = 0

    def hear(self, event: Mapping[str, object]) -> None:
        """Take one event."""
        assert event["E"] >= self.last_ms
        self.last_ms = event["E"]
        handler = getattr(self, f"_{event['e'].lower()}", None)
        if handler is not None:
            handler(event)

    def _order_trade_update(self, event):
        order = event["o"]
        order_id, status, execution = order["i"], order["X"], order["x"]
        before = self.statuses.get(order_id)
        assert before not in ENDS, f"{order} after its end as {before}"
        assert (before is None) == (execution == "NEW"), f"{order} after {before}"
        self.statuses[order_id] = status
        filled = self.filled.get(order_id, Decimal(0))
        if execution in ("TRADE", "CALCULATED"):
            filled += Decimal(order["l"])
            assert Decimal(order["l"]) > 0
            assert status in ("PARTIALLY_FILLED", "FILLED")
            assert (status == "FILLED") == (Decimal(order["z"]) == Decimal(order["q"]))
            if execution == "TRADE":
                assert (order_id, order["t"]) == self.told_short.pop(0)
        else:
            assert Decimal(order["l"]) == 0
            assert (execution in ("CANCELED", "EXPIRED")) == (status in ENDS)
        self.filled[order_id] = filled
        assert Decimal(order["z"]) == filled <= Decimal(order["q"])

    def _trade_lite(self, event):
        self.told_short.append((event["i"], event["t"]))

    def _algo_update(self, event):
        algo = event["o"]
        before = self.algos.get(algo["aid"])
        assert algo["X"] in ALGO_NEXT.get(before, set()), f"{algo['X']} after {before}"
        self.algos[algo["aid"]] = algo["X"]
        if algo["X"] == "TRIGGERED":
            self.born[algo["aid"]] = int(algo["ai"])
            assert int(algo["ai"]) in self.statuses
        if algo["X"] == "FINISHED":
            assert self.statuses[self.born[algo["aid"]]] in ENDS

    def _account_update(self, event):
        for row in event["a"]["B"]:
            self.balances = Decimal(row["wb"]), Decimal(row["cw"])
        for row in event["a"]["P"]:
            self.positions[row["s"], row["ps"]] = Decimal(row["pa"])
