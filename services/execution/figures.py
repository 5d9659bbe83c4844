"""What the gate decides with, as the venue states it: settings, filters, balance, clock."""

from zoneinfo import ZoneInfo

import msgspec

from libs.common.messages.audit_events import PositionObserved, PositionsObserved
from libs.common.messages.journal import BalanceObserved, InstrumentsLoaded, LeverageAsserted
from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.config import CommonConfig, Mode
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcomes import Accepted, describe
from services.execution.answers import decide_balance
from services.execution.arming import Arming
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.income import IncomeDesk
from services.execution.reads import Reads
from services.execution.rules import rules_of

log = get_logger(__name__)


class Figures:
    """Asks the venue and journals what it says; what it does not say leaves us unarmed or stale."""

    def __init__(
        self,
        gate: Gate,
        venue: VenueClient,
        clock: Clock,
        arming: Arming,
        common: CommonConfig,
        settings: ExecutionConfig,
        reads: Reads | None = None,
    ) -> None:
        self._gate = gate
        self._venue = venue
        self._reads = reads or venue
        self._clock = clock
        self._arming = arming
        self._common = common
        self._settings = settings
        self._asserted_at_ns = 0
        self._positions_at_ns = 0
        self._wallet_told_at_ns = 0
        self._wallet_words = 0
        self._journaled: dict[str, LeverageAsserted] = {}
        zone = ZoneInfo(common.day_time_zone)
        self.income = IncomeDesk(gate, self._reads, clock, settings, zone)

    async def refresh_filters_if_old(self) -> None:
        """Load the filters again well before they are too old to trade on.

        Sooner while a symbol does not trade: an exit waits for the word that it does again.
        """
        age_ns = self._clock.now_ns() - self._gate.state.instruments_at_ns
        age_ms_max = self._settings.filters_refresh_ms
        if not all(one.is_trading for one in self._gate.state.instruments.values()):
            age_ms_max = min(age_ms_max, self._settings.filters_retry_ms)
        if abs(age_ns) >= age_ms_max * NS_PER_MS:
            await self.load_filters()

    async def assert_settings(self) -> None:
        """One-way mode, margin type and leverage of every symbol; "no need to change" is fine."""
        self._asserted_at_ns = self._clock.now_ns()
        outcome = await self._venue.set_one_way_mode()
        if not isinstance(outcome, Accepted):
            self._arming.failed("settings", f"position mode: {describe(outcome)}")
            return
        for symbol in self._common.symbols:
            for outcome in (
                await self._venue.set_margin_type(symbol, self._settings.margin_type),
                await self._venue.set_leverage(symbol, self._settings.leverage),
            ):
                if not isinstance(outcome, Accepted):
                    self._arming.failed("settings", f"{symbol}: {describe(outcome)}")
                    return
            await self._journal_leverage(symbol)
        self._arming.passed("settings")

    async def retry_settings(self) -> None:
        """Ask again, now and then, for what the venue did not confirm when the stream came up.

        Raises:
            VenueReadError: the venue did not answer.
        """
        now_ns = self._clock.now_ns()
        age_ns = abs(now_ns - self._asserted_at_ns)
        is_due = age_ns >= self._settings.settings_retry_ms * NS_PER_MS
        if not is_due or self._arming.is_failing("user_stream"):  # its coming up asks by itself
            return
        self._asserted_at_ns = now_ns
        if self._arming.is_failing("settings"):
            await self.assert_settings()
        if self._arming.is_failing("clock"):
            await self.check_clock()

    async def _journal_leverage(self, symbol: str) -> None:
        leverage = self._settings.leverage
        event = LeverageAsserted(
            symbol=symbol, leverage=leverage, margin_type=self._settings.margin_type
        )
        await self._gate.transact(
            lambda: (
                Decision()
                if self._gate.state.leverage.get(symbol) == leverage
                and self._journaled.get(symbol) == event
                else Decision(events=(event,))
            ),
            causation_id="settings",
            correlation_id=symbol,
        )
        self._journaled[symbol] = event

    async def load_filters(self) -> None:
        """Journal the venue's rules for our symbols.

        A symbol whose rules cannot be read takes no entry, and no other symbol pays for it.

        Raises:
            VenueReadError: the venue did not answer.
        """
        asked_at_ns = self._clock.now_ns()
        info = await self._reads.exchange_info()
        found, refused = rules_of(self._common.symbols, info, self._gate.state.instruments)
        for symbol, why in refused.items():
            log.warning("symbol without filters", symbol=symbol, why=why)
        if not found or len(refused) == len(set(self._common.symbols)):
            self._arming.failed("filters", "; ".join(refused.values()))
            if not found:
                return
        else:
            self._arming.passed("filters")
        event = InstrumentsLoaded(instruments=found, loaded_at_ns=asked_at_ns)
        await self._gate.transact(
            lambda: Decision(events=(event,)), causation_id="filters", correlation_id="filters"
        )

    async def refresh_balance_if_old(self) -> None:
        """Upkeep: ask for the balance long before the figure is too old to decide with.

        Raises:
            VenueReadError: the venue did not answer.
        """
        await self._refresh_balance_older_than(self._settings.account_refresh_ms, self._reads)

    async def refresh_balance_if_urgent(self) -> None:
        """Before a decision: ask only if upkeep is late, since the answer holds up the order."""
        settings = self._settings
        try:
            await self._refresh_balance_older_than(
                (settings.account_refresh_ms + settings.account_age_ms_max) // 2, self._venue
            )
        except VenueReadError as error:  # the guards refuse a figure that is too old
            log.warning("balance not read", error=str(error))

    async def _refresh_balance_older_than(self, age_ms: int, reads: Reads) -> None:
        age_ns = self._clock.now_ns() - self._gate.state.balance_at_ns
        if abs(age_ns) >= age_ms * NS_PER_MS:
            await self._read_balance(reads)

    async def refresh_balance(self) -> None:
        """Ask for the balance; it counts from the moment before asking.

        Raises:
            VenueReadError: the venue did not answer.
        """
        await self._read_balance(self._reads)

    async def _read_balance(self, reads: Reads) -> None:
        asked_at_ns = self._clock.now_ns()  # a retry makes the figure no younger
        words = self._wallet_words
        for balance in await reads.balance():
            if balance.asset == self._common.venue.quote_asset:
                answer = BalanceObserved(
                    asset=balance.asset,
                    wallet_balance=balance.balance,
                    available_balance=balance.available_balance,
                    observed_at_ns=asked_at_ns,
                )
                await self._journal_balance(answer, words)

    async def hear_wallet(self, told: BalanceObserved) -> None:
        """Journal the wallet as the stream tells it, unless it told a newer one before.

        A time far in the future is none: it would keep all that follows from being heard.
        """
        latest_ns = self._clock.now_ns() + self._settings.account_age_ms_max * NS_PER_MS
        if told.observed_at_ns < self._wallet_told_at_ns <= latest_ns:
            return
        self._wallet_told_at_ns = told.observed_at_ns
        self._wallet_words += 1
        await self._journal_balance(told, self._wallet_words)

    async def _journal_balance(self, balance: BalanceObserved, words: int) -> None:
        """Journal a statement of the balance, if it is news.

        Where the stream spoke of the wallet since these ``words``, that may be newer, and stays.
        """

        def decide() -> Decision:
            state, stated = self._gate.state, balance
            if self._wallet_words != words and balance.available_balance is not None:
                stated = msgspec.structs.replace(balance, wallet_balance=state.wallet_balance)
            return decide_balance(self._settings, state, stated, self._clock.now_ns())

        await self._gate.transact(decide, causation_id="balance", correlation_id="balance")

    async def observe_positions_if_old(self) -> None:
        """Journal now and then what the venue says of our positions, for whoever audits us.

        Raises:
            VenueReadError: the venue did not answer.
        """
        now_ns = self._clock.now_ns()
        if abs(now_ns - self._positions_at_ns) < self._settings.positions_interval_ms * NS_PER_MS:
            return
        found = await self._reads.position_risk()
        event = PositionsObserved(
            positions=tuple(
                PositionObserved(symbol=one.symbol, quantity=one.quantity)
                for one in found
                if one.quantity
            ),
            observed_at_ns=now_ns,
        )
        await self._gate.transact(
            lambda: Decision(events=(event,)), causation_id="positions", correlation_id="positions"
        )
        self._positions_at_ns = now_ns

    async def check_clock(self) -> None:
        """In the paper world our clock is the venue's own; elsewhere the offset is measured."""
        if self._common.mode is Mode.PAPER:
            self._arming.passed("clock")
            return
        offset_ms = await self._venue.sync_time()
        if abs(offset_ms) < self._settings.clock_offset_ms_max:
            self._arming.passed("clock")
        else:
            self._arming.failed("clock", f"{offset_ms} ms off the venue's")
