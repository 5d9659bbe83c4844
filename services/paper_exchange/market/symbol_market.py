"""All the market knows of one symbol: book, trades, candles, marks, and what waits to be told."""

from collections import deque
from decimal import Decimal
from typing import Final

from services.paper_exchange.market import payloads
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.candles import INTERVALS, SECOND, Candles
from services.paper_exchange.market.day_window import DayWindow
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.market.mark_candles import MarkCandles
from services.paper_exchange.market.payloads import AggregateTrade
from services.paper_exchange.sources.event import DepthUpdate, Trade
from services.paper_exchange.wire.decimal_text import at_least, scaled
from services.paper_exchange.wire.stream_names import DEPTH_SPEEDS, PARTIAL_LEVELS

NS_PER_MS: Final = 1_000_000
DEPTH_PERIODS_NS: Final = {
    "depth@100ms": 100 * NS_PER_MS,
    "depth": 250 * NS_PER_MS,
    "depth@500ms": 500 * NS_PER_MS,
}
TRADES_KEPT_MAX: Final = 30_000
"""Trades kept per symbol for REST, and as many aggregate trades.

So many that a client of a fast market can be away for 5 s at 20 times speed and still fill its gap:
100 s of market time hold up to 12,700 trades of BTCUSDT (a volatile day in August 2024), and while
the client pages through them, within its request weight of 500 rows for 200 of 2,400 a minute,
as many again may come. The real venue keeps months; here each costs 0.5 kB and an aggregate half
of that, so a symbol that has filled both holds 22 MB, which one of 15 trades a second (the
generator's) does after half an hour.
"""
_KINDS: Final = (
    "depth@0ms",
    "rpiDepth@500ms",
    *(f"depth{speed}" for speed in DEPTH_SPEEDS),
    *(f"depth{levels}{speed}" for levels in PARTIAL_LEVELS for speed in DEPTH_SPEEDS),
    "bookTicker",
    "trade",
    "aggTrade",
    "markPrice",
    "markPrice@1s",
    "miniTicker",
    "ticker",
    *(f"kline_{interval}" for interval in INTERVALS),
)


class SymbolMarket:
    """All the market knows of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book(instrument.symbol, instrument.price_precision)
        self.candles = Candles()
        self.day = DayWindow(self.candles)
        self.marks = MarkCandles()
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT_MAX)
        self.aggregates: deque[AggregateTrade] = deque(maxlen=TRADES_KEPT_MAX)
        self.aggregate: AggregateTrade | None = None
        self.aggregate_id_next = 1
        self.has_own_mark = False
        self.depth_pending: dict[str, list[DepthUpdate]] = {kind: [] for kind in DEPTH_PERIODS_NS}
        prefix = instrument.symbol.lower()
        self.stream = {kind: f"{prefix}@{kind}" for kind in _KINDS}
        self.stream |= {
            f"continuousKline_{interval}": f"{prefix}_perpetual@continuousKline_{interval}"
            for interval in (SECOND, *INTERVALS)
        }

    def price_text(self, price: Decimal) -> str:
        """A price with the decimals of this symbol, more only where it has more."""
        return at_least(price, self.instrument.price_precision)

    def quantity_text(self, quantity: Decimal) -> str:
        """A quantity with the decimals of this symbol, more only where it has more."""
        return at_least(quantity, self.instrument.quantity_precision)

    def rounded_text(self, figure: Decimal) -> str:
        """A derived figure, such as an average price or a turnover, with the decimals of prices."""
        return scaled(figure, self.instrument.price_precision)

    def derive_mark(self) -> None:
        """Take the median of best bid, best ask and last price where the source has no mark."""
        book = self.book
        bid, ask = book.best_bid, book.best_ask
        if self.has_own_mark or bid is None or ask is None:
            return
        if book.last_price is None:
            book.mark_price = book.mid_price
        else:
            book.mark_price = payloads.median_of_three((bid[0], ask[0], book.last_price))
        book.index_price = book.mark_price
