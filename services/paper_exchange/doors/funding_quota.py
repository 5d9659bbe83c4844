"""The quota of its own that requests about funding have: so many per address in five minutes."""

from typing import Final

from services.paper_exchange.wire.refusals import RefusalError

REQUESTS_MAX: Final = 500
WINDOW_NS: Final = 300_000_000_000
ADDRESSES_MAX: Final = 10_000


class FundingQuota:
    """Counts requests per address in fixed windows of market time."""

    def __init__(self) -> None:
        self._window = 0
        self._counts: dict[str, int] = {}

    def charge(self, address: str, now_ns: int) -> None:
        """Count one request; raises -1003 (HTTP 429) beyond `REQUESTS_MAX` in a window."""
        number = now_ns // WINDOW_NS
        if number != self._window:
            self._window = number
            self._counts.clear()
        count = self._counts.get(address, 0) + 1
        if count > REQUESTS_MAX:
            minutes = WINDOW_NS // 60_000_000_000
            text = (
                f"Too many requests; current limit of IP({address}) is {REQUESTS_MAX} "
                f"requests per {minutes} minutes. "
                "Please use the websocket for live updates to avoid polling the API."
            )
            raise RefusalError(-1003, text=text)
        if len(self._counts) >= ADDRESSES_MAX and address not in self._counts:
            del self._counts[next(iter(self._counts))]
        self._counts[address] = count
