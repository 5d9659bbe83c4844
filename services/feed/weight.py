"""How much of the venue's request weight backfill may still use this minute.

The venue counts per address, so our execution and reconciler draw on the same allowance; it says in
each answer how much is used. Backfill stops well before the limit: a candle can wait, a cancel
cannot.
"""

MINUTE_MS = 60_000


class WeightGate:
    """The used weight as the venue last told it; all times are market time in milliseconds.

    What the venue told may leave out requests of ours that were on their way: of what it told and
    what we asked for in the same minute the larger counts.
    """

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._minute = -1
        self._used = self._asked = 0

    def hear(self, used: int, now_ms: int) -> None:
        """Take what an answer said."""
        self._turn(now_ms)
        self._used = used

    def allows(self, cost: int, now_ms: int, *, share_percent: int = 100) -> bool:
        """Whether a request of this weight may go now; it is booked until the minute is over.

        ``share_percent``: how much of the allowance it may use up; what can wait leaves the rest.
        """
        self._turn(now_ms)
        if max(self._used, self._asked) + cost > self._weight_max * share_percent // 100:
            return False
        self._used += cost
        self._asked += cost
        return True

    def _turn(self, now_ms: int) -> None:
        if now_ms // MINUTE_MS != self._minute:
            self._minute, self._used, self._asked = now_ms // MINUTE_MS, 0, 0
