"""How much of the venue's limits is used, and whether one more request may be sent.

Three fixed windows, in venue time: request weight per minute (of the address), orders per ten
seconds and per minute (of the account). The venue tells its counts in the headers of answers; in
between our own requests are counted, and of both figures the larger holds. What others use of the
same limits shows in the venue's figure only.

The rule, for each window:

- the budget of EXIT, CANCEL and RECONCILE is the venue's limit; the budget of ENTRY and READ is
  the limit less `reserve_percent`, so that they can never use up what getting out needs;
- a request that would bring the count above `refuse_percent` of its budget may not be sent;
- one that brings it to `warn_percent` of its budget or more may be sent, with a warning.

With the defaults and a limit of 2,400: ENTRY and READ warn at 1,536 and are refused above 1,728
(72 % of the limit); EXIT, CANCEL and RECONCILE warn at 1,920 and are refused above 2,160 (90 %).

Pure: time is passed in, nothing is sent or logged.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from libs.common.venue.endpoints import RESERVED_PURPOSES, Cost, Purpose
from libs.common.venue.payloads import RateLimit


class WindowName(StrEnum):
    """The venue's counts that concern us."""

    WEIGHT_1M = "weight_1m"
    ORDERS_10S = "orders_10s"
    ORDERS_1M = "orders_1m"


class BudgetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Shares in percent, and what counts until exchangeInfo told the venue's limits.

    Sources: the shares are the project's; 2,400, 300 and 1,200 are exchangeInfo's figures of 2026.
    """

    warn_percent: int = 80
    refuse_percent: int = 90
    reserve_percent: int = 20
    weight_1m_max: int = 2_400
    orders_10s_max: int = 300
    orders_1m_max: int = 1_200

    def __post_init__(self) -> None:
        """Refuse shares that leave ordinary requests nothing, or warn after refusing."""
        if not 0 < self.warn_percent <= self.refuse_percent <= 100:
            raise ValueError("shares must obey 0 < warn_percent <= refuse_percent <= 100")
        if not 0 <= self.reserve_percent < 100:
            raise ValueError("reserve_percent must be at least 0 and below 100")


class Level(StrEnum):
    """What may be done."""

    FREE = "FREE"
    WARN = "WARN"
    REFUSE = "REFUSE"


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request may be sent, and by the figures of which window (the tightest).

    `used` is the count without the request, `ceiling` the highest count that is allowed after it,
    `limit` the venue's own.
    """

    level: Level
    purpose: Purpose
    window: WindowName
    used: int
    ceiling: int
    limit: int

    @property
    def may_send(self) -> bool:
        """Whether the request may be sent."""
        return self.level is not Level.REFUSE

    @property
    def observed(self) -> str:
        """The count in words."""
        return f"{self.window} {self.used} of {self.limit}"

    @property
    def allowed(self) -> str:
        """The ceiling in words."""
        return f"{self.window} at most {self.ceiling} for {self.purpose}"


class Peak(msgspec.Struct, frozen=True):
    """The highest count of a window over some time, and the venue's limit."""

    used: int
    limit: int


class Booking(msgspec.Struct, frozen=True):
    """A request that was counted when it was sent, at this venue time."""

    cost: Cost
    venue_ms: int


class VenueBudget:
    """The counts of one account at one venue, as one process knows them."""

    def __init__(self, limits: BudgetLimits | None = None) -> None:
        self.limits = limits or BudgetLimits()
        self._weight = _Window(WindowName.WEIGHT_1M, 60_000, self.limits.weight_1m_max)
        self._orders_10s = _Window(WindowName.ORDERS_10S, 10_000, self.limits.orders_10s_max)
        self._orders_1m = _Window(WindowName.ORDERS_1M, 60_000, self.limits.orders_1m_max)
        self._windows = (self._weight, self._orders_10s, self._orders_1m)

    @property
    def peak_weight(self) -> int:
        """The highest weight of any minute so far."""
        return self._weight.peak

    def set_limits(self, rate_limits: Iterable[RateLimit]) -> None:
        """Take the venue's limits from exchangeInfo; one that it does not name stays."""
        for one in rate_limits:
            window = self._window_of(one)
            if window is not None and one.limit > 0:
                window.limit = one.limit

    def may_send(self, purpose: Purpose, cost: Cost, venue_ms: int) -> Room:
        """Return whether a request of this cost may be sent now; the tightest window speaks.

        A window that the request does not add to refuses nothing.
        """
        rooms = [
            self._room(window, purpose, amount, venue_ms)
            for window, amount in zip(self._windows, _amounts(cost), strict=True)
            if amount
        ]
        if not rooms:
            rooms = [self._room(self._weight, purpose, 0, venue_ms)]
        return max(rooms, key=lambda room: (_RANK[room.level], room.used * 100 // room.ceiling))

    def book(self, cost: Cost, venue_ms: int) -> Booking:
        """Count a request that is being sent."""
        if cost.weight:
            self._weight.add(cost.weight, venue_ms)
        if cost.orders_1m:
            self._orders_10s.add(cost.orders_10s, venue_ms)
            self._orders_1m.add(cost.orders_1m, venue_ms)
        return Booking(cost, venue_ms)

    def settle(self, booking: Booking, headers: Mapping[str, str], venue_ms: int) -> None:
        """Take what the answer of a booked request told (no headers: there was none)."""
        cost, sent_ms = booking.cost, booking.venue_ms
        weight, orders_10s, orders_1m = map(headers.get, HEADERS)
        if cost.weight or weight:
            self._weight.settle(cost.weight, sent_ms, count_of(weight), venue_ms)
        if cost.orders_1m or orders_1m:
            self._orders_10s.settle(cost.orders_10s, sent_ms, count_of(orders_10s), venue_ms)
            self._orders_1m.settle(cost.orders_1m, sent_ms, count_of(orders_1m), venue_ms)

    def cancel(self, booking: Booking) -> None:
        """Take back a request of which no byte left."""
        for window, amount in zip(self._windows, _amounts(booking.cost), strict=True):
            window.cancel(amount)

    def take_peaks(self, venue_ms: int) -> dict[WindowName, Peak]:
        """The highest counts since this was asked last, by window."""
        return {one.name: Peak(one.take_peak(venue_ms), one.limit) for one in self._windows}

    def describe(self, venue_ms: int) -> dict[str, dict[str, int]]:
        """The figures for people: by window, counts and what is allowed for whom."""
        return {str(one.name): self._describe(one, venue_ms) for one in self._windows}

    def _describe(self, window: "_Window", venue_ms: int) -> dict[str, int]:
        used = window.count(venue_ms)
        entry = self._room(window, Purpose.ENTRY, 0, venue_ms)
        reserved = self._room(window, Purpose.CANCEL, 0, venue_ms)
        return {
            "used": used,
            "limit": window.limit,
            "used_percent": used * 100 // window.limit,
            "peak": window.peak,
            "refused_above_ordinary": entry.ceiling,
            "refused_above_reserved": reserved.ceiling,
            "ends_ms": (window.number + 1) * window.length_ms,
        }

    def _room(self, window: "_Window", purpose: Purpose, amount: int, venue_ms: int) -> Room:
        used = window.count(venue_ms)
        reserve = 0 if purpose in RESERVED_PURPOSES else self.limits.reserve_percent
        # In ten-thousandths of the limit, rounded down: whole counts, no fractions of a request.
        budget = window.limit * (100 - reserve)
        ceiling = max(1, budget * self.limits.refuse_percent // 10_000)
        level = Level.FREE
        if (used + amount) * 10_000 >= budget * self.limits.warn_percent:
            level = Level.WARN
        if used + amount > ceiling:
            level = Level.REFUSE
        return Room(
            level=level,
            purpose=purpose,
            window=window.name,
            used=used,
            ceiling=ceiling,
            limit=window.limit,
        )

    def _window_of(self, one: RateLimit) -> "_Window | None":
        return {
            ("REQUEST_WEIGHT", "MINUTE", 1): self._weight,
            ("ORDERS", "SECOND", 10): self._orders_10s,
            ("ORDERS", "MINUTE", 1): self._orders_1m,
        }.get((one.kind, one.interval, one.interval_count))


_RANK = {Level.FREE: 0, Level.WARN: 1, Level.REFUSE: 2}
HEADERS = ("x-mbx-used-weight-1m", "x-mbx-order-count-10s", "x-mbx-order-count-1m")
"""The venue's counts in its answers, in the order of the windows."""


class _Window:
    """One count of the venue: `used` in the window `number`, of which `_in_flight` unanswered."""

    def __init__(self, name: WindowName, length_ms: int, limit: int) -> None:
        self.name = name
        self.length_ms = length_ms
        self.limit = limit
        self.number = 0
        self.peak = 0
        self._peak_lately = 0
        self._used = 0
        self._in_flight = 0

    def count(self, venue_ms: int) -> int:
        """The count now. What is unanswered may be counted in a new window, so it goes along."""
        number = venue_ms // self.length_ms
        # Only forward: a corrected clock at a border must not forget. Far back is a new start.
        if number > self.number or number < self.number - 1:
            self.number, self._used = number, self._in_flight
        return self._used

    def add(self, amount: int, venue_ms: int) -> None:
        """Count a request that is being sent."""
        used = self.count(venue_ms) + amount
        self._in_flight += amount
        self._reach(used)

    def settle(self, amount: int, sent_ms: int, told: int | None, venue_ms: int) -> None:
        """Take the venue's count, unless the request belongs to a window that is over."""
        used = self.count(venue_ms)  # in a new window the request still goes along
        self._in_flight -= amount
        if told is not None and sent_ms // self.length_ms == self.number:
            told += self._in_flight
            if told > used:
                self._reach(told)

    def _reach(self, used: int) -> None:
        self._used = used
        self.peak = max(self.peak, used)
        self._peak_lately = max(self._peak_lately, used)

    def take_peak(self, venue_ms: int) -> int:
        """The highest count since this was asked last."""
        peak, self._peak_lately = self._peak_lately, self.count(venue_ms)
        return peak

    def cancel(self, amount: int) -> None:
        """Take back what was not sent."""
        self._in_flight -= amount
        self._used = max(0, self._used - amount)


def count_of(text: str | None) -> int | None:
    """Return a count of a header, None when there is none that can be read."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return int(text)


def _amounts(cost: Cost) -> tuple[int, int, int]:
    return cost.weight, cost.orders_10s, cost.orders_1m
