"""The market of the drill of profit and loss: its prices, its time, and limits that allow much."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.sources.event import ClosedBar, SourceError, SourceEvent, Trade
from services.paper_exchange.sources.modelled_book import ModelledBook

PRICES = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}
DEPTHS = {"BTCUSDT": Decimal("0.050"), "ETHUSDT": Decimal("0.800")}
#: 2026-05-28 15:58 UTC, two minutes before a funding.
START_NS = 1_779_983_880_000_000_000
STEP_NS, LEAP_STEP_NS = 20_000_000, 30_000_000_000
_NS_PER_MS = 1_000_000
#: Execution's limits where its defaults would make a drill wait for minutes.
AMPLE: dict[str, Any] = {
    "query_interval_ms": 200,
    "income_interval_ms": 60_000,
    "snapshot_interval_records": 10,
    "leverage": 20,
    "rate_symbol_orders_max": 1_000,
    "rate_global_orders_max": 1_000,
    "cooldown_failed_ms": 0,
    "cooldown_margin_ms": 0,
    "safe_mode_refusals": 1_000,
    "intent_ttl_market_ms": 60_000,
    "price_drift_max": Decimal("0.5"),
    "order_silence_ms_max": 4_000,
}


class DrillSource:
    """Markets that quote what they are told, and print the trades they are told."""

    symbols = tuple(PRICES)
    start_ns = START_NS
    lines_read = 0

    def __init__(self) -> None:
        self.prices, self.depths = dict(PRICES), dict(DEPTHS)
        self.trades: list[tuple[str, Decimal, Decimal, bool]] = []
        self.step_ns = STEP_NS
        self._trade_id = 0

    def history(self) -> Iterator[ClosedBar]:
        """Nothing happened before."""
        return iter(())

    def facts(self) -> Mapping[str, object]:
        """Nothing is known of it."""
        return {}

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Say that the source is wrong."""
        return SourceError(Path("drill"), None, f"{symbol}: {reason}")

    def events(self) -> Iterator[SourceEvent]:
        """Yield the market for ever."""
        instruments = select_instruments(self.symbols)
        books = {symbol: ModelledBook(instruments[symbol]) for symbol in self.symbols}
        ts_ns = START_NS
        while True:
            ts_ns += self.step_ns
            told, self.trades = self.trades, []
            for symbol, book in books.items():
                yield from book.move(ts_ns, self.prices[symbol], self.depths[symbol])
                quiet = (symbol, self.prices[symbol], Decimal("0.001"), False)
                for _, price, quantity, is_buyer_maker in [
                    one for one in told if one[0] == symbol
                ] or [quiet]:
                    self._trade_id += 1
                    yield Trade(
                        ts_ns, symbol, ts_ns // _NS_PER_MS, self._trade_id, price, quantity,
                        is_buyer_maker,
                    )  # fmt: skip


class VenueTime:
    """Market time, read from the venue itself."""

    is_set = True

    def __init__(self, clock: MarketClock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        """The venue's market time."""
        return self._clock.now_ns()
