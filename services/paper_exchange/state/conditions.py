"""What may lastingly be wrong at the venue, for tests that ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Conditions:
    """Query lags and a wrong clock; zero unless a quirk of the venue or somebody sets it.

    Attributes:
        query_lag_ms: how long `GET order` does not find (-2013) an order that was just placed.
        algo_query_lag_ms: the same for `GET algoOrder`; a canceled one says NEW for so long.
        clock_offset_ms: how far the venue's own clock is ahead of market time.
        zero_tick_symbols: whose tickSize exchangeInfo says is "0".
        odd_symbols: names that exchangeInfo lists besides, though nothing trades under them.
        struck: how many answers a condition has falsified, by condition.
    """

    query_lag_ms: int = 0
    algo_query_lag_ms: int = 0
    clock_offset_ms: int = 0
    zero_tick_symbols: tuple[str, ...] = ()
    odd_symbols: tuple[str, ...] = ()
    struck: dict[str, int] = field(default_factory=dict)

    def count(self, condition: str) -> None:
        """Count one falsified answer."""
        self.struck[condition] = self.struck.get(condition, 0) + 1
