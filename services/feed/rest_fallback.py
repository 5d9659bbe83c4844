"""REST in place of what is down: quotes, marks, and the time by which closed candles are asked for.

Once a round, for the symbols whose streams are down: one request for each, or one for all where
that costs the venue's weight less. What REST tells keeps REST's own time, so that its age is true,
and it never replaces what is newer. Candles built from trades need the stream; they are healed once
it is back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from libs.common.runtime.clock import NS_PER_MS
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.market_payloads import BookTickerRow, PremiumIndex
from services.feed.backfill import Backfill
from services.feed.bars import ZERO
from services.feed.binance_stream import MarketStream
from services.feed.config import FeedConfig
from services.feed.core import FeedCore
from services.feed.events import MarketEvent, RestMark, RestQuote
from services.feed.inbox import Inbox, RestTime
from services.feed.plan import kind_of

log = get_logger(__name__)

R = TypeVar("R")

#: Request weights: of one symbol, and of all of them in one request.
WEIGHT_QUOTE, WEIGHT_QUOTES = 2, 5
WEIGHT_MARK, WEIGHT_MARKS = 1, 10


def symbols_down(streams: Sequence[MarketStream], kind: str) -> list[str]:
    """Whose streams of a kind are down for long enough to be stood in for."""
    found: list[str] = []
    for stream in streams:
        down = frozenset(stream.unserved())
        if down:
            named = zip(stream.plan.streams, stream.plan.symbols, strict=False)
            found += [symbol for name, symbol in named if name in down and kind_of(name) == kind]
    return found


def quote_of(row: BookTickerRow) -> RestQuote:
    """A quote as the stream would tell it, at REST's time."""
    return RestQuote(
        row.time_ms, row.symbol, 0, f"{row.bid_price:f}", f"{row.bid_quantity:f}",
        f"{row.ask_price:f}", f"{row.ask_quantity:f}",
    )  # fmt: skip


def mark_of(row: PremiumIndex) -> RestMark:
    """A mark price as the stream would tell it, at REST's time."""
    return RestMark(
        row.time_ms, row.symbol, f"{row.mark_price:f}", f"{row.index_price:f}",
        row.last_funding_rate, row.next_funding_ms,
    )  # fmt: skip


class RestFallback:
    """Stands in for what is down.

    Attributes:
        rounds: looks at which anything was down.
        told: quotes and marks that were believed.
    """

    def __init__(
        self,
        venue: VenueClient,
        backfill: Backfill,
        core: FeedCore,
        inbox: Inbox,
        settings: FeedConfig,
        streams: Sequence[MarketStream],
        *,
        judge: Callable[[MarketEvent], bool],
        candle_ns: Callable[[], int],
    ) -> None:
        self._venue = venue
        self._backfill = backfill
        self._core = core
        self._inbox = inbox
        self._settings = settings
        self._streams = streams
        self._judge = judge
        self._candle_ns = candle_ns
        self.rounds = self.told = 0
        self.requests = 0
        self.failures = 0
        self.last_failure = ""

    async def run(self) -> None:
        """Look once an interval, until cancelled; less often while nothing is answered at all."""
        wait_ms = self._settings.rest_fallback_interval_ms
        while True:
            await asyncio.sleep(wait_ms / 1_000)
            if await self.look():
                wait_ms = self._settings.rest_fallback_interval_ms
            else:
                wait_ms = min(wait_ms * 2, self._settings.backfill_wait_max_ms)

    async def look(self) -> bool:
        """Ask once for what is down now; returns False where nothing but failures came of it."""
        quotes = symbols_down(self._streams, "bookTicker")
        marks = symbols_down(self._streams, "markPrice")
        down = [stream.plan.candle_streams for stream in self._streams if not stream.is_up]
        if not quotes and not marks and not down:
            return True
        self.rounds += 1
        failures: list[VenueReadError] = []
        marks_told = await self._marks(marks, failures)
        quotes_told = await self._quotes(quotes, failures)
        for mark in marks_told:
            event = mark_of(mark)
            if mark.mark_price > ZERO and self._judge(event):
                self._keep(event)
        for row in quotes_told:
            quote = quote_of(row)
            if min(row.bid_price, row.ask_price) > ZERO and self._judge(quote):
                self._keep(quote)
        self._inbox.wake()
        now_ns = self._candle_ns()
        self._backfill.hear_time(now_ns // NS_PER_MS)
        if down and now_ns:
            # The newest time that anything told: closed candles of the dead sockets may be due.
            every = tuple(pair for pairs in down for pair in pairs)
            self._inbox.put_latest("rest-time", RestTime(now_ns, every))
        self._count(failures)
        return bool(marks_told or quotes_told or not failures)

    def _keep(self, event: RestQuote | RestMark) -> None:
        self.told += 1
        self._core.keep(event)

    def _count(self, failures: list[VenueReadError]) -> None:
        self.failures += len(failures)
        before, self.last_failure = self.last_failure, str(failures[0]) if failures else ""
        if self.last_failure != before and failures:  # one that goes on is said once
            log.warning("REST cannot stand in for a stream", error=self.last_failure)

    def _admits(self, cost: int) -> bool:
        is_admitted = self._backfill.admits(cost)
        self.requests += is_admitted
        return is_admitted

    async def _quotes(
        self, symbols: list[str], failures: list[VenueReadError]
    ) -> list[BookTickerRow]:
        venue = self._venue
        is_cheap = len(symbols) * WEIGHT_QUOTE <= WEIGHT_QUOTES
        if is_cheap:
            found = await self._each(symbols, WEIGHT_QUOTE, venue.book_ticker, failures)
        else:
            found = await self._all(WEIGHT_QUOTES, venue.book_tickers, failures)
        wanted = frozenset(symbols)
        return [row for row in found if row.symbol in wanted]

    async def _marks(
        self, symbols: list[str], failures: list[VenueReadError]
    ) -> list[PremiumIndex]:
        venue = self._venue
        is_cheap = len(symbols) * WEIGHT_MARK <= WEIGHT_MARKS
        if is_cheap:
            found = await self._each(symbols, WEIGHT_MARK, venue.premium_index, failures)
        else:
            found = await self._all(WEIGHT_MARKS, venue.premium_indexes, failures)
        wanted = frozenset(symbols)
        return [row for row in found if row.symbol in wanted]

    async def _each(
        self,
        symbols: list[str],
        weight: int,
        ask: Callable[[str], Awaitable[R]],
        failures: list[VenueReadError],
    ) -> list[R]:
        """Ask for each symbol by itself: one that the venue refuses costs no other its answer."""
        found: list[R] = []
        for symbol in symbols:
            if not self._admits(weight):
                continue
            try:
                found.append(await ask(symbol))
            except VenueReadError as error:
                failures.append(error)
        return found

    async def _all(
        self, weight: int, ask: Callable[[], Awaitable[list[R]]], failures: list[VenueReadError]
    ) -> list[R]:
        try:
            return await ask() if self._admits(weight) else []
        except VenueReadError as error:
            failures.append(error)
            return []
