"""Against the crowd: buy where an oversold market turns up, sell where an overbought one falls."""

from decimal import Decimal
from typing import ClassVar

from pydantic import Field, model_validator

from libs.common.messages.market import Candle
from libs.common.model.order import Side
from services.signal.indicators import RelativeStrength
from services.signal.strategies import contract
from services.signal.strategies.contract import Wish
from services.signal.strategies.stance import Stance


class RsiParameters(contract.Parameters):
    """Wilder's own figures are 14, 30 and 70.

    Attributes:
        period: candles the index looks back on.
        oversold, overbought: levels of the index whose crossing counts, between 0 and 100.
        pause_bars: candles between two wishes, at least.
    """

    period: int = Field(14, ge=2, le=1_000)
    oversold: Decimal = Field(Decimal(30), gt=0, lt=100)
    overbought: Decimal = Field(Decimal(70), gt=0, lt=100)
    pause_bars: int = Field(10, ge=1, le=10_000)

    @model_validator(mode="after")
    def _levels_are_apart(self) -> "RsiParameters":
        if self.oversold >= self.overbought:
            raise ValueError("oversold must be below overbought")
        return self


class RsiCrossover:
    """Up through ``oversold`` turns it to BUY, down through ``overbought`` to SELL."""

    Parameters: ClassVar[type[contract.Parameters]] = RsiParameters

    def __init__(self, parameters: RsiParameters) -> None:
        self._parameters = parameters
        self._strength = RelativeStrength(parameters.period)
        self._stance = Stance(parameters.pause_bars)

    @property
    def warmup_bars(self) -> int:
        """Two figures make a crossing; the first comes with candle ``period + 1``."""
        return self._parameters.period + 2

    def on_candle(self, candle: Candle) -> tuple[Wish, ...]:
        """Fold one candle by its close."""
        before = self._strength.value
        now = self._strength.update(candle.close)
        return self._stance.step(self._direction(before, now))

    def _direction(self, before: Decimal | None, now: Decimal | None) -> Side | None:
        if before is None or now is None:
            return None
        if before <= self._parameters.oversold < now:
            return Side.BUY
        if before >= self._parameters.overbought > now:
            return Side.SELL
        return None
