"""With the trend: buy when the fast average rises above the slow one, sell when it falls below."""

from decimal import Decimal
from typing import ClassVar

from pydantic import Field, model_validator

from libs.common.messages.market import Candle
from libs.common.model.order import Side
from services.signal.indicators import ExponentialAverage
from services.signal.strategies import contract
from services.signal.strategies.contract import Wish
from services.signal.strategies.stance import Stance


class EmaParameters(contract.Parameters):
    """Two averages of the close.

    Attributes:
        fast_period, slow_period: candles the averages look back on.
        pause_bars: candles between two wishes, at least.
    """

    fast_period: int = Field(9, ge=1, le=1_000)
    slow_period: int = Field(21, ge=2, le=10_000)
    pause_bars: int = Field(10, ge=1, le=10_000)

    @model_validator(mode="after")
    def _fast_is_faster(self) -> "EmaParameters":
        if self.fast_period >= self.slow_period:
            raise ValueError("fast_period must be below slow_period")
        return self


class EmaCross:
    """The fast average above the slow one turns it to BUY, below to SELL; equal changes nothing."""

    Parameters: ClassVar[type[contract.Parameters]] = EmaParameters

    def __init__(self, parameters: EmaParameters) -> None:
        self._parameters = parameters
        self._fast = ExponentialAverage(parameters.fast_period)
        self._slow = ExponentialAverage(parameters.slow_period)
        self._stance = Stance(parameters.pause_bars)
        self._above: Side | None = None

    @property
    def warmup_bars(self) -> int:
        """The slow average comes with candle ``slow_period``; a crossing needs one more."""
        return self._parameters.slow_period + 1

    def on_candle(self, candle: Candle) -> tuple[Wish, ...]:
        """Fold one candle by its close."""
        direction = self._direction(
            self._fast.update(candle.close), self._slow.update(candle.close)
        )
        return self._stance.step(direction)

    def _direction(self, fast: Decimal | None, slow: Decimal | None) -> Side | None:
        if fast is None or slow is None or fast == slow:
            return None
        before, self._above = self._above, Side.BUY if fast > slow else Side.SELL
        return self._above if before is not None and before is not self._above else None
