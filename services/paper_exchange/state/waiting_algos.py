"""The conditional orders that wait on one symbol, by the price that each waits for.

Every public trade and every mark price asks which of them it reaches; the answer costs nothing
where it reaches none, however many wait. Only trailing stops are shown every price: they follow it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from decimal import Decimal

from services.paper_exchange.state.algo_orders import (
    CONTRACT_PRICE,
    MARK_PRICE,
    TRAILING,
    AlgoOrder,
)

_Key = tuple[Decimal, int]
_LAST_ID = 1 << 62


class _Waiting:
    """The orders that wait for one kind of price; ids grow with time."""

    __slots__ = ("by_id", "falling", "rising", "trailing")

    def __init__(self) -> None:
        self.by_id: dict[int, AlgoOrder] = {}
        self.rising: list[_Key] = []
        self.falling: list[_Key] = []
        self.trailing: dict[int, AlgoOrder] = {}

    def keys(self, algo: AlgoOrder) -> list[_Key]:
        return self.rising if algo.waits_for_rise else self.falling

    def reached(self, price: Decimal) -> list[AlgoOrder]:
        ids = [
            algo_id for _, algo_id in self.rising[: bisect_right(self.rising, (price, _LAST_ID))]
        ]
        ids += [algo_id for _, algo_id in self.falling[bisect_left(self.falling, (price, 0)) :]]
        if self.trailing:
            ids += [
                algo.algo_id for algo in list(self.trailing.values()) if algo.is_reached_by(price)
            ]
        return [self.by_id[algo_id] for algo_id in sorted(ids)]


class WaitingAlgos:
    """All conditional orders that wait on one symbol."""

    __slots__ = ("_by_price",)

    def __init__(self) -> None:
        self._by_price = {CONTRACT_PRICE: _Waiting(), MARK_PRICE: _Waiting()}

    def __len__(self) -> int:
        return sum(len(waiting.by_id) for waiting in self._by_price.values())

    def add(self, algo: AlgoOrder) -> None:
        """Let an order wait."""
        waiting = self._by_price[algo.working_type]
        waiting.by_id[algo.algo_id] = algo
        if algo.order_type == TRAILING:
            waiting.trailing[algo.algo_id] = algo
        else:
            insort(waiting.keys(algo), (algo.trigger_price, algo.algo_id))

    def remove(self, algo: AlgoOrder) -> None:
        """Let an order wait no more; one that does not wait is no matter."""
        waiting = self._by_price[algo.working_type]
        if waiting.by_id.pop(algo.algo_id, None) is None:
            return
        if waiting.trailing.pop(algo.algo_id, None) is None:
            keys = waiting.keys(algo)
            del keys[bisect_left(keys, (algo.trigger_price, algo.algo_id))]

    def reached(self, working_type: str, price: Decimal) -> list[AlgoOrder]:
        """The orders that this last or mark price triggers, eldest first."""
        waiting = self._by_price[working_type]
        return waiting.reached(price) if waiting.by_id else []
