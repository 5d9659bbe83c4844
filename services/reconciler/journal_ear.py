"""Reads the journal as far as it has come, for what it tells of money."""

from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusError, JournalBroken
from libs.common.runtime.journal import Journal
from libs.common.runtime.log import get_logger
from services.reconciler.ledger import Ledger
from services.reconciler.venue_look import ComparisonImpossible

log = get_logger(__name__)


class JournalEar:
    """Follows one account's journal; its chain is checked again on the way."""

    def __init__(self, bus: Bus, account: str, ledger: Ledger, records_max: int) -> None:
        self._journal = Journal(bus, account, "")
        self._records_max = records_max
        self._has_begun = False
        self.ledger = ledger

    async def catch_up(self) -> None:
        """Read on to the journal's end.

        Raises:
            ComparisonImpossible: it cannot be read, or its chain is broken.
        """
        try:
            if not self._has_begun:
                await self._journal.skip_to_last(self._records_max)
                self._has_begun = True
            async for record in self._journal.read_tail():
                self.ledger.fold(record)
        except (BusError, JournalBroken) as error:
            raise ComparisonImpossible(f"the journal cannot be read: {error}") from error
