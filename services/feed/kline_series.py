"""The candles of one kline stream, released in order, each once, with holes filled by REST.

A hole shows itself by open time: a closed bar that is not the next one, or a next one that is
overdue (the venue tells a bar only when something trades, and a socket may have been away). What
REST does not list either was a time without trades: such a bar repeats the last close.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from libs.common.messages.market import CandleOrigin
from services.feed.bars import ZERO, Bar
from services.feed.events import NS_PER_MS, KlineBody, KlineEvent
from services.feed.gaps import Gaps
from services.feed.intervals import floor_to
from services.feed.trade_series import CandleReady


class AskKlines(msgspec.Struct, frozen=True, gc=False):
    """Fetch every closed bar that opens at or after ``start_ns`` and before ``end_ns``."""

    symbol: str
    interval: str
    start_ns: int
    end_ns: int


class KlinesAnswer(msgspec.Struct, frozen=True, gc=False):
    """What REST lists of a question, oldest first.

    ``reaches_back``: REST holds bars at or before the first one asked for, so that one it does not
    list never traded. Otherwise the bars before the first listed one are lost.
    """

    symbol: str
    interval: str
    start_ns: int
    end_ns: int
    bars: Sequence[Bar]
    reaches_back: bool


class Revised(msgspec.Struct, frozen=True, gc=False):
    """The stream told a closed bar anew, and differently from what was published."""

    symbol: str
    interval: str
    published: Bar
    told: KlineBody


#: Published bars of a series that a later word of the stream is compared with.
PUBLISHED_REMEMBERED_MAX = 16

KlineEffects = list[CandleReady | AskKlines | Revised]


class KlineSeries:
    """One interval of one symbol.

    Attributes:
        repeats: bars that were told again, as before or longer ago than is remembered.
        revised: bars that were told again and differently; what was published stays.
    """

    def __init__(
        self, symbol: str, interval: str, length_ns: int, *, overdue_ns: int, warmup_bars: int
    ) -> None:
        self.symbol = symbol
        self.interval = interval
        self.length_ns = length_ns
        self.next_open_ns: int | None = None
        self._overdue_ns = overdue_ns
        self._warmup_bars = warmup_bars
        self._is_live = False
        self._is_warming = False
        self._close: Decimal | None = None
        self._waiting: dict[int, Bar] = {}
        self._published: dict[int, Bar] = {}
        self._asked: AskKlines | None = None
        self.repeats = 0
        self.revised = 0
        self.gaps = Gaps()

    @property
    def is_healing(self) -> bool:
        """Whether a question to REST is open."""
        return self._asked is not None

    @property
    def has_released(self) -> bool:
        """Whether a bar has been released, by us or by whoever stored the last one."""
        return self._close is not None

    def awaits(self, answer: KlinesAnswer) -> bool:
        """Whether this answers the open question."""
        asked = self._asked
        return asked is not None and (asked.start_ns, asked.end_ns) == (
            answer.start_ns,
            answer.end_ns,
        )

    def is_grave(self, now_ns: int, limit_ns: int) -> bool:
        """Whether candles are missing for longer than a limit, or more than that are lost."""
        if self.next_open_ns is None:
            return False
        late_ns = now_ns - self.next_open_ns - self.length_ns
        is_late = self.gaps.open > 0 and late_ns > limit_ns
        return is_late or self.gaps.is_grave(self.next_open_ns, limit_ns)

    def resume(self, last: Bar) -> None:
        """Go on after the last candle that was published before we started."""
        self.next_open_ns = last.close_ns
        self._close = last.close
        self._remember(last)

    def on_connected(self) -> None:
        """The stream is subscribed; bars may have closed unheard before."""
        self._is_live = True

    def on_disconnected(self) -> None:
        """The stream is gone."""
        self._is_live = False

    def on_kline(self, event: KlineEvent) -> KlineEffects:
        """Take a bar of the stream; one that is still open, older or known changes nothing."""
        body = event.bar
        if not body.is_closed:
            return []
        open_ns = body.open_ms * NS_PER_MS
        if self.next_open_ns is None and not self._warmup_bars:
            self.next_open_ns = open_ns
        is_old = self.next_open_ns is not None and open_ns < self.next_open_ns
        if is_old or open_ns in self._waiting or open_ns % self.length_ns:
            return self._on_known(body)
        self._waiting[open_ns] = Bar(
            open_ns, open_ns + self.length_ns, body.open, body.high, body.low, body.close,
            body.volume, body.trade_count, CandleOrigin.STREAM,
        )  # fmt: skip
        return self._go_on()

    def on_late_kline(self, event: KlineEvent) -> KlineEffects:
        """Take a bar told so late that it can only be one we know; it starts no series."""
        is_known = event.bar.is_closed and self.next_open_ns is not None
        if is_known and event.bar.open_ms * NS_PER_MS < (self.next_open_ns or 0):
            return self._on_known(event.bar)
        return []

    def _on_known(self, body: KlineBody) -> KlineEffects:
        """A closed bar is told again: once published it stays as it is."""
        open_ns = body.open_ms * NS_PER_MS
        known = self._published.get(open_ns) or self._waiting.get(open_ns)
        if known is None or _is_same(known, body):
            self.repeats += 1
            return []
        self.revised += 1
        return [Revised(self.symbol, self.interval, known, body)]

    def on_time(
        self, proven_ns: int, *, source_ended: bool = False, is_from_rest: bool = False
    ) -> KlineEffects:
        """The stream has told everything up to a market time: ask for bars that are overdue.

        No bar is asked for earlier than that, not even one that ended before we listened: REST
        would tell it as it stood, and what is published once stays.

        ``is_from_rest``: the stream is gone, and REST says that it is this late.
        """
        if not (self._is_live or is_from_rest) or self._asked is not None:
            return []
        # A bar that ended just now may not be final in REST yet, or by the venue's clock not over.
        sure_ns = floor_to(proven_ns - self._overdue_ns, self.length_ns)
        if self.next_open_ns is None:
            return self._warm_up(sure_ns)
        if source_ended or self.next_open_ns + self.length_ns > sure_ns:
            return []
        self.gaps.find()
        return [self._ask(self.next_open_ns, sure_ns)]

    def on_answer(self, answer: KlinesAnswer) -> KlineEffects:
        """REST has answered the open question."""
        self._asked = None
        assert self.next_open_ns is not None, "a question has a start"
        listed = {bar.open_ns: bar for bar in answer.bars if bar.open_ns >= self.next_open_ns}
        if not answer.reaches_back or self._is_warming or self._close is None:
            known = [*listed, *self._waiting]
            self._skip_to(min(known, default=answer.end_ns))
        self._is_warming = False
        self.gaps.fill()
        for open_ns, bar in listed.items():
            self._waiting.setdefault(open_ns, bar)
        return [*self._fill(answer.end_ns), *self._go_on()]

    def _warm_up(self, sure_ns: int) -> KlineEffects:
        if not self._warmup_bars:
            return []
        self._is_warming = True
        self.next_open_ns = sure_ns - self._warmup_bars * self.length_ns
        return [self._ask(self.next_open_ns, sure_ns)]

    def _ask(self, start_ns: int, end_ns: int) -> AskKlines:
        self._asked = AskKlines(self.symbol, self.interval, start_ns, end_ns)
        return self._asked

    def _skip_to(self, open_ns: int) -> None:
        """Give up the bars before a time: nobody knows them."""
        assert self.next_open_ns is not None, "skips from somewhere"
        if open_ns > self.next_open_ns and not self._is_warming:
            self.gaps.lose(self.next_open_ns, open_ns)
        self.next_open_ns = max(self.next_open_ns, open_ns)

    def _fill(self, end_ns: int) -> list[CandleReady]:
        """Release up to ``end_ns``; what neither stream nor REST knows had no trades."""
        released: list[CandleReady] = []
        assert self.next_open_ns is not None, "asked from there"
        while self.next_open_ns < end_ns:
            bar = self._waiting.pop(self.next_open_ns, None)
            if bar is None:
                price = self._close
                assert price is not None, "a flat bar follows another"
                bar = Bar(
                    self.next_open_ns, self.next_open_ns + self.length_ns, price, price, price,
                    price, ZERO, 0, CandleOrigin.REST,
                )  # fmt: skip
            released.append(self._release(bar))
        return released

    def _go_on(self) -> KlineEffects:
        """Release what follows without a hole; ask for the hole before what does not."""
        released: KlineEffects = []
        if self._asked is not None or self.next_open_ns is None:
            return released
        while (bar := self._waiting.pop(self.next_open_ns, None)) is not None:
            released.append(self._release(bar))
        if self._waiting:
            self.gaps.find()
            released.append(self._ask(self.next_open_ns, min(self._waiting)))
        return released

    def _release(self, bar: Bar) -> CandleReady:
        self._close = bar.close
        self.next_open_ns = bar.close_ns
        self._remember(bar)
        cause = f"{self.symbol}-k-{self.interval}-{bar.open_ns // NS_PER_MS}"
        return CandleReady(self.symbol, self.interval, bar, cause)

    def _remember(self, bar: Bar) -> None:
        self._published[bar.open_ns] = bar
        if len(self._published) > PUBLISHED_REMEMBERED_MAX:
            del self._published[next(iter(self._published))]


def _is_same(bar: Bar, body: KlineBody) -> bool:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume) == (
        body.open, body.high, body.low, body.close, body.volume,
    )  # fmt: skip
