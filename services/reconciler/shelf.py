"""The last reports, as the stream has them: those of earlier lives too."""

from collections import deque

from libs.common.messages import subjects
from libs.common.messages.account import ReconcileReport
from libs.common.messages.codec import UndecodableError, decode
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

#: Reports of other accounts share the stream; beyond so many messages the past is left alone.
MESSAGES_READ_MAX = 200


class Shelf:
    """A bounded number of reports, the newest last."""

    def __init__(self, kept_max: int) -> None:
        self._reports: deque[ReconcileReport] = deque(maxlen=kept_max)
        self._kept_max = kept_max

    async def load(self, bus: Bus, account: str) -> None:
        """Read back what earlier lives reported; a broker that does not answer leaves it empty."""
        subject = subjects.reconcile_report(account)
        found: list[ReconcileReport] = []
        try:
            last = await bus.read_last(subjects.REPORTS_STREAM, subject)
            sequence = (last.seq or 0) if last is not None else 0
            for number in range(sequence, max(0, sequence - MESSAGES_READ_MAX), -1):
                if len(found) >= self._kept_max:
                    break
                stored = await bus.read_message(subjects.REPORTS_STREAM, number)
                if stored is not None and stored.subject == subject:
                    found.append(decode(stored.data or b"", ReconcileReport))
        except (BusUnavailable, UndecodableError) as error:
            log.warning("earlier reports not read", error=str(error))
        self._reports.extendleft(found)

    def add(self, report: ReconcileReport) -> None:
        """Put a report on top; the oldest may fall off."""
        self._reports.append(report)

    def newest(self, count: int) -> list[ReconcileReport]:
        """So many reports, the newest first."""
        return list(reversed(self._reports))[: max(0, count)]
