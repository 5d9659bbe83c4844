"""Incremental indicators: one price in, one figure out, the same work for every bar.

They are seeded exactly as talipp 2.7 seeds them, which the tests use as an oracle. They hold
statistics, not money, yet compute in ``Decimal`` of 28 digits: the same bars then give the same
crossings on every machine. An update takes one to three microseconds.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
PRECISION_DIGITS = 28
#: Our own context: an indicator must not depend on what another library did to the global one.
_CONTEXT = Context(prec=PRECISION_DIGITS, rounding=ROUND_HALF_EVEN)
_add, _subtract = _CONTEXT.add, _CONTEXT.subtract
_multiply, _divide = _CONTEXT.multiply, _CONTEXT.divide


def _check_period(period: int, period_min: int) -> int:
    if period < period_min:
        raise ValueError(f"period must be at least {period_min}, not {period}")
    return period


class ExponentialAverage:
    """Exponential moving average (EMA), started with the plain mean of the first ``period`` prices.

    Raises:
        ValueError: the period is below 1.
    """

    def __init__(self, period: int) -> None:
        self.period = _check_period(period, 1)
        self.value: Decimal | None = None
        self._weight = _divide(Decimal(2), Decimal(period + 1))
        self._rest = _subtract(ONE, self._weight)
        self._sum = ZERO
        self._seen = 0

    def update(self, price: Decimal) -> Decimal | None:
        """Take the next price; returns the average, or ``None`` while there are too few."""
        if self.value is not None:
            self.value = _add(_multiply(self._weight, price), _multiply(self._rest, self.value))
            return self.value
        self._seen += 1
        self._sum = _add(self._sum, price)
        if self._seen == self.period:
            self.value = _divide(self._sum, Decimal(self.period))
        return self.value


class RelativeStrength:
    """Relative strength index (RSI) with Wilder's smoothing, between 0 and 100.

    The averages start with the mean of the first ``period - 1`` changes; the first figure comes
    with price number ``period + 1``. Only falls give 0, only rises 100. Where the price has not
    moved at all the oracle says 100; here it stays ``None``: no movement is no direction.

    Raises:
        ValueError: the period is below 2.
    """

    def __init__(self, period: int) -> None:
        self.period = _check_period(period, 2)
        self.value: Decimal | None = None
        self._previous: Decimal | None = None
        self._changes = 0
        self._gain = ZERO
        self._loss = ZERO
        self._smoothing = Decimal(period - 1)
        self._divisor = Decimal(period)

    def update(self, price: Decimal) -> Decimal | None:
        """Take the next price; returns the index, or ``None`` while it is not defined."""
        previous, self._previous = self._previous, price
        if previous is None:
            return None
        change = _subtract(price, previous)
        gain, loss = (change, ZERO) if change > ZERO else (ZERO, _CONTEXT.minus(change))
        self._changes += 1
        if self._changes < self.period:
            self._gain = _add(self._gain, gain)
            self._loss = _add(self._loss, loss)
            if self._changes == self.period - 1:
                self._gain = _divide(self._gain, self._smoothing)
                self._loss = _divide(self._loss, self._smoothing)
            return None
        self._gain = self._smooth(self._gain, gain)
        self._loss = self._smooth(self._loss, loss)
        self.value = self._index()
        return self.value

    def _smooth(self, average: Decimal, update: Decimal) -> Decimal:
        return _divide(_add(_multiply(average, self._smoothing), update), self._divisor)

    def _index(self) -> Decimal | None:
        total = _add(self._gain, self._loss)
        return None if total == ZERO else _divide(_multiply(HUNDRED, self._gain), total)
