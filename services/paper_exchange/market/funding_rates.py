"""Funding rates: what the next funding will cost as far as known, and what the past ones cost.

The rate of a symbol follows the venue's formula: the premium of the mark over the index price,
averaged over the funding interval with weights that grow with time, plus the interest rate less
that premium, clamped; a cap bounds the sum. A source that has no index price has no premium, so
that its rate is the interest rate. A simulation may dictate a rate instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

from services.paper_exchange.market.instruments import Instrument

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
HOUR_MS: Final = 3_600_000
FUNDINGS_KEPT_MAX: Final = 1_000
"""Past fundings kept per symbol: as many as one request may ask for."""

INTEREST_RATE: Final = Decimal("0.0001")
"""Interest per 8 hours."""
INTEREST_CLAMP: Final = Decimal("0.0005")
"""How far interest may pull the rate away from the premium."""
REGULAR: Final = "Regular"
"""`rateType` of a funding that is none of a stock dividend."""

_INTEREST_HOURS: Final = 8
_RATE_STEP: Final = Decimal("0.00000001")
_ZERO: Final = Decimal(0)


class Funding(NamedTuple):
    """One funding that took place; a positive rate is paid by whoever is long."""

    symbol: str
    rate: Decimal
    funding_ms: int
    mark_price: Decimal


class _Premium:
    """Premium samples of one symbol since its last funding."""

    __slots__ = ("sampled_ns", "start_ns", "weight", "weighted")

    def __init__(self) -> None:
        self.start_ns = self.sampled_ns = -1
        self.weight = 0
        self.weighted = _ZERO


class FundingRates:
    """Rates and fundings of ``instruments``; `overrides` holds rates that a simulation dictates."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments
        self._premiums = {symbol: _Premium() for symbol in instruments}
        self._history: dict[str, deque[Funding]] = {
            symbol: deque(maxlen=FUNDINGS_KEPT_MAX) for symbol in instruments
        }
        self.overrides: dict[str, Decimal] = {}

    def rate(self, symbol: str) -> Decimal:
        """Return what the next funding of a symbol would cost were it due now."""
        dictated = self.overrides.get(symbol)
        if dictated is not None:
            return dictated
        instrument, premium = self._instruments[symbol], self._premiums[symbol]
        average = premium.weighted / premium.weight if premium.weighted else _ZERO
        pull = max(-INTEREST_CLAMP, min(INTEREST_CLAMP, INTEREST_RATE - average))
        rate = (average + pull) * instrument.funding_interval_hours / _INTEREST_HOURS
        cap = instrument.funding_rate_cap
        return max(-cap, min(cap, rate)).quantize(_RATE_STEP, rounding=ROUND_HALF_EVEN)

    def next_funding_ms(self, symbol: str, now_ns: int) -> int:
        """Return the first funding time of a symbol after market time, counted from midnight."""
        interval_ms = self._instruments[symbol].funding_interval_hours * HOUR_MS
        now_ms = now_ns // NS_PER_MS
        return now_ms - now_ms % interval_ms + interval_ms

    def history(self, symbol: str) -> tuple[Funding, ...]:
        """Return the fundings of a symbol that took place, oldest first."""
        return tuple(self._history[symbol])

    def sample(self, symbol: str, mark: Decimal, index: Decimal | None, now_ns: int) -> None:
        """Take the premium of this second into account; a second one in it changes nothing."""
        premium = self._premiums[symbol]
        second_ns = now_ns - now_ns % NS_PER_SECOND
        if second_ns <= premium.sampled_ns:
            return
        if premium.start_ns < 0:
            premium.start_ns = second_ns - NS_PER_SECOND
        weight = (second_ns - premium.start_ns) // NS_PER_SECOND
        premium.sampled_ns = second_ns
        premium.weight += weight
        if index and mark != index:
            premium.weighted += weight * (mark - index) / index

    def seed(self, symbol: str, until_ms: int, mark_price: Decimal) -> None:
        """Write down the last funding before the start, as far as `until_ms`, unless it is known.

        Nothing of a premium is known of that time: its rate is the interest rate.
        """
        interval_ms = self._instruments[symbol].funding_interval_hours * HOUR_MS
        funding_ms = until_ms - until_ms % interval_ms
        history = self._history[symbol]
        if not history or history[-1].funding_ms < funding_ms:
            history.append(Funding(symbol, self.rate(symbol), funding_ms, mark_price))

    def settle(self, symbol: str, funding_ms: int, mark_price: Decimal) -> Decimal:
        """Write down the funding that is due and return its rate; samples start afresh."""
        rate = self.rate(symbol)
        self._history[symbol].append(Funding(symbol, rate, funding_ms, mark_price))
        fresh = _Premium()
        fresh.start_ns = fresh.sampled_ns = funding_ms * NS_PER_MS
        self._premiums[symbol] = fresh
        return rate
