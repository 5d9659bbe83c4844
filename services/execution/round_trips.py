"""How well strategies trade: round trips, slippage and calibration. Pure.

The venue knows one position per symbol, so a round trip lasts from flat to flat (or to the other
side), whoever trades in it. It belongs to the strategy that opened it, with everything that adds to
it, takes from it or ends it: other strategies, stops, targets, a person, the venue by force. Its
result is the venue's realised profit less the commission paid in the quote currency; funding is
not in it, nor is commission in another asset, whose worth is not known here. A trip whose beginning
or end was not seen as fills (an adopted position) counts nowhere.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from libs.common.model.money import MONEY_QUANTUM, ZERO
from libs.common.model.pnl import Amounts

#: Round trips and orders that are kept, over all strategies; the oldest are dropped first.
TRIPS_KEPT, ORDERS_KEPT = 1_000, 1_000
#: Entries of one round trip whose confidence is kept.
ENTRIES_KEPT = 50
#: Confidences are compared with outcomes in so many bins of equal width...
CALIBRATION_BINS = 10
#: ...and from so many outcomes on: fewer say nothing.
CALIBRATION_COUNT_MIN = 20
#: TradingFigures are told to so much.
RATIO_QUANTUM, BPS_QUANTUM = Decimal("0.000001"), Decimal("0.0001")
BPS = 10_000
#: Wide enough for every product of what the doors admit.
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)


class Entry(msgspec.Struct, kw_only=True):
    """An order that opened a round trip or added to it.

    Attributes:
        strategy_id: empty where it was by hand, or is not known to be ours yet.
        confidence: the probability of success that its intent stated, if it did.
    """

    venue_order_id: int
    strategy_id: str
    confidence: Decimal | None = None


class RoundTrip(msgspec.Struct, kw_only=True):
    """A position from flat to flat. Quote currency; commission by asset, paid where positive."""

    symbol: str
    opened_at_ns: int
    closed_at_ns: int = 0
    fills: int = 0
    realized_pnl: Decimal = ZERO
    commission: Amounts = {}
    entries: list[Entry] = []

    @property
    def strategy_id(self) -> str:
        """Whose it is: of the entry that opened it."""
        return self.entries[0].strategy_id if self.entries else ""

    def is_won(self, asset: str) -> bool:
        """Whether it left more than it cost, in the quote currency."""
        return self.realized_pnl - self.commission.get(asset, ZERO) > ZERO

    def add(self, realized_pnl: Decimal, asset: str, commission: Decimal) -> None:
        """Count one fill."""
        self.fills += 1
        self.realized_pnl += realized_pnl
        if commission:
            self.commission[asset] = self.commission.get(asset, ZERO) + commission

    def enter(self, entry: Entry) -> None:
        """Remember an entry, once however often it fills."""
        known = any(one.venue_order_id == entry.venue_order_id for one in self.entries)
        if not known and len(self.entries) < ENTRIES_KEPT:
            self.entries.append(entry)


class TripFill(msgspec.Struct, frozen=True, kw_only=True):
    """What a fill means to round trips.

    Attributes:
        held: signed base units before it.
        signed: base units it brought, below zero where it sold.
    """

    symbol: str
    held: Decimal
    signed: Decimal
    realized_pnl: Decimal
    asset: str
    commission: Decimal
    at_ns: int
    entry: Entry


class MeasuredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an order's fills cost beside the price at which its strategy decided.

    Attributes:
        realized_bps: of the average fill; above zero is worse than the price at decision.
        predicted_bps: what risk expected from the quote it saw; ``None`` where it did not say.
    """

    strategy_id: str
    at_ns: int
    realized_bps: Decimal
    predicted_bps: Decimal | None = None


class TradeBook(msgspec.Struct, kw_only=True):
    """Round trips that last, by symbol, and those that ended lately, with the orders measured."""

    lasting: dict[str, RoundTrip] = {}
    ended: list[RoundTrip] = []
    orders: list[MeasuredOrder] = []

    def book(self, fill: TripFill) -> None:
        """Count a fill; one that turns the position round ends one trip and begins the next.

        Its commission is shared between both by quantity, its profit is the first one's alone.
        """
        after = fill.held + fill.signed
        if not fill.held:
            self._begin(fill, fill.realized_pnl, fill.commission)
            return
        trip = self.lasting.get(fill.symbol)
        turns = fill.held * after < ZERO
        closing = closing_share(fill) if turns else fill.commission
        if trip is not None:
            trip.add(fill.realized_pnl, fill.asset, closing)
            if fill.held * fill.signed > ZERO:
                trip.enter(fill.entry)
            elif turns or not after:
                self._end(trip, fill.at_ns)
        if turns:
            self._begin(fill, ZERO, fill.commission - closing)

    def _begin(self, fill: TripFill, realized_pnl: Decimal, commission: Decimal) -> None:
        trip = RoundTrip(symbol=fill.symbol, opened_at_ns=fill.at_ns)
        trip.add(realized_pnl, fill.asset, commission)
        trip.enter(fill.entry)
        self.lasting[fill.symbol] = trip

    def _end(self, trip: RoundTrip, at_ns: int) -> None:
        trip.closed_at_ns = at_ns
        self.ended.append(self.lasting.pop(trip.symbol))
        del self.ended[:-TRIPS_KEPT]

    def give_up(self, symbol: str) -> None:
        """The position changed without fills: what became of the trip is not known."""
        self.lasting.pop(symbol, None)

    def claim(self, symbol: str, entry: Entry) -> None:
        """An order turns out to be one of ours."""
        for trip in (*self.lasting.values(), *self.ended):
            for one in trip.entries:
                if trip.symbol == symbol and one.venue_order_id == entry.venue_order_id:
                    one.strategy_id, one.confidence = entry.strategy_id, entry.confidence

    def measure(self, order: MeasuredOrder) -> None:
        """Keep what an order cost beside what was expected."""
        self.orders.append(order)
        del self.orders[:-ORDERS_KEPT]


class TradingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one strategy traded within a window; ``None`` where there is nothing to tell it from.

    Attributes:
        slippage_realized_bps, slippage_predicted_bps: means over the ``orders_compared`` orders
            that have both.
        hit_ratio: share of ``round_trips`` that were won.
        calibration_error: expected calibration error over ``outcomes`` entries with a confidence.
    """

    strategy_id: str
    orders: int
    orders_compared: int
    slippage_realized_bps: Decimal | None
    slippage_predicted_bps: Decimal | None
    round_trips: int
    hit_ratio: Decimal | None
    outcomes: int
    calibration_error: Decimal | None


def figures(book: TradeBook, asset: str, since_ns: int) -> list[TradingFigures]:
    """The figures of every strategy, by name; under the empty one what was traded by hand.

    Args:
        asset: the quote currency.
        since_ns: venue time from which orders and the ends of round trips count.
    """
    trips = [trip for trip in book.ended if trip.closed_at_ns >= since_ns]
    orders = [order for order in book.orders if order.at_ns >= since_ns]
    outcomes = [
        (entry.strategy_id, entry.confidence, trip.is_won(asset))
        for trip in trips
        for entry in trip.entries
        if entry.confidence is not None
    ]
    names = {trip.strategy_id for trip in trips} | {order.strategy_id for order in orders}
    names |= {name for name, _, _ in outcomes}
    return [
        _figures_of(
            name,
            [trip.is_won(asset) for trip in trips if trip.strategy_id == name],
            [order for order in orders if order.strategy_id == name],
            [(stated, won) for whose, stated, won in outcomes if whose == name],
        )
        for name in sorted(names)
    ]


def _figures_of(
    name: str,
    won: list[bool],
    orders: list[MeasuredOrder],
    outcomes: list[tuple[Decimal, bool]],
) -> TradingFigures:
    compared = [order for order in orders if order.predicted_bps is not None]
    return TradingFigures(
        strategy_id=name,
        orders=len(orders),
        orders_compared=len(compared),
        slippage_realized_bps=_mean(order.realized_bps for order in compared),
        slippage_predicted_bps=_mean(order.predicted_bps or ZERO for order in compared),
        round_trips=len(won),
        hit_ratio=_share(sum(won), len(won)),
        outcomes=len(outcomes),
        calibration_error=calibration_error(outcomes),
    )


def slippage_bps(sign: int, price: Decimal, price_at_decision: Decimal) -> Decimal | None:
    """How much worse a price is than the one at decision, in hundredths of a percent.

    Args:
        sign: 1 where it was bought, -1 where it was sold.

    Returns:
        ``None`` where either is no price.
    """
    if not (price.is_finite() and price_at_decision.is_finite()):
        return None
    if price <= ZERO or price_at_decision <= ZERO:
        return None
    worse = _WIDE.multiply(_WIDE.subtract(price, price_at_decision), Decimal(sign * BPS))
    return _WIDE.divide(worse, price_at_decision).quantize(BPS_QUANTUM, context=_WIDE)


def calibration_error(outcomes: Iterable[tuple[Decimal, bool]]) -> Decimal | None:
    """By how much stated probabilities missed the shares that came true (0: not at all, 1: wholly).

    The outcomes are put into ``CALIBRATION_BINS`` bins by their confidence; of each bin the mean
    confidence is compared with the share of successes, weighted by how many are in it. ``None``
    below ``CALIBRATION_COUNT_MIN`` outcomes.
    """
    counts = [0] * CALIBRATION_BINS
    stated, came_true = [ZERO] * CALIBRATION_BINS, [0] * CALIBRATION_BINS
    for confidence, won in outcomes:
        place = min(int(confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        counts[place] += 1
        stated[place] += confidence
        came_true[place] += won
    total = sum(counts)
    if total < CALIBRATION_COUNT_MIN:
        return None
    missed = sum((abs(said - won) for said, won in zip(stated, came_true, strict=True)), ZERO)
    return _WIDE.divide(missed, total).quantize(RATIO_QUANTUM, context=_WIDE)


def closing_share(fill: TripFill) -> Decimal:
    """The part of a fill's commission that is for closing what was held."""
    share = _WIDE.divide(_WIDE.multiply(fill.commission, abs(fill.held)), abs(fill.signed))
    return share.quantize(MONEY_QUANTUM, context=_WIDE)


def strategies(found: Iterable[TradingFigures], count_max: int) -> Iterator[TradingFigures]:
    """Those of strategies that traded most; hands are none, and there are no more than so many."""
    named = [one for one in found if one.strategy_id]
    yield from sorted(named, key=lambda one: (-one.orders - one.round_trips, one.strategy_id))[
        :count_max
    ]


def _mean(values: Iterable[Decimal]) -> Decimal | None:
    known = list(values)
    if not known:
        return None
    return _WIDE.divide(sum(known, ZERO), len(known)).quantize(BPS_QUANTUM, context=_WIDE)


def _share(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    return _WIDE.divide(Decimal(part), Decimal(whole)).quantize(RATIO_QUANTUM, context=_WIDE)
