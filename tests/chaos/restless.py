"""A strategy that wants something on every candle: into the market, out of it, in again."""

from libs.common.messages.market import Candle
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from services.signal.strategies.contract import Parameters, Wish


class Restless:
    """Enters long on even minutes and exits on odd ones, whatever became of its last wish."""

    class Parameters(Parameters):
        """None."""

    warmup_bars = 0

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def on_candle(self, candle: Candle) -> tuple[Wish, ...]:
        if candle.open_ns // 60_000_000_000 % 2:
            return (Wish(purpose=Purpose.EXIT, side=Side.SELL),)
        return (Wish(purpose=Purpose.ENTER, side=Side.BUY),)
