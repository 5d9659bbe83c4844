"""What can be traded on the paper venue, and the exchangeInfo document that says so.

The venue has its own instrument type on purpose: it shares nothing with our client, so that a
mistake in one of them shows as a disagreement instead of hiding on both sides.

BTCUSDT, ETHUSDT, XRPUSDT and DOGEUSDT carry the values recorded from the real venue on 2026-09-11;
the other symbols carry plausible ones. Tick sizes never follow from ``price_precision`` (DOGEUSDT
shows why), so both are stated.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from services.paper_exchange.config import DEFAULT_LIMITS, Limits

DELIVERY_DATE_PERPETUAL_MS: Final = 4_133_404_800_000

TRADING: Final = "TRADING"
STATUSES: Final = frozenset(
    {
        TRADING,
        "PENDING_TRADING",
        "PRE_SETTLE",
        "SETTLING",
        "CLOSE",
        "TRADING_HALT",
        "TRADING_CANCEL_ONLY",
    }
)
"""What a symbol can be in exchangeInfo; orders are taken in the first one only."""

ORDER_TYPES: Final = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
LISTED_TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX", "GTD")
"""What exchangeInfo tells of every symbol; retail price improvement is a permission there."""
TIMES_IN_FORCE: Final = (*LISTED_TIMES_IN_FORCE, "RPI")


class UnknownSymbolError(LookupError):
    """A source or an option names a symbol this venue does not list."""


USUAL_FUNDING_RATE_CAP: Final = Decimal("0.02")


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One perpetual contract; prices and notionals in USDT, quantities in the base asset."""

    symbol: str
    base_asset: str
    quote_asset: str = "USDT"
    status: str = TRADING
    contract_type: str = "PERPETUAL"
    delivery_date_ms: int = DELIVERY_DATE_PERPETUAL_MS
    price_precision: int
    quantity_precision: int
    price_tick: Decimal
    price_min: Decimal
    price_max: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    open_orders_max: int = 200
    percent_price_up: Decimal = Decimal("1.0500")
    percent_price_down: Decimal = Decimal("0.9500")
    market_take_bound: Decimal = Decimal("0.05")
    trigger_protect: Decimal = Decimal("0.0500")
    liquidation_fee: Decimal = Decimal("0.012500")
    order_moves_max: int = 10_000
    maintenance_margin_percent: Decimal = Decimal("2.5000")
    required_margin_percent: Decimal = Decimal("5.0000")
    onboard_date_ms: int = 1_569_398_400_000
    funding_interval_hours: int = 8
    funding_rate_cap: Decimal = USUAL_FUNDING_RATE_CAP
    underlying_subtypes: tuple[str, ...] = ("Layer-1", "Crypto")
    permissions: tuple[str, ...] = ("GRID", "COPY", "DCA", "PSB")


MAJOR_FUNDING_RATE_CAP: Final = Decimal("0.003")
"""Three quarters of the lowest maintenance ratio of BTCUSDT and ETHUSDT, which is their cap."""
MAJORS: Final = frozenset({"BTCUSDT", "ETHUSDT"})


_RECORDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "BTCUSDT": {
        "onboard_date_ms": 1_567_965_300_000,
        "underlying_subtypes": ("PoW", "Crypto"),
    },
    "ETHUSDT": {"onboard_date_ms": 1_574_840_700_000},
    "XRPUSDT": {
        "onboard_date_ms": 1_578_298_800_000,
        "underlying_subtypes": ("Payment", "Crypto"),
    },
    "DOGEUSDT": {
        "onboard_date_ms": 1_594_371_600_000,
        "underlying_subtypes": ("Meme", "Crypto"),
        "permissions": ("GRID", "COPY", "RPI", "DCA", "PSB"),
        "percent_price_up": Decimal("1.1000"),
        "percent_price_down": Decimal("0.9000"),
        "market_take_bound": Decimal("0.10"),
        "trigger_protect": Decimal("0.1000"),
        "liquidation_fee": Decimal("0.015000"),
    },
}
"""What was recorded of a symbol and is not what most have."""


def _listed(symbol: str, precisions: tuple[int, int], *values: str) -> Instrument:
    """Build an instrument from its table row.

    The values are: tick, price min, price max, step, quantity max, market quantity max, notional
    min. The smallest quantity is one step on every listed symbol.
    """
    tick, price_min, price_max, step, quantity_max, market_max, notional_min = map(Decimal, values)
    return Instrument(
        symbol=symbol,
        base_asset=symbol.removesuffix("USDT"),
        price_precision=precisions[0],
        quantity_precision=precisions[1],
        price_tick=tick,
        price_min=price_min,
        price_max=price_max,
        quantity_step=step,
        quantity_min=step,
        quantity_max=quantity_max,
        market_quantity_max=market_max,
        notional_min=notional_min,
        funding_rate_cap=MAJOR_FUNDING_RATE_CAP if symbol in MAJORS else USUAL_FUNDING_RATE_CAP,
        **_RECORDED.get(symbol, {}),
    )


INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    listed.symbol: listed
    for listed in (
        _listed("BTCUSDT", (2, 3), "0.10", "556.80", "4529764", "0.001", "1000", "120", "50"),
        _listed("ETHUSDT", (2, 3), "0.01", "39.86", "306177", "0.001", "10000", "2000", "20"),
        _listed(
            "ADAUSDT", (5, 0), "0.00010", "0.01740", "199.99990", "1", "2000000", "300000", "5"
        ),
        _listed("XRPUSDT", (4, 1), "0.0001", "0.0143", "100000", "0.1", "10000000", "2000000", "5"),
        _listed(
            "SOLUSDT", (4, 2), "0.0100", "0.4200", "6857.0000", "0.01", "1000000", "80000", "5"
        ),
        _listed(
            "DOGEUSDT",
            (6, 0),
            "0.000010",
            "0.002440",
            "30",
            "1",
            "300000000",
            "30000000",
            "5",
        ),
        _listed("BNBUSDT", (3, 2), "0.010", "6.600", "100000.000", "0.01", "100000", "2000", "5"),
    )
}


def select_instruments(symbols: Iterable[str]) -> dict[str, Instrument]:
    """Return the listed instruments named; raises `UnknownSymbolError` for one not listed."""
    selected: dict[str, Instrument] = {}
    for symbol in symbols:
        if symbol not in INSTRUMENTS:
            listed = ", ".join(sorted(INSTRUMENTS))
            raise UnknownSymbolError(f"symbol {symbol!r} is not listed here; listed: {listed}")
        selected[symbol] = INSTRUMENTS[symbol]
    return selected


def spoiled(
    instruments: Iterable[Instrument], zero_ticks: Collection[str], odd: Iterable[str]
) -> list[Instrument]:
    """The instruments, some with a tick of zero, and odd names that else look like the last."""
    listed = [
        msgspec.structs.replace(one, price_tick=Decimal(0)) if one.symbol in zero_ticks else one
        for one in instruments
    ]
    return listed + [msgspec.structs.replace(listed[-1], symbol=name) for name in odd if listed]


def exchange_info(
    now_ms: int, instruments: Iterable[Instrument], limits: Limits = DEFAULT_LIMITS
) -> dict[str, object]:
    """Return the body of GET /fapi/v1/exchangeInfo for these instruments at market time."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_per_minute_max),
            _rate_limit("ORDERS", "MINUTE", 1, limits.orders_per_minute_max),
            _rate_limit("ORDERS", "SECOND", 10, limits.orders_per_10_seconds_max),
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol_entry(instrument) for instrument in instruments],
    }


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _symbol_entry(instrument: Instrument) -> dict[str, object]:
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": instrument.contract_type,
        "deliveryDate": instrument.delivery_date_ms,
        "onboardDate": instrument.onboard_date_ms,
        "status": instrument.status,
        "maintMarginPercent": str(instrument.maintenance_margin_percent),
        "requiredMarginPercent": str(instrument.required_margin_percent),
        "baseAsset": instrument.base_asset,
        "quoteAsset": instrument.quote_asset,
        "marginAsset": instrument.quote_asset,
        "pricePrecision": instrument.price_precision,
        "quantityPrecision": instrument.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": list(instrument.underlying_subtypes),
        "triggerProtect": str(instrument.trigger_protect),
        "liquidationFee": str(instrument.liquidation_fee),
        "marketTakeBound": str(instrument.market_take_bound),
        "maxMoveOrderLimit": instrument.order_moves_max,
        "filters": _filters(instrument),
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": list(LISTED_TIMES_IN_FORCE),
        "permissionSets": list(instrument.permissions),
    }


def _filters(instrument: Instrument) -> list[dict[str, object]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "maxPrice": str(instrument.price_max),
            "minPrice": str(instrument.price_min),
            "tickSize": str(instrument.price_tick),
        },
        _lot("LOT_SIZE", instrument, instrument.quantity_max),
        _lot("MARKET_LOT_SIZE", instrument, instrument.market_quantity_max),
        {"filterType": "MAX_NUM_ORDERS", "limit": instrument.open_orders_max},
        {"filterType": "MIN_NOTIONAL", "notional": str(instrument.notional_min)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": str(instrument.percent_price_up),
            "multiplierDown": str(instrument.percent_price_down),
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def _lot(kind: str, instrument: Instrument, quantity_max: Decimal) -> dict[str, object]:
    return {
        "filterType": kind,
        "stepSize": str(instrument.quantity_step),
        "maxQty": str(quantity_max),
        "minQty": str(instrument.quantity_min),
    }
