"""The venue's doorkeeper: counts what each address asks for, and keeps the greedy out.

Pure, so that HTTP, WebSocket and simulations ask the same one: `admit` before a request, `charge`
after it. Weight counts per address in fixed minutes of market time. Past the limit every request is
answered 429; who goes on asking is banned (418), and each further ban lasts twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from services.paper_exchange.config import Limits
from services.paper_exchange.faults.effects import Told, banned
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.wire.refusals import RefusalError

MINUTE_NS: Final = 60_000_000_000
NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
USED_WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
ORDER_COUNT_10S_HEADER: Final = "X-MBX-ORDER-COUNT-10S"
ORDER_COUNT_1M_HEADER: Final = "X-MBX-ORDER-COUNT-1M"


@dataclass(slots=True)
class _Visitor:
    """What is known of one address."""

    minute: int = 0
    used: int = 0
    refused: int = 0
    banned_until_ns: int = 0
    bans: int = 0


@dataclass(slots=True)
class Doorkeeper:
    """Counters and bans by address; all times are market time."""

    limits: Limits
    refused: int = 0
    banned: int = 0
    _visitors: dict[str, _Visitor] = field(default_factory=dict)

    def admit(self, address: str, now_ns: int) -> Told | None:
        """Let a request in (None), or say how it is turned away: 429, or 418 while banned."""
        visitor = self._visitor(address, now_ns)
        if now_ns < visitor.banned_until_ns:
            return self._turn_banned(address, visitor, now_ns)
        if visitor.used < self.limits.weight_per_minute_max:
            return None
        self.refused += 1
        visitor.refused += 1
        if visitor.refused > self.limits.refusals_before_ban_max:
            self.ban(address, now_ns + self._ban_ns(visitor), now_ns)
            return self._turn_banned(address, visitor, now_ns)
        refusal = RefusalError(-1003, address, self.limits.weight_per_minute_max)
        wait_ns = MINUTE_NS - now_ns % MINUTE_NS
        return Told(429, refusal.body(), _retry_headers(wait_ns, visitor.used))

    def charge(self, address: str, weight: int, now_ns: int) -> int:
        """Add a request's weight; returns the sum of this minute."""
        visitor = self._visitor(address, now_ns)
        visitor.used += weight
        return visitor.used

    def used(self, address: str, now_ns: int) -> int:
        """The weight an address has used in the running minute."""
        return self._visitor(address, now_ns).used

    def ban(self, address: str, until_ns: int, now_ns: int) -> None:
        """Keep an address out until then."""
        visitor = self._visitor(address, now_ns)
        visitor.banned_until_ns = until_ns
        visitor.bans += 1
        visitor.refused = 0
        self.banned += 1

    def pardon(self, address: str) -> None:
        """Forget all that is known of an address."""
        self._visitors.pop(address, None)

    def _visitor(self, address: str, now_ns: int) -> _Visitor:
        visitor = self._visitors.get(address)
        if visitor is None:
            if len(self._visitors) >= self.limits.addresses_max:
                del self._visitors[next(iter(self._visitors))]
            visitor = self._visitors[address] = _Visitor()
        minute = now_ns // MINUTE_NS
        if visitor.minute != minute:
            visitor.minute, visitor.used, visitor.refused = minute, 0, 0
        return visitor

    def _ban_ns(self, visitor: _Visitor) -> int:
        doubled = self.limits.ban_ms_min << min(visitor.bans, 32)
        return min(doubled, self.limits.ban_ms_max) * NS_PER_MS

    def _turn_banned(self, address: str, visitor: _Visitor, now_ns: int) -> Told:
        told = banned(address, visitor.banned_until_ns // NS_PER_MS, now_ns)
        return told._replace(headers={**told.headers, USED_WEIGHT_HEADER: str(visitor.used)})


def order_count_headers(account: Account, now_ns: int) -> dict[str, str]:
    """How many orders an account has sent in the running 10 seconds and minute."""
    account.counts.roll(now_ns)
    return {
        ORDER_COUNT_10S_HEADER: str(account.counts.count_10s),
        ORDER_COUNT_1M_HEADER: str(account.counts.count_1m),
    }


def _retry_headers(wait_ns: int, used: int) -> dict[str, str]:
    return {"Retry-After": str(-(-wait_ns // NS_PER_SECOND)), USED_WEIGHT_HEADER: str(used)}
