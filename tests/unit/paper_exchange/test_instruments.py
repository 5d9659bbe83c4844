"""The venue's contracts and its exchangeInfo."""

from decimal import Decimal

import pytest

from services.paper_exchange.market.instruments import (
    INSTRUMENTS,
    UnknownSymbolError,
    exchange_info,
    select_instruments,
    spoiled,
)

SYMBOL_KEYS = [
    "symbol",
    "pair",
    "contractType",
    "deliveryDate",
    "onboardDate",
    "status",
    "maintMarginPercent",
    "requiredMarginPercent",
    "baseAsset",
    "quoteAsset",
    "marginAsset",
    "pricePrecision",
    "quantityPrecision",
    "baseAssetPrecision",
    "quotePrecision",
    "underlyingType",
    "underlyingSubType",
    "triggerProtect",
    "liquidationFee",
    "marketTakeBound",
    "maxMoveOrderLimit",
    "filters",
    "orderTypes",
    "timeInForce",
    "permissionSets",
]


def test_exchange_info_has_every_key_of_the_recorded_one_in_order() -> None:
    info = exchange_info(1_700_000_000_000, INSTRUMENTS.values())
    symbols = info["symbols"]
    assert isinstance(symbols, list)
    assert {entry["symbol"] for entry in symbols} == set(INSTRUMENTS)
    for entry in symbols:
        assert list(entry) == SYMBOL_KEYS


def test_filters_of_btcusdt_are_those_recorded_from_the_venue() -> None:
    info = exchange_info(0, [INSTRUMENTS["BTCUSDT"]])
    symbols = info["symbols"]
    assert isinstance(symbols, list)
    filters = {entry["filterType"]: entry for entry in symbols[0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["PRICE_FILTER"]["minPrice"] == "556.80"
    assert filters["LOT_SIZE"] == {
        "filterType": "LOT_SIZE",
        "stepSize": "0.001",
        "maxQty": "1000",
        "minQty": "0.001",
    }
    assert filters["MARKET_LOT_SIZE"]["maxQty"] == "120"
    assert filters["MIN_NOTIONAL"]["notional"] == "50"
    assert filters["PERCENT_PRICE"]["multiplierDecimal"] == "4"
    assert "MAX_NUM_ALGO_ORDERS" not in filters


@pytest.mark.parametrize("symbol", sorted(INSTRUMENTS))
def test_prices_and_quantities_of_every_symbol_fit_its_precision(symbol: str) -> None:
    listed = INSTRUMENTS[symbol]
    assert listed.price_tick % Decimal(1).scaleb(-listed.price_precision) == 0
    assert listed.quantity_step % Decimal(1).scaleb(-listed.quantity_precision) == 0
    assert listed.price_min < listed.price_max
    assert listed.quantity_min <= listed.market_quantity_max <= listed.quantity_max


def test_an_unlisted_symbol_is_refused_by_name() -> None:
    with pytest.raises(UnknownSymbolError, match="NOPEUSDT"):
        select_instruments(["BTCUSDT", "NOPEUSDT"])


def test_symbols_differ_in_what_was_recorded_of_them() -> None:
    symbols = exchange_info(0, INSTRUMENTS.values())["symbols"]
    assert isinstance(symbols, list)
    listed = {row["symbol"]: row for row in symbols}
    bitcoin, doge = listed["BTCUSDT"], listed["DOGEUSDT"]
    assert bitcoin["timeInForce"] == doge["timeInForce"] == ["GTC", "IOC", "FOK", "GTX", "GTD"]
    assert bitcoin["underlyingSubType"] == ["PoW", "Crypto"]
    assert bitcoin["permissionSets"] == ["GRID", "COPY", "DCA", "PSB"]
    assert doge["permissionSets"] == ["GRID", "COPY", "RPI", "DCA", "PSB"]
    assert bitcoin["onboardDate"] == 1_567_965_300_000
    assert (doge["triggerProtect"], doge["liquidationFee"], doge["marketTakeBound"]) == (
        "0.1000",
        "0.015000",
        "0.10",
    )
    percent = next(row for row in doge["filters"] if row["filterType"] == "PERCENT_PRICE")
    assert (percent["multiplierUp"], percent["multiplierDown"]) == ("1.1000", "0.9000")


def test_a_spoiled_listing_has_ticks_of_zero_and_odd_names_and_leaves_the_rest() -> None:
    listed = spoiled(select_instruments(["BTCUSDT", "ETHUSDT"]).values(), ("ETHUSDT",), ("币USDT",))
    told = exchange_info(0, listed)["symbols"]
    assert isinstance(told, list)
    ticks = {
        one["symbol"]: next(f for f in one["filters"] if "tickSize" in f)["tickSize"]
        for one in told
    }
    assert ticks["ETHUSDT"] == "0"
    assert ticks["BTCUSDT"] == "0.10"
    assert list(ticks) == ["BTCUSDT", "ETHUSDT", "币USDT"]
