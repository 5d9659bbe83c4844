"""What the venue counts: request weight per minute, whom it told so, and whom it has banned."""

from typing import NamedTuple

from sim.loop import NS_PER_S, VirtualLoop

MINUTE_NS = 60 * NS_PER_S
ORDERS_OF_OTHERS = 900
"""What somebody else with the same account uses up of 1,200 a minute."""
ENTRY_CEILING = 864
"""Entries are refused above 90 % of what is not reserved: 1,200 x 0.8 x 0.9."""
HEARING_NS = 100_000
"""From the arrival of an answer until its process has run the steps that take it in."""
WEIGHT_HEADER = "x-mbx-used-weight-1m"
ORDERS_HEADER = "x-mbx-order-count-1m"


class _Told(NamedTuple):
    at_ns: int
    until_ns: int
    minute: int
    used: int
    counted_at_ns: int


_NOTHING = _Told(0, 0, 0, 0, 0)


class Traffic:
    """The counts of one address. `faults` are requests that were known to be unwelcome."""

    def __init__(self, loop: VirtualLoop, epoch_ns: int) -> None:
        self.faults: list[str] = []
        self.peak = 0
        self.filters_hidden_until_ns = 0
        self._loop = loop
        self._epoch_ns = epoch_ns
        self._minute = 0
        self._used = 0
        self._told: dict[str, _Told] = {}

    def _now_ns(self) -> int:
        return self._epoch_ns + self._loop.now_ns

    def charge(self, weight: int) -> int:
        """Count a request that was judged; returns what its answer tells."""
        minute = self._now_ns() // MINUTE_NS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        self.peak = max(self.peak, self._used)
        return self._used

    def hide_filters(self, span_ns: int) -> None:
        """The venue's rules cannot be read for a while."""
        self.filters_hidden_until_ns = self._loop.now_ns + span_ns

    @property
    def are_filters_hidden(self) -> bool:
        """Whether they cannot be read now."""
        return self._loop.now_ns < self.filters_hidden_until_ns

    def told_of_ban(self, life: str, until_ns: int) -> None:
        """A process hears until when it has to be silent."""
        self._told[life] = self._told.get(life, _NOTHING)._replace(
            at_ns=self._now_ns() + HEARING_NS, until_ns=until_ns
        )

    def told_of_orders(self, life: str, sent_ns: int, headers: dict[str, str]) -> None:
        """A process hears how many orders of the minute are used up in which it asked."""
        minute = self._now_ns() // MINUTE_NS
        if ORDERS_HEADER in headers and sent_ns // MINUTE_NS == minute:
            used = int(headers[ORDERS_HEADER])
            known = self._told.get(life, _NOTHING)
            if minute != known.minute or used > known.used:
                heard_ns = self._now_ns() + HEARING_NS
                self._told[life] = known._replace(minute=minute, used=used, counted_at_ns=heard_ns)

    def sent(self, life: str, what: str, *, is_entry: bool) -> None:
        """A process whose clock is right sends something."""
        told, now_ns = self._told.get(life, _NOTHING), self._now_ns()
        if told.until_ns and told.at_ns < now_ns < told.until_ns:
            self.faults.append(f"I6 {life} sends {what} though it was told to wait")
        is_known = told.minute == now_ns // MINUTE_NS and told.counted_at_ns < now_ns
        if is_entry and is_known and told.used > ENTRY_CEILING:
            self.faults.append(f"I6 {life} sends {what} after {told.used} orders")
