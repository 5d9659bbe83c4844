"""Questions to REST: read pages until the hole is covered; retry reads until the venue answers."""

import asyncio
import random

from libs.common.messages.market import CandleOrigin
from libs.common.runtime.clock import Clock, PaperClock, sleep_market
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.runtime.venue_transport import VenueCall
from libs.common.venue.market_payloads import KlineRow, TradeRow
from libs.common.venue.outcomes import Throttled, Unknown, throttled_until_ms
from services.feed.backoff import Backoff
from services.feed.bars import ZERO, Bar, Print
from services.feed.config import FeedConfig
from services.feed.core import Answer
from services.feed.events import NS_PER_MS, UnreadableError, check_bar
from services.feed.intervals import interval_ns
from services.feed.kline_series import AskKlines, KlinesAnswer
from services.feed.trade_series import AskTrades, TradesAnswer
from services.feed.weight import WeightGate

log = get_logger(__name__)

#: What one trades request returns at most.
TRADES_PER_PAGE = 1_000
#: What one historicalTrades request returns at most; the venue refuses to be asked for more.
OLD_TRADES_PER_PAGE = 500
#: What one klines request returns at most.
KLINES_PER_PAGE = 1_500


WEIGHT_RECENT_TRADES = 5
WEIGHT_OLD_TRADES = 200
#: Weight of a klines request by its limit: below 100, below 500, up to 1,000, more.
WEIGHTS_KLINES = ((99, 1), (499, 2), (1_000, 5), (KLINES_PER_PAGE, 10))
#: The part of the allowance that questions which find no gap, and quotes and marks while a stream
#: is down, may use up.
SHARE_OF_OTHERS_PERCENT = 50
WEIGHT_WAIT_S = 0.05
WEIGHT_HEADER = "x-mbx-used-weight-1m"


class Backfill:
    """Answers the core's questions. The bar in question is held however long it takes."""

    def __init__(
        self, venue: VenueClient, settings: FeedConfig, dice: random.Random, clock: Clock
    ) -> None:
        self._venue = venue
        self._settings = settings
        self._dice = dice
        self._clock = clock
        self._gate = WeightGate(settings.backfill_weight_per_minute_max)
        self._last_asked: dict[str, AskTrades | AskKlines] = {}
        self._told_ms = 0
        self.requests = 0
        self.failures = 0
        self.last_failure = ""

    def on_call(self, call: VenueCall) -> None:
        """Learn from an answer how much weight the address has used."""
        used = call.outcome.headers.get(WEIGHT_HEADER, "")
        if used.isdecimal():
            self._gate.hear(int(used), self._now_ms())

    def hear_time(self, told_ms: int) -> None:
        """REST has told a market time: the venue's minutes go on while our clock may stand."""
        self._told_ms = max(self._told_ms, told_ms)

    def admits(self, cost: int) -> bool:
        """Whether a request of this weight that stands in for a stream may go now."""
        return self._gate.allows(cost, self._now_ms(), share_percent=SHARE_OF_OTHERS_PERCENT)

    async def answer(self, question: AskTrades | AskKlines) -> Answer:
        """Return REST's answer; a failed read is repeated with backoff until it succeeds."""
        settings = self._settings
        backoff = Backoff(
            settings.backfill_wait_first_ms, settings.backfill_wait_max_ms, self._dice
        )
        if self._last_asked.get(question.symbol) == question:
            await asyncio.sleep(settings.backfill_wait_first_ms / 1_000)
        self._last_asked[question.symbol] = question
        while True:
            try:
                if isinstance(question, AskTrades):
                    found: Answer = await self.ask_trades(question)
                else:
                    found = await self.ask_klines(question)
            except VenueReadError as error:
                self.failures += 1
                self.last_failure = str(error)
                wait_ms = backoff.next_ms()
                log.warning(
                    "backfill failed, holding the bar",
                    symbol=question.symbol,
                    error=str(error),
                    wait_ms=wait_ms,
                )
                await self._wait(error, wait_ms)
            else:
                self.last_failure = ""
                return found

    async def _wait(self, error: VenueReadError, wait_ms: int) -> None:
        """Wait before the next try; when throttled, as long as the venue says."""
        await asyncio.sleep(wait_ms / 1_000)
        outcome = error.outcome
        if not isinstance(outcome, Throttled) or not self._clock.is_set:
            return
        now_ms = self._now_ms()
        left_ms = throttled_until_ms(outcome, now_ms) - now_ms
        try:
            # The venue means market time, which may stand still: never longer than its wall span.
            async with asyncio.timeout(left_ms / 1_000):
                await sleep_market(self._clock, left_ms)
        except TimeoutError:
            pass

    def _now_ms(self) -> int:
        own_ms = self._clock.now_ns() // NS_PER_MS if self._clock.is_set else 0
        return max(own_ms, self._told_ms)

    async def _admit(self, cost: int, share_percent: int = 100) -> None:
        """Wait until the minute has room for a request of this weight."""
        while not self._gate.allows(cost, self._now_ms(), share_percent=share_percent):
            await asyncio.sleep(WEIGHT_WAIT_S)
        self.requests += 1

    async def ask_trades(self, question: AskTrades) -> TradesAnswer:
        """One try: the newest thousand trades cost little and need no key, older ones much.

        Raises:
            VenueReadError: the venue did not answer, or not with times that can be.
        """
        share_percent = SHARE_OF_OTHERS_PERCENT if question.is_proof else 100
        await self._admit(WEIGHT_RECENT_TRADES, share_percent)
        recent = await self._venue.recent_trades(question.symbol, limit=TRADES_PER_PAGE)
        rows: list[TradeRow] = []
        if recent and recent[0].trade_id > question.from_id:
            rows = await self._old_trades(question, recent[0].trade_id)
        newest = rows[-1].trade_id if rows else question.from_id - 1
        rows += [row for row in recent if row.trade_id > newest]
        rows = self._believable(rows)
        return TradesAnswer(
            question.symbol,
            question.from_id,
            [
                Print(row.trade_id, row.time_ms * NS_PER_MS, row.price, row.quantity)
                for row in rows
                if row.quantity > ZERO and row.price > ZERO
            ],
            rows[0].trade_id if rows else None,
            rows[-1].trade_id if rows else None,
            question.is_proof,
        )

    def _believable(self, rows: list[TradeRow]) -> list[TradeRow]:
        """The rows after the last one whose time cannot be; what stood before it is lost.

        Raises:
            VenueReadError: the newest row's time cannot be: the venue's clock is still wrong.
        """
        if not rows or not self._clock.is_set:
            return rows
        settings = self._settings
        speed = self._clock.speed if isinstance(self._clock, PaperClock) else 1
        latest_ms = self._now_ms() + int(settings.ahead_ms_max * max(1, speed))
        earliest_ms = rows[0].time_ms - settings.behind_ms_max
        wrong = [
            index for index, row in enumerate(rows) if not earliest_ms <= row.time_ms <= latest_ms
        ]
        if not wrong:
            return rows
        if wrong[-1] == len(rows) - 1:
            raise VenueReadError("trades", Unknown("its newest trade has a time that cannot be"))
        log.error("trades with times that cannot be", rows=len(wrong))
        return rows[wrong[-1] + 1 :]

    async def _old_trades(self, question: AskTrades, until_id: int) -> list[TradeRow]:
        """Every trade from the one asked for up to ``until_id``, as far as the venue has them."""
        rows: list[TradeRow] = []
        from_id = question.from_id
        for _ in range(self._settings.backfill_pages_max):
            await self._admit(WEIGHT_OLD_TRADES)
            page = await self._venue.historical_trades(
                question.symbol, from_id=from_id, limit=OLD_TRADES_PER_PAGE
            )
            rows += page
            if not page or page[-1].trade_id >= until_id - 1:
                return rows
            from_id = page[-1].trade_id + 1
        log.error("gap too long to fill", symbol=question.symbol, from_id=question.from_id)
        return []

    async def ask_klines(self, question: AskKlines) -> KlinesAnswer:
        """One try: every bar asked for, page after page.

        Raises:
            VenueReadError: the venue did not answer, or not with bars that can be.
        """
        length_ns = interval_ns(question.interval)
        bars: list[Bar] = []
        start_ns = question.start_ns
        while start_ns < question.end_ns:
            limit = min(KLINES_PER_PAGE, (question.end_ns - start_ns) // length_ns)
            rows = await self._page(question, start_ns, question.end_ns, limit)
            bars += [_bar(row, length_ns) for row in rows]
            if len(rows) < limit:
                break
            start_ns = bars[-1].close_ns
        listed = [bar for bar in bars if question.start_ns <= bar.open_ns < question.end_ns]
        has_first = bool(listed) and listed[0].open_ns == question.start_ns
        reaches_back = has_first or await self._reaches_back(question)
        return KlinesAnswer(
            question.symbol, question.interval, question.start_ns, question.end_ns, listed,
            reaches_back,
        )  # fmt: skip

    async def _reaches_back(self, question: AskKlines) -> bool:
        """Whether REST holds any bar from before the first one asked for."""
        return bool(await self._page(question, 0, question.start_ns, limit=1))

    async def _page(
        self, question: AskKlines, start_ns: int, end_ns: int, limit: int
    ) -> list[KlineRow]:
        await self._admit(next(cost for most, cost in WEIGHTS_KLINES if limit <= most))
        return await self._venue.klines(
            question.symbol,
            question.interval,
            start_ms=start_ns // NS_PER_MS if start_ns else None,
            end_ms=end_ns // NS_PER_MS - 1,
            limit=limit,
        )


def _bar(row: KlineRow, length_ns: int) -> Bar:
    open_ns = row.open_ms * NS_PER_MS
    try:
        check_bar(row)
    except UnreadableError as error:
        raise VenueReadError("klines", Unknown(str(error))) from error
    if open_ns % length_ns:
        raise VenueReadError("klines", Unknown("a bar that begins where none can"))
    return Bar(
        open_ns, open_ns + length_ns, row.open, row.high, row.low, row.close, row.volume,
        row.trades, CandleOrigin.REST,
    )  # fmt: skip
