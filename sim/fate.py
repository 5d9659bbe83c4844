"""Carries a plan out: arms strikes, deals blows, and counts what hit what."""

from collections import Counter
from collections.abc import Callable

from sim.loop import VirtualLoop
from sim.plan import NS_PER_MS, STRIKES, Fault, Plan

FLIGHT_STEP_NS = NS_PER_MS
"""What a step after an order's record is worth where no process's steps are counted."""
LASTING_EFFECTS = frozenset({"query_lagged"})
"""Kinds that are counted when an earlier strike has its effect; nobody arms them."""


class Fate:
    """The faults of one schedule. `blow(fault)` deals one; it returns whether anything was hit."""

    def __init__(
        self,
        loop: VirtualLoop,
        plan: Plan,
        blow: Callable[[Fault], bool],
        is_in_flight: Callable[[], bool],
        note: Callable[[str], None],
    ) -> None:
        self.hit: Counter[str] = Counter()
        self.hit_in_flight: Counter[str] = Counter()
        self._loop = loop
        self._blow = blow
        self._is_in_flight = is_in_flight
        self._note = note
        self._armed: Counter[str] = Counter()
        self._waiting: list[Fault] = []
        for fault in plan.faults:
            loop.after(fault.at_ns, self._due, fault)

    def _due(self, fault: Fault) -> None:
        if fault.kind in STRIKES:
            self._armed[fault.kind] += 1
        elif fault.in_flight:
            self._waiting.append(fault)
        else:
            self.deal(fault)

    def strikes(self, kind: str) -> bool:
        """Whether an armed fault of this kind hits now."""
        if kind in LASTING_EFFECTS:
            self._count(kind)
            return True
        if not self._armed.get(kind):
            return False
        self._armed[kind] -= 1
        self._note(f"FAULT {kind}")
        self._count(kind)
        return True

    def order_recorded(self) -> tuple[Fault, ...]:
        """An order was just recorded: the blows that were waiting for one."""
        found = tuple(self._waiting[:1])
        del self._waiting[:1]
        return found

    def deal(self, fault: Fault) -> None:
        """Deal a blow now."""
        self._note(f"FAULT {fault.kind} for {fault.span_ns / 1e9:.2f} s")
        if self._blow(fault):
            self._count(fault.kind)

    def count(self, kind: str) -> None:
        """Count something that happened as a consequence."""
        self._count(kind)

    def _count(self, kind: str) -> None:
        self.hit[kind] += 1
        if self._is_in_flight():
            self.hit_in_flight[kind] += 1

    def stop(self) -> None:
        """Nothing goes wrong any more."""
        self._armed.clear()
        self._waiting.clear()
