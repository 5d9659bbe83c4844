"""What the public reports see, and the small rules they share: symbols, windows, weights."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from services.paper_exchange.config import DEFAULT_LIMITS, Limits
from services.paper_exchange.market.candles import ZERO
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.market.market import Market
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.wire.authentication import Security
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

NS_PER_MS: Final = 1_000_000
ROWS_DEFAULT: Final = 500
ROWS_MAX: Final = 1_000

Row = dict[str, object]


def _nothing_held(_symbol: str) -> Decimal:
    return ZERO


def _no_risk(_symbol: str) -> str:
    return "low"


def _as_they_are(instruments: Iterable[Instrument]) -> Iterable[Instrument]:
    return instruments


class MarketView(NamedTuple):
    """What the public reports are made from.

    ``clock_offset_ms`` is how far the venue's own clock is off market time; ``open_interest`` is
    what the accounts of the venue hold of a symbol, in the base asset; ``adl_risk`` rates how
    likely its liquidations end in deleveraging: low, medium or high. ``listing`` is what
    exchangeInfo lists in place of the instruments, where it is to be wrong.
    """

    market: Market
    limits: Limits = DEFAULT_LIMITS
    clock_offset_ms: Callable[[], int] = int
    open_interest: Callable[[str], Decimal] = _nothing_held
    adl_risk: Callable[[str], str] = _no_risk
    listing: Callable[[Iterable[Instrument]], Iterable[Instrument]] = _as_they_are


Report = Callable[[MarketView, Parameters, int], object]
"""View, what the client sent, market time in ns; raises `RefusalError`."""


class MarketEndpoint(NamedTuple):
    """One public endpoint: its report, what it weighs and what it demands.

    One that ``has_own_quota`` weighs nothing and is counted with the funding requests instead.
    """

    report: Report
    weight_of: Callable[[Parameters], int]
    security: Security = Security.NONE
    has_own_quota: bool = False


def fixed(weight: int) -> Callable[[Parameters], int]:
    """The same weight for every request."""
    return lambda _sent: weight


def one_or_all(one_weight: int, all_weight: int) -> Callable[[Parameters], int]:
    """One weight for a request that names a symbol, another for one that does not."""
    return lambda sent: one_weight if "symbol" in sent else all_weight


def state_of(view: MarketView, sent: Parameters, name: str = "symbol") -> SymbolMarket:
    """The symbol (or pair: perpetuals have the same name) asked for; raises -1121."""
    state = view.market.symbols.get(sent.text(name))
    if state is None:
        raise RefusalError(-1121)
    return state


def each_or_one(
    view: MarketView, sent: Parameters, row: Callable[[SymbolMarket], Row]
) -> Row | list[Row]:
    """The row of the symbol asked for, or the rows of all symbols where none is."""
    if "symbol" in sent:
        return row(state_of(view, sent))
    return [row(state) for state in view.market.symbols.values()]


def window(sent: Parameters) -> tuple[int | None, int | None]:
    """Start and end time in ms, both inclusive; raises -1023 where they are the wrong way round."""
    start_ms, end_ms = sent.optional_integer("startTime"), sent.optional_integer("endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise RefusalError(-1023)
    return start_ms, end_ms
