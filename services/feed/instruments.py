"""What the venue says of our symbols: which of them trade, and until when. Pure.

Each symbol is judged by itself. One that is absent, unreadable, in a status nobody knows, or told
too long ago takes no new risk; the others do not pay for it.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from libs.common.venue.payloads import ExchangeInfo, PayloadError, SymbolInfo
from services.feed.events import NS_PER_MS

TRADING = "TRADING"
#: Not the venue's words: what we call a symbol that it does not list, or lists unreadably.
ABSENT, UNREADABLE, UNKNOWN = "ABSENT", "UNREADABLE", "UNKNOWN"
STATUSES = frozenset(
    {
        TRADING,
        "PENDING_TRADING",
        "PRE_SETTLE",
        "SETTLING",
        "CLOSE",
        "TRADING_HALT",
        "TRADING_CANCEL_ONLY",
        "BREAK",
        "HALT",
        "PRE_DELIVERING",
        "DELIVERING",
        "DELIVERED",
    }
)
"""What the venue is known to say. Another word is refused as these are, and named as unknown."""
DAY_MS = 86_400_000


class SymbolState(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol as it was last told.

    Attributes:
        status: the venue's word, or ABSENT, UNREADABLE, UNKNOWN (not told yet).
        refusal: why it takes no new risk; empty where it does.
        onboard_ms: first moment of trading; 0 where not told.
        delivery_ms: last moment of trading; far away for a perpetual, 0 where not told.
    """

    status: str = UNKNOWN
    refusal: str = "the venue has not said yet whether it trades"
    onboard_ms: int = 0
    delivery_ms: int = 0


class StatusChange(msgspec.Struct, frozen=True):
    """A symbol is told to be something else than before."""

    symbol: str
    before: str
    after: str
    refusal: str


class Instruments:
    """The states of our symbols. All times are market time.

    ``changes`` counts what each symbol became since the start, ``reads`` the answers taken.
    """

    def __init__(self, symbols: Iterable[str], *, age_ms_max: int, warn_ahead_ms: int) -> None:
        self.states = {symbol: SymbolState() for symbol in symbols}
        self.changes: Counter[str] = Counter()
        self.reads = 0
        self.read_at_ns: int | None = None
        self._age_ms_max = age_ms_max
        self._warn_ahead_ms = warn_ahead_ms

    def take(self, info: ExchangeInfo, now_ns: int) -> list[StatusChange]:
        """Take an answer of the venue; returns what changed by it.

        Args:
            now_ns: when it was asked for, since it is no younger than that.
        """
        entries, unreadable = info.read()
        listed: dict[str, list[SymbolInfo]] = {symbol: [] for symbol in self.states}
        for entry in entries:
            if entry.symbol in listed:
                listed[entry.symbol].append(entry)
        changes: list[StatusChange] = []
        for symbol, before in self.states.items():
            after = _judge(symbol, listed[symbol], unreadable.get(symbol))
            self.states[symbol] = after
            if (before.status, before.refusal) != (after.status, after.refusal):
                changes.append(StatusChange(symbol, before.status, after.status, after.refusal))
                self.changes[after.status] += 1
        self.reads += 1
        self.read_at_ns = now_ns
        return changes

    def is_old(self, now_ns: int) -> bool:
        """Whether nothing was told for so long that nothing of it counts any more."""
        # A clock that was set makes an answer old in either direction.
        return (
            self.read_at_ns is None or abs(now_ns - self.read_at_ns) > self._age_ms_max * NS_PER_MS
        )

    def refusal(self, symbol: str, now_ns: int) -> str:
        """Why a symbol takes no new risk now; empty where it does."""
        state = self.states[symbol]
        if state.refusal:
            return state.refusal
        if self.is_old(now_ns):
            return f"nothing was told of it for more than {self._age_ms_max} ms"
        now_ms = now_ns // NS_PER_MS
        if 0 < state.delivery_ms <= now_ms:
            return f"its last moment was {state.delivery_ms} ms"
        return ""

    def warnings(self, now_ns: int) -> list[str]:
        """What a person should know: symbols that do not trade, or will soon not any more."""
        found: list[str] = []
        now_ms = now_ns // NS_PER_MS
        for symbol, state in self.states.items():
            left_ms = state.delivery_ms - now_ms
            if refusal := self.refusal(symbol, now_ns):
                found.append(f"{symbol} takes no entries: {refusal}")
            elif state.delivery_ms and left_ms <= self._warn_ahead_ms:
                found.append(f"{symbol} is delisted in {left_ms / DAY_MS:.1f} days: get out")
        return found


def _judge(symbol: str, entries: list[SymbolInfo], unreadable: str | None) -> SymbolState:
    if unreadable is not None:
        return SymbolState(status=UNREADABLE, refusal=unreadable)
    if not entries:
        return SymbolState(status=ABSENT, refusal="the venue does not list it")
    if len(entries) > 1:
        return SymbolState(status=UNREADABLE, refusal="the venue lists it more than once")
    info = entries[0]
    refusal = ""
    if info.status != TRADING:
        refusal = f"its status is {info.status[:40]}"
        if info.status not in STATUSES:
            refusal += ", which nobody knows"
    else:
        try:
            info.to_instrument()
        except PayloadError as error:
            return SymbolState(status=UNREADABLE, refusal=str(error))
    return SymbolState(
        status=info.status[:40],
        refusal=refusal,
        onboard_ms=info.onboard_ms,
        delivery_ms=info.delivery_ms,
    )
