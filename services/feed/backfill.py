"""Questions to REST: read pages until the hole is covered; retry reads until the venue answers."""

import asyncio
import random

from libs.common.messages.market import CandleOrigin
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.market_payloads import KlineRow
from services.feed.backoff import Backoff
from services.feed.bars import ZERO, Bar, Print
from services.feed.config import FeedConfig
from services.feed.core import Answer
from services.feed.events import NS_PER_MS
from services.feed.intervals import interval_ns
from services.feed.kline_series import AskKlines, KlinesAnswer
from services.feed.trade_series import AskTrades, TradesAnswer

log = get_logger(__name__)

#: What one historicalTrades request returns at most.
TRADES_PER_PAGE = 1_000
#: What one klines request returns at most.
KLINES_PER_PAGE = 1_500


class Backfill:
    """Answers the core's questions. The bar in question is held however long it takes."""

    def __init__(self, venue: VenueClient, settings: FeedConfig, dice: random.Random) -> None:
        self._venue = venue
        self._settings = settings
        self._dice = dice
        self.requests = 0
        self.failures = 0

    async def answer(self, question: AskTrades | AskKlines) -> Answer:
        """Return REST's answer; a failed read is repeated with backoff until it succeeds."""
        settings = self._settings
        backoff = Backoff(
            settings.backfill_wait_first_ms, settings.backfill_wait_max_ms, self._dice
        )
        while True:
            try:
                if isinstance(question, AskTrades):
                    return await self._trades(question)
                return await self._klines(question)
            except VenueReadError as error:
                self.failures += 1
                wait_ms = backoff.next_ms()
                log.warning(
                    "backfill failed, holding the bar",
                    symbol=question.symbol,
                    error=str(error),
                    wait_ms=wait_ms,
                )
                await asyncio.sleep(wait_ms / 1_000)

    async def _trades(self, question: AskTrades) -> TradesAnswer:
        prints: list[Print] = []
        first_id: int | None = None
        from_id = question.from_id
        for _ in range(self._settings.backfill_pages_max):
            self.requests += 1
            rows = await self._venue.historical_trades(
                question.symbol, from_id=from_id, limit=TRADES_PER_PAGE
            )
            if first_id is None and rows:
                first_id = rows[0].trade_id
            prints += [
                Print(row.trade_id, row.time_ms * NS_PER_MS, row.price, row.quantity)
                for row in rows
                if row.quantity > ZERO and row.price > ZERO
            ]
            if len(rows) < TRADES_PER_PAGE or rows[-1].trade_id < from_id:
                last_id = rows[-1].trade_id if rows else (from_id - 1 if prints else None)
                return TradesAnswer(question.symbol, question.from_id, prints, first_id, last_id)
            from_id = rows[-1].trade_id + 1
        log.error("gap too long to fill", symbol=question.symbol, from_id=question.from_id)
        return TradesAnswer(question.symbol, question.from_id, (), None, None)

    async def _klines(self, question: AskKlines) -> KlinesAnswer:
        length_ns = interval_ns(question.interval)
        bars: list[Bar] = []
        start_ns = question.start_ns
        while start_ns < question.end_ns:
            rows = await self._page(question, start_ns, question.end_ns)
            bars += [_bar(row, length_ns) for row in rows]
            if len(rows) < KLINES_PER_PAGE:
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
        self, question: AskKlines, start_ns: int, end_ns: int, limit: int = KLINES_PER_PAGE
    ) -> list[KlineRow]:
        self.requests += 1
        return await self._venue.klines(
            question.symbol,
            question.interval,
            start_ms=start_ns // NS_PER_MS if start_ns else None,
            end_ms=end_ns // NS_PER_MS - 1,
            limit=limit,
        )


def _bar(row: KlineRow, length_ns: int) -> Bar:
    open_ns = row.open_ms * NS_PER_MS
    return Bar(
        open_ns, open_ns + length_ns, row.open, row.high, row.low, row.close, row.volume,
        row.trades, CandleOrigin.REST,
    )  # fmt: skip
