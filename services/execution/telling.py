"""Says how the account stands: on every change, whenever somebody asks, and now and then."""

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import Clock, wall_ns
from libs.common.runtime.config import CommonConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.log import get_logger
from services.execution.arming import Arming
from services.execution.config import ExecutionConfig
from services.execution.figures import Figures
from services.execution.gap import GapCloser
from services.execution.gate import Gate
from services.execution.gauges import Gauges
from services.execution.view import account_view

log = get_logger(__name__)


class AccountTeller:
    """Publishes the read model of one account.

    A comparison needs to hear the account twice, before and after it asked the venue; so that the
    moment between is short, it asks.
    """

    def __init__(
        self,
        bus: Bus,
        gate: Gate,
        gaps: GapCloser,
        arming: Arming,
        figures: Figures,
        clock: Clock,
        common: CommonConfig,
        settings: ExecutionConfig,
    ) -> None:
        self._bus = bus
        self._gate = gate
        self._gaps = gaps
        self._arming = arming
        self._figures = figures
        self._clock = clock
        self._account = common.account
        self._zone = ZoneInfo(common.day_time_zone)
        self._gauges = Gauges(settings)
        self._interval_wall_ms = settings.state_interval_wall_ms
        self._wanted = asyncio.Event()

    def notice(self) -> None:
        """Something changed."""
        self._wanted.set()

    async def listen(self) -> None:
        """Hear those who ask.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        await self._bus.subscribe(subjects.account_state_request(self._account), self._on_request)

    async def _on_request(self, _: str, __: bytes, ___: dict[str, str]) -> None:
        self._wanted.set()

    async def run(self, before: Callable[[], None]) -> None:
        """Say it for ever; ``before`` is called each time."""
        while True:
            self._wanted.clear()  # before looking: what changes while it is said is said again
            before()
            self._gauges.show(self._gate.state, self._clock.now_ns())
            try:
                await self._bus.publish(subjects.account_state(self._account), self._view())
            except BusUnavailable as error:
                log.warning("state not published", error=str(error))
            try:
                await asyncio.wait_for(self._wanted.wait(), self._interval_wall_ms / 1000)
            except TimeoutError:
                continue

    def _view(self) -> bytes:
        return encode(
            account_view(
                self._gate.state,
                account=self._account,
                journal_sequence=self._gate.journal.number,
                unarmed=self._arming.unarmed,
                now_ns=self._clock.now_ns(),
                published_ns=wall_ns(),
                user_stream_ups=self._gaps.closed_total,
                zone=self._zone,
                income_is_known=self._figures.income.is_read,
            )
        )
