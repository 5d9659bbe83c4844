"""Reads by REST what the user stream did not tell, because it was down or because it lost a word.

The stream has no replay. A gap that is known (a reconnect) is closed before trading resumes; one
that nobody saw shows as a fill told by half, as a difference in the reconciler's report, or as an
open order of which nothing was heard for long, and is closed the same way.
"""

from decimal import Decimal

from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import STREAM_WORDS_MISSING
from libs.common.venue.user_payloads import AccountUpdate, OrderTradeUpdate, UserEvent
from services.execution.arming import Arming
from services.execution.config import ExecutionConfig
from services.execution.figures import Figures
from services.execution.gate import Gate
from services.execution.orders import OrderDesk
from services.execution.protection_desk import ProtectionDesk
from services.execution.word_pairs import WordPairs

log = get_logger(__name__)


class GapCloser:
    """Asks the venue for everything that events would have told."""

    def __init__(
        self,
        gate: Gate,
        orders: OrderDesk,
        protection: ProtectionDesk,
        figures: Figures,
        arming: Arming,
        clock: Clock,
        symbols: tuple[str, ...],
        settings: ExecutionConfig,
    ) -> None:
        self._gate = gate
        self._orders = orders
        self._protection = protection
        self._figures = figures
        self._arming = arming
        self._clock = clock
        self._symbols = symbols
        self._settings = settings
        self._read_at_ns = 0
        self._is_suspected = False
        self._pairs = WordPairs(settings.fill_wait_ms, self._position)
        self.closed_total = 0  # gaps closed after the stream came up

    async def close(self) -> None:
        """The stream is open: read what was said while nobody listened, then arm.

        Raises:
            VenueReadError: the venue did not answer; the stream has to be opened again.
            BusError: it could not be journaled.
        """
        self._pairs.forget()
        await self._figures.assert_settings()
        await self._figures.load_filters()
        await self._read()
        await self._figures.check_clock()
        self._arming.passed("user_stream")
        self.closed_total += 1

    def _position(self, symbol: str) -> Decimal:
        return self._gate.state.position_quantity(symbol)

    def suspect(self, why: str) -> None:
        """Something was missed: read by REST at the next tick."""
        log.info("a gap is suspected", why=why)
        self._is_suspected = True

    def hear(self, event: UserEvent) -> None:
        """The stream said this, and it is journaled: a fill that it tells must be told twice."""
        if isinstance(event, AccountUpdate):
            self._pairs.hear_account(event, self._clock.now_ns())
        elif isinstance(event, OrderTradeUpdate) and event.order.is_fill:
            order = event.order
            self._pairs.hear_fill(order.symbol, order.transaction_ms, self._clock.now_ns())

    def _look_for_halves(self, now_ns: int) -> None:
        for symbol, half in self._pairs.overdue(now_ns):
            STREAM_WORDS_MISSING.labels(half).inc()
            self.suspect(f"{symbol}: the stream did not tell the {half} half of a fill")

    async def close_if_suspected(self) -> None:
        """Read where words are missing or differ, or where open orders were silent for long.

        Raises:
            VenueReadError: the venue did not answer; it is tried again at the next tick.
            BusError: it could not be journaled.
        """
        now_ns = self._clock.now_ns()
        self._look_for_halves(now_ns)
        silent_since_ns = now_ns - self._settings.order_silence_ms_max * NS_PER_MS
        state = self._gate.state
        changed_at_ns = [order.changed_at_ns for order in state.open_orders()]
        changed_at_ns += [order.changed_at_ns for order in state.open_algo_orders()]
        is_silent = any(not silent_since_ns < at_ns <= now_ns for at_ns in changed_at_ns)
        was_read = silent_since_ns < self._read_at_ns <= now_ns
        if self._is_suspected or (is_silent and not was_read):
            await self._read()

    async def _read(self) -> None:
        self._read_at_ns = self._clock.now_ns()
        self._is_suspected = False  # a report that comes while we read may know more
        try:
            await self._orders.settle_open()
            await self._protection.settle_open()
            for symbol in self._symbols:
                await self._orders.fetch_fills(symbol)
            await self._figures.refresh_balance()
            self._figures.income.suspect()
        except BaseException:
            self._is_suspected = True
            raise
