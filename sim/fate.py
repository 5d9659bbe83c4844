"""Carries a plan out: arms strikes, deals blows, and counts what hit what."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from sim.loop import VirtualLoop
from sim.plan import BEFORE_THE_SEND, NS_PER_MS, STRIKES, Fault, Plan

FLIGHT_STEP_NS = NS_PER_MS // 4
"""What a step after an order's record is worth where no process's steps are counted."""
APPROVED, RECORDED = "approved", "recorded"
EARLY_SHARE = 0.3
LASTING_EFFECTS = frozenset({"query_lagged"})
"""Kinds that are counted when an earlier strike has its effect; nobody arms them."""


class Fate:
    """The faults of one schedule. `blow(fault, target)` deals one and tells if it hit anything."""

    def __init__(
        self,
        loop: VirtualLoop,
        plan: Plan,
        blow: Callable[[Fault, Any], bool],
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
        self._waiting: dict[str, list[Fault]] = {APPROVED: [], RECORDED: []}
        for fault in plan.faults:
            loop.after(fault.at_ns, self._due, fault)

    def _due(self, fault: Fault) -> None:
        if fault.kind in STRIKES:
            self._armed[fault.kind] += 1
        elif fault.in_flight:
            self._waiting[moment_of(fault)].append(fault)
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

    def next_waiting(self, moment: str) -> Fault | None:
        """An intent was just approved or an order recorded: a blow that was waiting for that."""
        waiting = self._waiting[moment]
        return waiting.pop(0) if waiting else None

    def deal(self, fault: Fault, target: Any = None) -> None:
        """Deal a blow now, to the process named or to the one that the fault chooses."""
        self._note(f"FAULT {fault.kind} for {fault.span_ns / 1e9:.2f} s")
        if self._blow(fault, target):
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
        for waiting in self._waiting.values():
            waiting.clear()


def moment_of(fault: Fault) -> str:
    """What a blow in flight waits for: a command must be under way before the order is."""
    if fault.kind in BEFORE_THE_SEND:
        return RECORDED
    is_early = fault.kind.startswith("command_") or fault.draw < EARLY_SHARE
    return APPROVED if is_early else RECORDED
