"""Hears what the feed says: mark prices, and which symbols it vouches for."""

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode
from libs.common.messages.market import Mark, MarketHealth
from libs.common.runtime.bus import Bus
from services.execution.arming import Arming
from services.execution.lookout import Lookout


class MarketEar:
    """Takes every word to the lookout; the first ones on every symbol arm us.

    Attributes:
        symbols: what this account trades.
    """

    def __init__(
        self, bus: Bus, lookout: Lookout, arming: Arming, symbols: tuple[str, ...]
    ) -> None:
        self._bus = bus
        self._lookout = lookout
        self._arming = arming
        self.symbols = symbols

    async def listen(self) -> None:
        """Hear from now on.

        Raises:
            BusUnavailable: the broker is away.
        """
        for symbol in self.symbols:
            await self._bus.subscribe(subjects.mark(symbol), self._on_mark)
        await self._bus.subscribe(subjects.MARKET_HEALTH, self._on_health)

    async def _on_mark(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        mark = decode(payload, Mark)
        if not self._lookout.hear_mark(mark):
            raise UndecodableError(f"the mark price of {mark.symbol} is {mark.mark_price}")
        self._look_whether_known()

    async def _on_health(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self._lookout.hear_health(decode(payload, MarketHealth))
        self._look_whether_known()

    def _look_whether_known(self) -> None:
        if self._arming.is_failing("market") and self._lookout.knows_market(self.symbols):
            self._arming.passed("market")
