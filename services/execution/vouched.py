"""Whether the reconciler vouches that what we believe is what the venue says.

It is believed for a while only: a comparison that fails again and again, or that never gets beyond
what is under way, must not leave entries open for ever on the word of the last one that was clean.
"""

from collections.abc import Callable

from libs.common.messages.account import DiscrepancyKind, ReconcileReport
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns
from services.execution.arming import Arming

CHECK = "reconciled"


class Vouched:
    """Passes and fails the check by the reports, and by their absence."""

    def __init__(
        self,
        arming: Arming,
        suspect: Callable[[str], None],
        suspect_late_row: Callable[[], None],
        age_wall_ms_max: int,
    ) -> None:
        self._arming = arming
        self._suspect = suspect
        self._suspect_late_row = suspect_late_row
        self._age_wall_ms_max = age_wall_ms_max
        self._clean_at_ns = 0

    def hear(self, report: ReconcileReport) -> None:
        """Take up a report on this process's life; what differs is read by REST."""
        waited_for = [item for item in report.discrepancies if not item.is_tolerated]
        confirmed = [item for item in waited_for if item.is_confirmed]
        if not waited_for:
            if not report.in_flight:  # while much is under way, what was passed stays so for now
                self._clean_at_ns = monotonic_ns()
                self._arming.passed(CHECK)
            return
        self._suspect(f"{len(waited_for)} discrepancies in cycle {report.cycle}")
        if any(item.kind is DiscrepancyKind.MISSED_INCOME for item in waited_for):
            self._suspect_late_row()
        if confirmed:
            found = ", ".join(f"{item.kind} {item.subject}" for item in confirmed)
            self._arming.failed(CHECK, found)

    def notice_silence(self) -> None:
        """Fail the check where no clean comparison came for too long."""
        age_ms = (monotonic_ns() - self._clean_at_ns) // NS_PER_MS
        if age_ms > self._age_wall_ms_max and not self._arming.is_failing(CHECK):
            self._arming.failed(CHECK, f"no clean comparison for {age_ms // 1000} s")
