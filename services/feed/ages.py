"""How old what was said of a symbol is, by the times of the events themselves. Pure."""

from libs.common.messages.market import SymbolHealth
from services.feed.events import NS_PER_MS, MarkEvent, QuoteEvent


class Ages:
    """Event time of the newest message of each kind that was said of a symbol; 0: none was."""

    __slots__ = ("_is_quote_rest", "_mark_ms", "_quote_ms", "_symbol", "trade_ms")

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._quote_ms = self._mark_ms = self.trade_ms = 0
        self._is_quote_rest = False

    def on_said(self, event: QuoteEvent | MarkEvent) -> None:
        """It was published: what is only heard makes nobody's data younger."""
        if isinstance(event, QuoteEvent):
            self._quote_ms, self._is_quote_rest = event.event_ms, event.is_rest
        else:
            self._mark_ms = event.event_ms

    def health(
        self, now_ns: int | None, *, quote_age_ms_max: int, mark_age_ms_max: int, is_whole: bool
    ) -> SymbolHealth:
        """Ages at a market time (``None``: not known), and whether the symbol may be entered.

        Not where the newest quote is REST's: one a round is enough for exits, not for entries.

        Args:
            is_whole: its sockets are up, and no candles are missing for too long.
        """
        quote = _age_ms(self._quote_ms, now_ns)
        mark = _age_ms(self._mark_ms, now_ns)
        is_fresh = (
            is_whole
            and not self._is_quote_rest
            and quote is not None
            and mark is not None
            and quote <= quote_age_ms_max
            and mark <= mark_age_ms_max
        )
        return SymbolHealth(
            symbol=self._symbol,
            quote_age_ms=quote,
            mark_age_ms=mark,
            trade_age_ms=_age_ms(self.trade_ms, now_ns),
            is_stale=not is_fresh,
        )


def _age_ms(event_ms: int, now_ns: int | None) -> int | None:
    if event_ms == 0 or now_ns is None:
        return None
    return max(0, now_ns // NS_PER_MS - event_ms)
