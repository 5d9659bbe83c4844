"""Decides what a candle means: fold it once, in order, and turn wishes into intents.

An indicator never sees a hole: where a candle is missing, the strategies of that series start
anew. An intent is a function of the candles alone, so that a repeat says exactly the same.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.messages.market import Candle
from libs.common.model.ids import derive_intent_id
from libs.common.model.intent import Intent
from libs.common.model.money import is_reckonable
from libs.common.model.order import OrderType
from services.signal.strategies.contract import Strategy, Wish

NS_PER_MS = 1_000_000


class Fate(StrEnum):
    """What became of a candle."""

    FOLDED = "FOLDED"
    REPEATED = "REPEATED"
    AFTER_GAP = "AFTER_GAP"
    NOT_OURS = "NOT_OURS"


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one candle.

    Attributes:
        gap_ns: market time missing before it, negative where it overlaps; 0 if it follows on.
    """

    fate: Fate
    intents: tuple[Intent, ...] = ()
    gap_ns: int = 0


class StrategyRun:
    """One strategy on one series of candles, and how to build it anew."""

    def __init__(
        self,
        *,
        strategy_id: str,
        parameter_hash: str,
        intent_ttl_ms: int,
        build: Callable[[], Strategy],
    ) -> None:
        self.strategy_id = strategy_id
        self.parameter_hash = parameter_hash
        self._intent_ttl_ns = intent_ttl_ms * NS_PER_MS
        self._build = build
        self._strategy = build()

    def reset(self) -> None:
        """Forget everything, as before the first candle."""
        self._strategy = self._build()

    def on_candle(self, candle: Candle) -> tuple[Intent, ...]:
        """Fold a candle; at most one intent per strategy and candle, since its id is made of them.

        Raises:
            ValueError: the strategy wished for more than one thing at once.
        """
        wishes = self._strategy.on_candle(candle)
        if len(wishes) > 1:
            raise ValueError(f"{self.strategy_id}: {len(wishes)} wishes on {candle.message_id}")
        return tuple(self._intent(wish, candle) for wish in wishes)

    def _intent(self, wish: Wish, candle: Candle) -> Intent:
        # Times come from the candle, not from a clock: a restart must not make an old wish young.
        return Intent(
            intent_id=derive_intent_id(
                self.strategy_id, self.parameter_hash, candle.symbol, candle.message_id
            ),
            strategy_id=self.strategy_id,
            parameter_hash=self.parameter_hash,
            symbol=candle.symbol,
            side=wish.side,
            purpose=wish.purpose,
            order_type=OrderType.MARKET,
            reference_price=candle.close,
            candle_id=candle.message_id,
            created_at_ns=candle.close_ns,
            expires_at_ns=candle.close_ns + self._intent_ttl_ns,
            caused_wall_ns=candle.ts_published_ns,
        )


class Series:
    """The candles of one symbol and interval, and the strategies that follow them."""

    def __init__(self, runs: tuple[StrategyRun, ...]) -> None:
        self.runs = runs
        self.first: Candle | None = None
        self.last: Candle | None = None
        self.folded = 0
        self.repeated = 0
        self.gaps = 0

    def fold(self, candle: Candle) -> Folded:
        """Take the next candle; one at or before the last is counted and changes nothing else."""
        last = self.last
        if last is not None and candle.open_ns <= last.open_ns:
            self.repeated += 1
            return Folded(fate=Fate.REPEATED)
        gap_ns = 0 if last is None else candle.open_ns - last.close_ns
        if gap_ns:
            self.gaps += 1
            for run in self.runs:
                run.reset()
        self.first = self.first or candle
        self.last = candle
        self.folded += 1
        intents = tuple(intent for run in self.runs for intent in run.on_candle(candle))
        return Folded(
            fate=Fate.AFTER_GAP if gap_ns else Fate.FOLDED, intents=intents, gap_ns=gap_ns
        )


def fold(series: dict[tuple[str, str], Series], candle: Candle) -> Folded:
    """Fold a candle into the series it belongs to, if it is one of ours."""
    own = series.get((candle.symbol, candle.interval))
    return Folded(fate=Fate.NOT_OURS) if own is None else own.fold(candle)


def fault_of(candle: Candle) -> str:
    """Why a candle cannot be true; empty if it can."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(_is_price(price) for price in prices):
        return "a price is not finite, above zero and of a sensible size"
    if not (candle.low <= min(prices) and candle.high >= max(prices)):
        return "open or close lies outside low and high"
    if candle.open_ns >= candle.close_ns:
        return "it closes before it opens"
    return ""


def _is_price(value: Decimal) -> bool:
    return is_reckonable(value)
