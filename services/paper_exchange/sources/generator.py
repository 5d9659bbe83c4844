"""A market out of a seed: correlated random walks with moods, lively enough to trade on.

Every 100 ms of market time each symbol moves by a shock of the whole market and one of its own, on
top of a drift that lasts some seconds and then turns. On request the whole market changes between
calm, volatile and trending regimes, symbols jump, and at times nothing is told for a while. All
arithmetic is in integers (returns in hundredths of a basis point), so one seed gives the same
market on every machine.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Final

from services.paper_exchange.config import DEFAULT_MOODS, Moods
from services.paper_exchange.market.instruments import Instrument, select_instruments
from services.paper_exchange.sources.event import (
    OPENING_NS,
    ClosedBar,
    SourceError,
    SourceEvent,
    Trade,
)
from services.paper_exchange.sources.modelled_book import ModelledBook

NS_PER_MS: Final = 1_000_000
STEP_MS: Final = 100
MINUTE_MS: Final = 60_000
HISTORY_MINUTES: Final = 300
DEFAULT_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")

RETURN_UNIT: Final = 1_000_000
"""Returns are counted in millionths, a hundredth of a basis point."""
PRICE_UNIT: Final = 100_000_000
"""Prices walk in units of 1e-8 and are quoted on the tick below."""
SHOCK: Final = 55
"""Largest uniform part of the shocks of the market and of a symbol's own together; with four parts
each they come to about 0.35 bp and 0.3 bp in 100 ms at the usual correlation.
"""
MOOD_STEPS: Final = (40, 180)
"""How long a drift lasts, in steps: 4 to 18 seconds."""
MOOD_DRIFT_MAX: Final = 32
"""Strongest drift per step: about 3 bp a second."""
PULL_DIVISOR: Final = 20_000
"""The pull back to the starting price, so that a long run stays in a sane range."""
TRADES_PER_STEP: Final = (0, 1, 1, 2, 2, 3)
TAKER_NOTIONAL: Final = (50, 4_000)
LEVEL_NOTIONAL: Final = 150_000
"""USDT standing at the best level."""

STARTING_PRICES: Final[Mapping[str, Decimal]] = {
    "BTCUSDT": Decimal(64_000),
    "ETHUSDT": Decimal(2_600),
    "SOLUSDT": Decimal(150),
    "BNBUSDT": Decimal(560),
    "XRPUSDT": Decimal("0.5600"),
    "ADAUSDT": Decimal("0.3600"),
    "DOGEUSDT": Decimal("0.110000"),
}
STEPS_PER_HOUR: Final = 36_000
REGIME_PERCENT: Final[Mapping[str, tuple[int, int]]] = {
    "calm": (40, 30),
    "volatile": (300, 100),
    "trend": (100, 60),
}
"""Size of shocks and of the symbols' own drifts in each regime, in percent."""
TREND_DRIFT: Final = 20
"""The drift that all symbols have in common while the market trends, per step."""
_ts_of = attrgetter("ts_ns")


@dataclass(slots=True)
class _Weather:
    """What the whole market has in common at a step: sizes in percent, and a drift."""

    shock_percent: int
    drift_percent: int = 100
    drift: int = 0


class GeneratorSource:
    """An endless market of ``symbols`` from ``start_ns``; all chance comes from ``dice``.

    ``moods`` says how wild it is.

    Raises `UnknownSymbolError` for a symbol the venue does not list.
    """

    def __init__(
        self,
        dice: random.Random,
        start_ns: int,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        moods: Moods = DEFAULT_MOODS,
    ) -> None:
        instruments = select_instruments(symbols)
        self._dice = dice
        self._moods = moods
        self._weather = _Weather(moods.volatility_percent)
        self._regime_steps_left = 0
        self._market_shock = SHOCK * moods.correlation_percent // 100
        self.regimes = dict.fromkeys(REGIME_PERCENT, 0)
        self.jumps = self.gaps = 0
        self._start_ms = start_ns // NS_PER_MS // STEP_MS * STEP_MS + STEP_MS
        self._walks = [
            _Walk(instrument, dice, SHOCK - self._market_shock)
            for instrument in instruments.values()
        ]
        self._history = self._make_history()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols generated."""
        return tuple(walk.instrument.symbol for walk in self._walks)

    @property
    def start_ns(self) -> int:
        """Market time just before the first quotes."""
        return self._start_ms * NS_PER_MS - OPENING_NS

    @property
    def lines_read(self) -> int:
        """Nothing is read."""
        return 0

    def history(self) -> Iterator[ClosedBar]:
        """Yield minutes from before the start, so that strategies can warm up at once."""
        return iter(self._history)

    def events(self) -> Iterator[SourceEvent]:
        """Yield the market for ever."""
        step_ms, silent_steps = self._start_ms, 0
        while True:
            self._change_weather()
            shock = _shock(self._dice, self._market_shock)
            events: list[SourceEvent] = []
            for walk in self._walks:
                walk.jump(self._jump())
                if silent_steps:
                    walk.move(shock, self._weather)
                else:
                    events += walk.step(step_ms, shock, self._weather)
            silent_steps = silent_steps - 1 if silent_steps else self._gap_steps()
            events.sort(key=_ts_of)
            yield from events
            step_ms += STEP_MS

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Return an error that names the symbol; there is no line to point at."""
        return SourceError(Path("generator"), None, f"{symbol}: {reason}")

    def facts(self) -> Mapping[str, object]:
        """Return the symbols and how much history came before."""
        return {
            "source": "generator",
            "symbols": list(self.symbols),
            "history_minutes": HISTORY_MINUTES,
            "regimes": dict(self.regimes),
            "jumps": self.jumps,
            "gaps": self.gaps,
        }

    def _change_weather(self) -> None:
        """Go on in the regime, or into the next one where it is over."""
        mean_steps = self._moods.regime_seconds * 1_000 // STEP_MS
        if not mean_steps:
            return
        self._regime_steps_left -= 1
        if self._regime_steps_left > 0:
            return
        self._regime_steps_left = self._dice.randint(mean_steps // 2, mean_steps * 3 // 2)
        regime = self._dice.choice(tuple(REGIME_PERCENT))
        self.regimes[regime] += 1
        shock, drift = REGIME_PERCENT[regime]
        percent = self._moods.volatility_percent
        trend = self._dice.choice((-TREND_DRIFT, TREND_DRIFT)) if regime == "trend" else 0
        self._weather = _Weather(shock * percent // 100, drift * percent // 100, trend)

    def _jump(self) -> int:
        """How far a symbol jumps in this step, in millionths; usually not at all."""
        if not self._happens(self._moods.jumps_per_hour):
            return 0
        self.jumps += 1
        size = self._moods.jump_basis_points * RETURN_UNIT // 10_000
        return self._dice.choice((-1, 1)) * self._dice.randint(size // 2, size)

    def _gap_steps(self) -> int:
        """For how many steps nothing is told from now on; usually none."""
        if not self._happens(self._moods.gaps_per_hour):
            return 0
        self.gaps += 1
        return self._dice.randint(1, self._moods.gap_seconds * 1_000 // STEP_MS)

    def _happens(self, times_per_hour: int) -> bool:
        """Whether something so frequent happens in this step; no dice where it never does."""
        return bool(times_per_hour) and self._dice.randrange(STEPS_PER_HOUR) < times_per_hour

    def _make_history(self) -> list[ClosedBar]:
        first_ms = self._start_ms // MINUTE_MS * MINUTE_MS - HISTORY_MINUTES * MINUTE_MS
        bars: list[ClosedBar] = []
        for open_ms in range(first_ms, first_ms + HISTORY_MINUTES * MINUTE_MS, MINUTE_MS):
            shocks = [_shock(self._dice, self._market_shock) for _ in range(20)]
            bars += [
                walk.minute(open_ms, shocks, self._market_shock, self._weather)
                for walk in self._walks
            ]
        return bars


class _Walk:
    """The walk of one symbol."""

    def __init__(self, instrument: Instrument, dice: random.Random, own_shock: int) -> None:
        self.instrument = instrument
        self._dice = dice
        self._own_shock = own_shock
        self._book = ModelledBook(instrument)
        self._home = int(STARTING_PRICES[instrument.symbol] * PRICE_UNIT)
        self._price = self._home
        self._drift = 0
        self._mood_steps_left = 0
        self._trade_id = 0

    def jump(self, change: int) -> None:
        """Move at once by so many millionths."""
        self._price += self._price * change // RETURN_UNIT

    def step(self, step_ms: int, market_shock: int, weather: _Weather) -> list[SourceEvent]:
        """Move once, quote, and trade within the next 100 ms."""
        change = self.move(market_shock, weather)
        bid = self._bid()
        listed = self.instrument
        standing = LEVEL_NOTIONAL * self._dice.randint(70, 130) / (100 * bid)
        events: list[SourceEvent] = []
        events += self._book.move(step_ms * NS_PER_MS, bid, standing)
        offsets = sorted(
            self._dice.randrange(STEP_MS) for _ in range(self._dice.choice(TRADES_PER_STEP))
        )
        for offset_ms in offsets:
            is_buyer_maker = self._dice.randint(-60, 60) > change
            ts_ms = step_ms + offset_ms
            self._trade_id += 1
            events.append(
                Trade(
                    ts_ms * NS_PER_MS,
                    listed.symbol,
                    ts_ms,
                    self._trade_id,
                    bid if is_buyer_maker else bid + listed.price_tick,
                    self._quantity(bid),
                    is_buyer_maker,
                )
            )
        return events

    def minute(
        self, open_ms: int, market_shocks: Sequence[int], market_shock: int, weather: _Weather
    ) -> ClosedBar:
        """Walk one minute in coarse steps and return its candle."""
        prices = [self._bid()]
        for shock in market_shocks:
            self.move(shock, weather)
            self.move(_shock(self._dice, market_shock), weather)
            prices.append(self._bid())
        volume = sum((self._quantity(price) for price in prices), Decimal(0)) * 40
        end_ns = (open_ms + MINUTE_MS - 1) * NS_PER_MS
        return ClosedBar(
            end_ns,
            self.instrument.symbol,
            "1m",
            open_ms,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            volume,
        )

    def move(self, market_shock: int, weather: _Weather) -> int:
        """Change the price; returns the change in millionths."""
        if self._mood_steps_left == 0:
            self._mood_steps_left = self._dice.randint(*MOOD_STEPS)
            self._drift = self._dice.randint(-MOOD_DRIFT_MAX, MOOD_DRIFT_MAX)
        self._mood_steps_left -= 1
        pull = (self._home - self._price) * RETURN_UNIT // self._home // PULL_DIVISOR
        shock = market_shock + _shock(self._dice, self._own_shock)
        change = (
            self._drift * weather.drift_percent // 100
            + weather.drift
            + pull
            + shock * weather.shock_percent // 100
        )
        self._price += self._price * change // RETURN_UNIT
        return change

    def _bid(self) -> Decimal:
        tick = self.instrument.price_tick
        return Decimal(self._price) // (tick * PRICE_UNIT) * tick

    def _quantity(self, price: Decimal) -> Decimal:
        step = self.instrument.quantity_step
        notional = self._dice.randint(*TAKER_NOTIONAL)
        return max(notional // (price * step), Decimal(1)) * step


def _shock(dice: random.Random, part_max: int) -> int:
    return sum(dice.randint(-part_max, part_max) for _ in range(4))
