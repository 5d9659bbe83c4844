"""What the shell knows besides the journal: marks, the feed's word, arming, budget, and doors.

Facts are made here at the moment of each decision, never before.
"""

from collections.abc import Iterable

from libs.common.messages.market import Mark, MarketHealth
from libs.common.messages.vouching import FeedWords, HealthSeen
from libs.common.runtime.clock import Clock, monotonic_ns
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.endpoints import Cost, Purpose
from services.execution.arming import Arming
from services.execution.core import Facts
from services.execution.question import BudgetSeen, MarkSeen

#: What one order adds to the venue's counts; it weighs nothing.
ONE_ORDER = Cost(weight=0, orders_10s=1, orders_1m=1)


class Lookout:
    """Makes the facts that decisions look at.

    Attributes:
        closing: why nothing may leave any more although the journal does not say so yet: a halt
            that is on its way into it, or a halt by file while the broker is away.
        closing_to_entries: the same for a reduction, which lets exits through.
    """

    def __init__(
        self,
        venue: VenueClient,
        clock: Clock,
        arming: Arming,
        account: str,
        writer: str,
        recv_window_ms: int,
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._arming = arming
        self._account = account
        self._writer = writer
        self._recv_window_ms = recv_window_ms
        self.marks: dict[str, MarkSeen] = {}
        self._words = FeedWords()
        self.closing: set[str] = set()
        self.closing_to_entries: set[str] = set()

    def hear_mark(self, mark: Mark) -> bool:
        """Take a mark price; returns whether it is a number that can be reckoned with."""
        seen = MarkSeen(price=mark.mark_price, at_ns=mark.ts_event_ns)
        if seen.is_usable:
            self.marks[mark.symbol] = seen
        return seen.is_usable

    def hear_health(self, told: MarketHealth) -> None:
        """Take what a feed says of its symbols, as heard now."""
        self._words.hear(told, monotonic_ns())

    def health(self, symbol: str) -> HealthSeen | None:
        """The feed's newest word on a symbol; ``None`` where this process heard none."""
        return self._words.seen(symbol, monotonic_ns())

    def knows_market(self, symbols: Iterable[str]) -> bool:
        """Whether a mark and a word of the feed were heard of every symbol, good or bad."""
        return all(name in self.marks and self.health(name) is not None for name in symbols)

    def facts(self, symbol: str) -> Facts:
        """What is known now, for a decision on one symbol."""
        closing = self.closing | self.closing_to_entries
        return Facts(
            now_ns=self._clock.now_ns(),
            venue_timestamp_ms=self._venue.timestamp_ms(),
            recv_window_ms=self._recv_window_ms,
            mark=self.marks.get(symbol),
            health=self.health(symbol),
            unarmed=(*self._arming.unarmed, *(f"closing: {why}" for why in sorted(closing))),
            account=self._account,
            writer=self._writer,
            budget_entry=self._budget(Purpose.ENTRY),
            budget_exit=self._budget(Purpose.EXIT),
            is_closing=bool(self.closing),
            is_closing_to_entries=bool(self.closing or self.closing_to_entries),
        )

    def _budget(self, purpose: Purpose) -> BudgetSeen:
        room = self._venue.budget.may_send(purpose, ONE_ORDER, self._venue.timestamp_ms())
        return BudgetSeen(
            refusal="" if room.may_send else room.observed,
            limit=room.allowed,
            observed=room.observed,
        )
