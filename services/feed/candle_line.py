"""The candles of one series between the core, which releases them, and the stream that stores them.

Every replica keeps what its core released until it knows it stored, by itself or by the leader, so
that whoever takes over goes on exactly after the last stored one. Pure.
"""

from collections import deque
from collections.abc import Iterator

from services.feed.bars import Bar
from services.feed.trade_series import CandleReady

#: Later than every time a venue can tell.
NEVER_NS = 2**63


class CandleLine:
    """One series.

    Attributes:
        sequence: the stream sequence of the last message on its subject; 0 while there is none.
        stored: the last candle known to be stored.
        is_joined: our candles follow the stored ones: the core went on after one of them, or we
            stored the first. Until then the core may have begun later than another replica's.
        repeats: candles released that were stored already.
    """

    def __init__(self, symbol: str, interval: str) -> None:
        self.symbol = symbol
        self.interval = interval
        self.sequence = 0
        self.stored: Bar | None = None
        self.is_joined = False
        self.repeats = 0
        self._kept: deque[CandleReady] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[CandleReady]:
        return iter(self._kept)

    @property
    def head(self) -> CandleReady | None:
        """The next candle to store."""
        return self._kept[0] if self._kept else None

    @property
    def begins_ns(self) -> int:
        """Where the next candle to store begins; no time is later where there is none."""
        return self._kept[0].bar.open_ns if self._kept else NEVER_NS

    @property
    def ends_ns(self) -> int:
        """Where the last candle to store ends; 0 where there is none."""
        return self._kept[-1].bar.close_ns if self._kept else 0

    def keep(self, ready: CandleReady) -> None:
        """Take a candle of the core, unless the stream or we have it."""
        last = self._kept[-1].bar if self._kept else self.stored
        if last is not None and ready.bar.open_ns < last.close_ns:
            self.repeats += 1
            return
        self._kept.append(ready)

    def on_stored(self, sequence: int) -> CandleReady:
        """The head is stored, under this sequence; returns it."""
        ready = self._kept.popleft()
        self.sequence = sequence
        self.stored = ready.bar
        self.is_joined = True
        return ready

    def learn(self, sequence: int, last: Bar | None) -> None:
        """The stream's last message, and the candle in it if it can be read."""
        self.sequence = sequence
        if last is None or (self.stored is not None and last.close_ns < self.stored.close_ns):
            return
        self.stored = last
        while self._kept and self._kept[0].bar.open_ns < last.close_ns:
            self._kept.popleft()
            self.repeats += 1

    def must_join(self, next_open_ns: int | None) -> bool:
        """Whether the core must begin anew after the stored candle, lest a hole remain.

        Args:
            next_open_ns: where the core goes on; ``None`` if it has released none yet.
        """
        if self.is_joined or self.stored is None:
            return False
        first_ns = self._kept[0].bar.open_ns if self._kept else next_open_ns
        self.is_joined = first_ns is not None and first_ns <= self.stored.close_ns
        return not self.is_joined

    def begin_anew(self) -> None:
        """The core goes on after the stored candle and releases again what follows."""
        self._kept.clear()
        self.is_joined = self.stored is not None
