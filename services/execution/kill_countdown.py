"""Keeps the venue's own dead man's switch from going off while we live: countdownCancelAll.

Off unless ``countdown_ms`` is set. Each symbol with open orders is refreshed three times per
countdown; one without any is switched off. When this process or its connection is gone, the venue
cancels what rests. It is not switched off when we stop in good order: nobody watches then either.
"""

from collections.abc import Iterable

from libs.common.runtime.clock import Clock, sleep_market
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.outcomes import Accepted, describe
from services.execution.config import ExecutionConfig
from services.execution.gate import Gate
from services.execution.kill_core import banned

log = get_logger(__name__)

REFRESHES_PER_COUNTDOWN = 3
OFF_MS = 0


class Countdown:
    """Refreshes the countdowns of one account."""

    def __init__(
        self, gate: Gate, venue: VenueClient, clock: Clock, settings: ExecutionConfig
    ) -> None:
        self._gate = gate
        self._venue = venue
        self._clock = clock
        self._countdown_ms = settings.countdown_ms
        self._running: set[str] = set()

    async def run(self) -> None:
        """Refresh for ever, in market time; returns at once where the switch is not wanted."""
        if not self._countdown_ms:
            return
        while True:
            await self.refresh()
            await sleep_market(self._clock, max(1, self._countdown_ms // REFRESHES_PER_COUNTDOWN))

    async def refresh(self) -> None:
        """Refresh once. While the venue wants to be left alone it is: its switch may go off."""
        if banned(self._gate.state, self._clock.now_ns()):
            return
        wanted = {order.symbol for order in self._gate.state.open_orders()}
        await self._set(sorted(wanted), self._countdown_ms)
        await self._set(sorted(self._running - wanted), OFF_MS)

    async def _set(self, symbols: Iterable[str], countdown_ms: int) -> None:
        for symbol in symbols:
            outcome = await self._venue.countdown_cancel_all(symbol, countdown_ms)
            if not isinstance(outcome, Accepted):
                log.warning("countdown not set", symbol=symbol, outcome=describe(outcome))
            elif countdown_ms:
                self._running.add(symbol)
            else:
                self._running.discard(symbol)
