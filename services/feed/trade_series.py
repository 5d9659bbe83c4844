"""The candles a symbol's trades add up to, held back while a trade may be missing.

A trade may be missing after the socket was away, after a restart, and where ids jump. Ids may jump
without anything missing, so a jump is a question to REST, not a fact. The question starts at a
trade we know: if the answer begins with that very trade, nothing can hide before it.

A silent stream may be whole or stalled. The paper venue tells which: its clock names the newest
trade, and one that the stream kept back is asked for. Elsewhere a bar is released only once the
next trade proves it (ids leave no room for another), or, where none comes, once REST was asked for
what is newer and has told it.
"""

from collections.abc import Sequence

import msgspec

from libs.common.model.ids import candle_id
from services.feed.bars import Bar, Print, TradeBars
from services.feed.events import NS_PER_MS, TradeEvent
from services.feed.gaps import Gaps


class CandleReady(msgspec.Struct, frozen=True, gc=False):
    """Publish this bar; ``cause`` is the id of what completed it."""

    symbol: str
    interval: str
    bar: Bar
    cause: str

    @property
    def candle_id(self) -> str:
        """The id it is published under, the same whoever publishes it."""
        return candle_id(self.symbol, self.interval, self.bar.open_ns)


class AskTrades(msgspec.Struct, frozen=True, gc=False):
    """Fetch every trade from ``from_id`` (which we know) up to the present.

    ``is_proof``: nothing is known to be missing; the answer proves whether the stream is whole.
    """

    symbol: str
    from_id: int
    is_proof: bool = False


class TradesAnswer(msgspec.Struct, frozen=True, gc=False):
    """All trades REST has from ``asked_id`` on, oldest first.

    ``first_id`` and ``last_id`` are those of all rows, also of rows that are no market prints;
    ``None`` where REST has nothing.
    """

    symbol: str
    asked_id: int
    prints: Sequence[Print]
    first_id: int | None
    last_id: int | None
    is_proof: bool = False

    @property
    def reaches_back(self) -> bool:
        """Whether REST still has the trade we asked from, so that none can be lost after it."""
        return self.first_id == self.asked_id


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The paper venue's word on which trade was the newest at a time."""

    newest_id: int
    told_ns: int


_CAUSE = "-t-"
#: How often REST is asked again for what lies between its newest trade and our oldest. After that
#: the ids between belong to rows that REST does not list, such as those of the insurance fund.
LAG_QUESTIONS_MAX = 5


def cause_of(symbol: str, trade_id: int) -> str:
    """The id of the trade message that completed a bar."""
    return f"{symbol}{_CAUSE}{trade_id}"


def trade_id_of(cause: str) -> int | None:
    """The trade id inside a cause; ``None`` if the bar was not built from trades."""
    number = cause.rpartition(_CAUSE)[2]
    return int(number) if number.isdecimal() else None


class TradeSeries:
    """All trade-built intervals of one symbol.

    ``proof_wait_ns``: market time a bar waits for the next trade before REST is asked to prove it,
    by which REST may trail the stream, and between two such questions; ``None`` where the venue's
    own clock proves it, by naming the newest trade.

    Attributes:
        unheard: trades that REST told and the stream, though subscribed, had not.
    """

    def __init__(
        self,
        symbol: str,
        lengths_ns: dict[str, int],
        grace_ns: int,
        *,
        proof_wait_ns: int | None = None,
    ) -> None:
        self.symbol = symbol
        self._proof_wait_ns = proof_wait_ns
        self._proof_asked_ns: int | None = None
        self._is_proof_open = False
        self._now_ns = 0
        self._is_doubtful = False
        self.unheard = 0
        self.bars = {name: TradeBars(length, grace_ns) for name, length in lengths_ns.items()}
        self._is_live = False
        self._resume_id: int | None = None
        self._asked_id: int | None = None
        self._wanted_id: int | None = None
        self._stream_first_id: int | None = None
        self._stream_last_id: int | None = None
        self._last_print_id: int | None = None
        self._lag_questions = 0
        self._proven_ns = 0
        self._source_ended = False
        self._claim: Claim | None = None
        self._asked_claim: Claim | None = None
        self.gaps = Gaps()

    @property
    def is_held(self) -> bool:
        """Whether no bar may be released because a trade may be missing."""
        return not self._is_live or self.is_healing or self._is_doubtful

    @property
    def is_healing(self) -> bool:
        """Whether a question to REST is open."""
        return self._asked_id is not None or self._wanted_id is not None

    def awaits(self, answer: TradesAnswer) -> bool:
        """Whether this answers the open question."""
        return self._is_proof_open if answer.is_proof else self._asked_id == answer.asked_id

    @property
    def trades_held(self) -> int:
        """Trades kept for bars that are not released yet."""
        return sum(bars.trades_held for bars in self.bars.values())

    def is_grave(self, now_ns: int, limit_ns: int) -> bool:
        """Whether candles are missing for longer than a limit, or more than that are lost."""
        starts = [one.next_open_ns for one in self.bars.values() if one.next_open_ns is not None]
        # Not where a bar begins next: that of a long interval may lie far behind what was lost.
        if self.gaps.is_grave(self._proven_ns or min(starts, default=0), limit_ns):
            return True
        if not self.is_held:
            return False
        return any(
            now_ns - bars.next_open_ns - bars.length_ns > limit_ns
            for bars in self.bars.values()
            if bars.next_open_ns is not None and bars.has_released
        )

    def resume(self, interval: str, close_ns: int, bar: Bar) -> None:
        """Go on after the last candle that was published before we started."""
        self.bars[interval].resume(close_ns, bar.close, bar.last_trade_id)
        known = self._resume_id
        self._resume_id = bar.last_trade_id if known is None else min(known, bar.last_trade_id)

    def on_connected(self) -> list[AskTrades]:
        """The stream is subscribed: from here on nothing is missed; ask for what was."""
        self._is_live = True
        self._is_doubtful = False
        if self._resume_id is None:
            return []
        self._find_gap(self._resume_id)
        return self._ask()

    def on_disconnected(self) -> None:
        """The stream is gone: trades may be missed from here on."""
        self._note_whole()
        if self._resume_id is None:
            for bars in self.bars.values():
                bars.forget()
        self._is_live = False
        self._stream_first_id = self._stream_last_id = None
        self._claim = self._asked_claim = None

    def on_trade(self, event: TradeEvent) -> list[CandleReady | AskTrades]:
        """Count one trade of the stream."""
        number = event.trade_id
        last = self._stream_last_id
        asks: list[AskTrades] = []
        self._is_doubtful = False
        if self._stream_first_id is None:
            self._stream_first_id = number
        if last is not None and number > last + 1:
            self._find_gap(last if self._last_print_id is None else self._last_print_id)
            asks = self._ask()
        if last is None or number > last:
            self._stream_last_id = number
        if event.is_market_print:
            trade = Print(number, event.trade_ms * NS_PER_MS, event.price, event.quantity)
            self._last_print_id = max(number, self._last_print_id or 0)
            for bars in self.bars.values():
                bars.add(trade)
        # Ids prove what was matched before this trade, and nothing after it.
        self._proven_ns = max(self._proven_ns, event.trade_ms * NS_PER_MS)
        candles = self._release() if self._is_due() else []
        return [*asks, *candles] if asks else candles

    def on_refused_trade(self) -> list[AskTrades]:
        """A trade came whose time cannot be: REST knows better, as does the next one by its id."""
        if self._proof_wait_ns is not None or self._last_print_id is None:
            self._is_doubtful = True
            return []
        self._find_gap(self._last_print_id)
        return self._ask()

    def on_time(
        self, now_ns: int, *, newest_id: int = 0, source_ended: bool = False
    ) -> list[CandleReady | AskTrades]:
        """It is this late.

        Where the venue's clock says so it names the newest trade by then, 0 for none: whether the
        stream has told everything up to that time, too, shows by it.
        """
        if self._proof_wait_ns is not None:
            return self._on_unproven_time(now_ns, self._proof_wait_ns)
        self._source_ended = source_ended or self._source_ended
        for bars in self.bars.values():
            if bars.next_open_ns is None:
                bars.start_after(now_ns)
        asks = self._take_claim(Claim(newest_id, now_ns))
        return asks or (self._release() if self._is_due() else [])

    def _take_claim(self, claim: Claim) -> list[CandleReady | AskTrades]:
        """Believe the time if its trades are known; else ask for them, once a bar needs them."""
        self._claim = claim
        if not self._is_live or self.is_healing:
            return []  # what is on its way shows how much of it is known
        if self._stream_last_id is None and claim.newest_id:
            # Nothing is known of what came before: bars begin after it.
            self._stream_last_id = claim.newest_id
            for bars in self.bars.values():
                bars.restart_after(claim.told_ns)
        self._settle(claim)
        if self._proven_ns >= claim.told_ns:
            return []
        if not any(bars.is_due(claim.told_ns) for bars in self.bars.values()):
            return []
        assert self._stream_last_id is not None, "else the claim was settled"
        self._asked_claim = claim
        known = self._last_print_id
        self._find_gap(self._stream_last_id if known is None else known)
        return [*self._ask()]

    def _settle(self, claim: Claim | None) -> None:
        """Nothing is missing up to the time of a claim whose trade is known."""
        if claim is not None and claim.newest_id <= (self._stream_last_id or 0):
            self._proven_ns = max(self._proven_ns, claim.told_ns)

    def _on_unproven_time(self, now_ns: int, wait_ns: int) -> list[CandleReady | AskTrades]:
        self._now_ns = max(self._now_ns, now_ns)
        if self._is_due():
            return self._release()
        last_id, asked_ns = self._last_print_id, self._proof_asked_ns
        is_young = asked_ns is not None and now_ns - asked_ns < wait_ns
        is_asked = self._is_proof_open or self.is_healing
        if last_id is None or not self._is_live or is_asked or is_young:
            return []
        if not any(bars.is_due(now_ns - wait_ns) for bars in self.bars.values()):
            return []
        self._proof_asked_ns = now_ns
        self._is_proof_open = True
        return [AskTrades(self.symbol, last_id, is_proof=True)]

    def on_answer(self, answer: TradesAnswer) -> list[CandleReady | AskTrades]:
        """REST has answered a question."""
        if answer.is_proof:
            self._take_proof(answer)
            self._take_prints(answer)
            return [*self._ask(), *self._release()]
        self._asked_id = None
        self._is_doubtful = False
        self._take_prints(answer)
        newest = answer.asked_id if answer.last_id is None else answer.last_id
        first = self._stream_first_id
        self._take_unheard(answer)
        if first is None:
            self._resume_id = newest
        if self._is_live:
            self._stream_last_id = max(newest, self._stream_last_id or newest)
            self._settle(self._asked_claim)
            self._settle(self._claim)
        self._asked_claim = None
        is_short = first is not None and newest < first - 1 and answer.reaches_back
        if is_short and self._lag_questions < LAG_QUESTIONS_MAX:
            self._lag_questions += 1
            self._want(newest)  # REST lags behind the stream: what lies between is still missing
        else:
            self._lag_questions = 0
        if self._wanted_id is None:
            self.gaps.fill()
        return [*self._ask(), *self._release()]

    def _take_prints(self, answer: TradesAnswer) -> None:
        if not answer.reaches_back:
            lost_until_ns = answer.prints[0].trade_ns if answer.prints else self._proven_ns
            starts = [b.next_open_ns for b in self.bars.values() if b.next_open_ns is not None]
            self.gaps.lose(min(starts, default=lost_until_ns), lost_until_ns)
            for bars in self.bars.values():
                bars.restart_after(lost_until_ns)
        for trade in answer.prints:
            for bars in self.bars.values():
                bars.add(trade)
        if answer.prints:
            self._last_print_id = max(answer.prints[-1].trade_id, self._last_print_id or 0)
            if self._proof_wait_ns is not None:
                self._proven_ns = max(self._proven_ns, answer.prints[-1].trade_ns)

    def _take_unheard(self, answer: TradesAnswer) -> None:
        """Count what the venue's clock named and the stream had not told."""
        claim, heard = self._asked_claim, self._stream_last_id
        if claim is not None and heard is not None:
            self.unheard += sum(heard < one.trade_id <= claim.newest_id for one in answer.prints)

    def _take_proof(self, answer: TradesAnswer) -> None:
        """Nothing is newer than what REST told, up to the question less what REST may trail."""
        assert self._proof_wait_ns is not None, "asked only where nothing else proves"
        assert self._proof_asked_ns is not None, "asked"
        whole_ns = self._proof_asked_ns - self._proof_wait_ns
        heard = self._stream_last_id
        missed = [
            one for one in answer.prints
            if one.trade_ns <= whole_ns and (heard is None or one.trade_id > heard)
        ]  # fmt: skip
        if missed and answer.reaches_back:
            self.unheard += len(missed)
            self.gaps.find()
            if not self.is_healing:
                self.gaps.fill()
        if answer.last_id is not None and self._stream_last_id is not None:
            self._stream_last_id = max(self._stream_last_id, answer.last_id)
        self._proven_ns = max(self._proven_ns, whole_ns)
        self._is_doubtful = self._is_proof_open = False

    def _find_gap(self, from_id: int) -> None:
        self.gaps.find()
        self._want(from_id)

    def _want(self, from_id: int) -> None:
        self._wanted_id = from_id if self._wanted_id is None else min(self._wanted_id, from_id)

    def _ask(self) -> list[AskTrades]:
        if self._asked_id is not None or self._wanted_id is None or not self._is_live:
            return []
        self._asked_id, self._wanted_id = self._wanted_id, None
        return [AskTrades(self.symbol, self._asked_id)]

    def _release(self) -> list[CandleReady | AskTrades]:
        if self.is_held:
            return []
        self._note_whole()
        until_ns = self._until_ns()
        return [
            CandleReady(self.symbol, name, bar, cause_of(self.symbol, bar.last_trade_id))
            for name, bars in self.bars.items()
            for bar in bars.release(until_ns, with_flat_tail=not self._source_ended)
        ]

    def _is_due(self) -> bool:
        until_ns = self._until_ns()
        return any(bars.is_due(until_ns) for bars in self.bars.values())

    def _until_ns(self) -> int:
        """How far bars may close: as far as is proven, and never past the time it is."""
        is_proven = self._proof_wait_ns is None
        return self._proven_ns if is_proven else min(self._proven_ns, self._now_ns)

    def _note_whole(self) -> None:
        """Nothing is missing up to the newest print: a later question may start there.

        REST lists prints only, so a question that started at another row would not be found.
        """
        if not self.is_held and self._last_print_id is not None:
            self._resume_id = self._last_print_id
