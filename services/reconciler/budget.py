"""How much of the venue's request weight comparisons may use. Pure: the time is passed in.

The venue counts all weight of an address together (2,400 a minute) and bans whoever goes on beyond
it, orders included. Looking must therefore never be able to use up what trading needs, however
often something asks for a look.
"""

from collections import deque

MINUTE_NS = 60_000_000_000
POSITIONS_WEIGHT = 5
BALANCE_WEIGHT = 5
ORDERS_OF_A_SYMBOL_WEIGHT = 1
ORDERS_OF_ALL_WEIGHT = 40
#: Regular and conditional orders are two lists of the same weight.
ORDER_LISTS = 2
#: The account's modes, and leverage and margin type of all symbols.
SETTINGS_WEIGHT = 5 + 5
TRADES_OF_A_SYMBOL_WEIGHT = 5
INCOME_PAGE_WEIGHT = 30


def look_weight(
    symbols: int,
    *,
    is_whole: bool,
    has_settings: bool = False,
    trades_symbols: int = 0,
    income_pages: int = 0,
) -> int:
    """What one look costs: open orders of all symbols, or of so many; settings; trades; income."""
    orders = ORDERS_OF_ALL_WEIGHT if is_whole else symbols * ORDERS_OF_A_SYMBOL_WEIGHT
    settings = SETTINGS_WEIGHT if has_settings else 0
    trades = trades_symbols * TRADES_OF_A_SYMBOL_WEIGHT
    lists = settings + trades + income_pages * INCOME_PAGE_WEIGHT
    return POSITIONS_WEIGHT + BALANCE_WEIGHT + ORDER_LISTS * orders + lists


class WeightBudget:
    """Weight spent within the last minute, kept below a maximum."""

    def __init__(self, per_minute_max: int) -> None:
        self._per_minute_max = per_minute_max
        self._spent: deque[tuple[int, int]] = deque()
        self._total = 0

    def spend(self, weight: int, now_ns: int) -> bool:
        """Book the weight; false, and nothing booked, if it would be too much."""
        self._let_go(now_ns)
        if self._total + weight > self._per_minute_max:
            return False
        self._spent.append((now_ns, weight))
        self._total += weight
        return True

    def has_room(self, weight: int, per_minute_max: int, now_ns: int) -> bool:
        """Whether so much more stays within a share of the maximum; a first look always does."""
        self._let_go(now_ns)
        return not self._total or self._total + weight <= per_minute_max

    def _let_go(self, now_ns: int) -> None:
        """Forget what was spent over a minute ago."""
        while self._spent and self._spent[0][0] <= now_ns - MINUTE_NS:
            self._total -= self._spent.popleft()[1]
