"""What each request costs of the venue's limits, and what it is for.

Source: the weights on the endpoint pages of Binance USD-M Futures, as of late 2026. An endpoint
that is not listed is taken to be expensive, because a wrong guess upward only costs patience.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec


class Purpose(StrEnum):
    """Why a request is made, which decides how much of the venue's limits it may use up.

    ENTRY and READ are ordinary. EXIT (reduce-only, close-position), CANCEL and RECONCILE (what
    finds out the truth about orders, positions and the stream of their events) have a reserve.
    """

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    CANCEL = "CANCEL"
    RECONCILE = "RECONCILE"
    READ = "READ"


RESERVED_PURPOSES = frozenset({Purpose.EXIT, Purpose.CANCEL, Purpose.RECONCILE})


class Cost(msgspec.Struct, frozen=True):
    """How much one request adds to each of the venue's counts."""

    weight: int = 0
    orders_10s: int = 0
    orders_1m: int = 0


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint. `weight_of_all`: its weight without a symbol, where that differs.

    `weights_by_limit`: pairs of the largest `limit` parameter and the weight up to it.
    """

    purpose: Purpose
    weight: int = 1
    orders_10s: int = 0
    orders_1m: int = 0
    weight_of_all: int = 0
    weights_by_limit: tuple[tuple[int, int], ...] = ()
    limit_default: int = 500


ONE_ORDER = Endpoint(Purpose.ENTRY, 0, 1, 1)
_COST_OF_ONE_ORDER = Cost(0, 1, 1)
_CANCEL, _READ, _RECONCILE = (
    Endpoint(purpose) for purpose in (Purpose.CANCEL, Purpose.READ, Purpose.RECONCILE)
)
_ACCOUNT = Endpoint(Purpose.RECONCILE, 5)
_CANDLES = Endpoint(Purpose.READ, 10, weights_by_limit=((99, 1), (499, 2), (1_000, 5), (1_500, 10)))
_BATCH = Endpoint(Purpose.ENTRY, 5, 5, 1)

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "order"): ONE_ORDER,
    ("PUT", "order"): ONE_ORDER,
    ("POST", "algoOrder"): ONE_ORDER,
    ("POST", "batchOrders"): _BATCH,
    ("PUT", "batchOrders"): _BATCH,
    ("DELETE", "order"): _CANCEL,
    ("DELETE", "batchOrders"): _CANCEL,
    ("DELETE", "allOpenOrders"): _CANCEL,
    ("DELETE", "algoOrder"): _CANCEL,
    ("DELETE", "algoOpenOrders"): _CANCEL,
    ("POST", "countdownCancelAll"): Endpoint(Purpose.CANCEL, 10),
    ("GET", "order"): _RECONCILE,
    ("GET", "openOrder"): _RECONCILE,
    ("GET", "openOrders"): Endpoint(Purpose.RECONCILE, 1, weight_of_all=40),
    ("GET", "allOrders"): _ACCOUNT,
    ("GET", "algoOrder"): _RECONCILE,
    ("GET", "openAlgoOrders"): Endpoint(Purpose.RECONCILE, 1, weight_of_all=40),
    ("GET", "allAlgoOrders"): _ACCOUNT,
    ("GET", "userTrades"): _ACCOUNT,
    ("GET", "account"): _ACCOUNT,
    ("GET", "balance"): _ACCOUNT,
    ("GET", "positionRisk"): _ACCOUNT,
    ("GET", "accountConfig"): _ACCOUNT,
    ("GET", "symbolConfig"): _ACCOUNT,
    ("GET", "rateLimit/order"): _RECONCILE,
    ("GET", "time"): _RECONCILE,
    ("POST", "listenKey"): _RECONCILE,
    ("PUT", "listenKey"): _RECONCILE,
    ("DELETE", "listenKey"): _RECONCILE,
    ("GET", "income"): Endpoint(Purpose.READ, 30),
    ("GET", "commissionRate"): Endpoint(Purpose.READ, 20),
    ("GET", "forceOrders"): Endpoint(Purpose.READ, 20, weight_of_all=50),
    ("GET", "adlQuantile"): Endpoint(Purpose.READ, 5),
    ("GET", "apiTradingStatus"): Endpoint(Purpose.READ, 1, weight_of_all=10),
    ("GET", "positionSide/dual"): Endpoint(Purpose.READ, 30),
    ("GET", "multiAssetsMargin"): Endpoint(Purpose.READ, 30),
    ("GET", "feeBurn"): Endpoint(Purpose.READ, 30),
    ("POST", "positionSide/dual"): _READ,
    ("POST", "multiAssetsMargin"): _READ,
    ("POST", "leverage"): _READ,
    ("POST", "marginType"): _READ,
    ("POST", "positionMargin"): _READ,
    ("GET", "leverageBracket"): _READ,
    ("GET", "ping"): _READ,
    ("GET", "exchangeInfo"): _READ,
    ("GET", "depth"): Endpoint(
        Purpose.READ, 20, weights_by_limit=((50, 2), (100, 5), (500, 10), (1_000, 20))
    ),
    ("GET", "trades"): Endpoint(Purpose.READ, 5),
    ("GET", "historicalTrades"): Endpoint(Purpose.READ, 200),
    ("GET", "aggTrades"): Endpoint(Purpose.READ, 20),
    ("GET", "klines"): _CANDLES,
    ("GET", "markPriceKlines"): _CANDLES,
    ("GET", "indexPriceKlines"): _CANDLES,
    ("GET", "continuousKlines"): _CANDLES,
    ("GET", "premiumIndex"): Endpoint(Purpose.READ, 1, weight_of_all=10),
    ("GET", "ticker/24hr"): Endpoint(Purpose.READ, 1, weight_of_all=40),
    ("GET", "ticker/price"): Endpoint(Purpose.READ, 1, weight_of_all=2),
    ("GET", "ticker/bookTicker"): Endpoint(Purpose.READ, 2, weight_of_all=5),
    ("GET", "openInterest"): _READ,
}
"""By verb and by path without `/fapi/v<n>/`."""

UNLISTED = Endpoint(Purpose.READ, 40)

_HEDGE_EXITS = (("LONG", "SELL"), ("SHORT", "BUY"))


@lru_cache(maxsize=256)
def endpoint_of(verb: str, path: str) -> Endpoint:
    """Return what is known of `/fapi/v<n>/...`."""
    return ENDPOINTS.get((verb, path.split("/", 3)[-1]), UNLISTED)


def cost_of(endpoint: Endpoint, parameters: Mapping[str, object]) -> Cost:
    """Return what one request adds to the venue's counts."""
    if endpoint is ONE_ORDER:
        return _COST_OF_ONE_ORDER
    return Cost(_weight(endpoint, parameters), endpoint.orders_10s, endpoint.orders_1m)


def purpose_of(endpoint: Endpoint, parameters: Mapping[str, object]) -> Purpose:
    """Return what a request is for; an order that can only reduce a position is an EXIT."""
    if endpoint.purpose is Purpose.ENTRY and is_exit(parameters):
        return Purpose.EXIT
    return endpoint.purpose


def is_exit(parameters: Mapping[str, object]) -> bool:
    """Whether an order can only reduce a position, by the venue's own rule for exempting it.

    The rule (of -1008): closePosition, one-way mode with reduceOnly, LONG with SELL, SHORT with
    BUY.
    """
    if _is_true(parameters.get("reduceOnly")) or _is_true(parameters.get("closePosition")):
        return True
    return (parameters.get("positionSide"), parameters.get("side")) in _HEDGE_EXITS


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _weight(endpoint: Endpoint, parameters: Mapping[str, object]) -> int:
    if endpoint.weight_of_all and parameters.get("symbol") is None:
        return endpoint.weight_of_all
    if endpoint.weights_by_limit:
        limit = parameters.get("limit")
        asked = limit if isinstance(limit, int) else endpoint.limit_default
        return next(
            (weight for up_to, weight in endpoint.weights_by_limit if asked <= up_to),
            endpoint.weight,
        )
    return endpoint.weight
