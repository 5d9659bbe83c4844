"""The venue's rules are read symbol by symbol: a bad entry costs its own symbol alone."""

import json
from typing import Any

import pytest

from libs.common.testing.builders import an_instrument
from libs.common.venue.payloads import ExchangeInfo, decode_payload
from services.execution.rules import UNREADABLE, rules_of

FILTERS: list[dict[str, Any]] = [
    {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "9"},
    {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]


def an_entry(symbol: str, **changes: Any) -> dict[str, Any]:
    entry = {
        "symbol": symbol,
        "status": "TRADING",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": FILTERS,
    }
    return {**entry, **changes}


def an_info(*entries: Any) -> ExchangeInfo:
    return decode_payload(json.dumps({"symbols": entries}).encode(), ExchangeInfo)


ZERO_TICK = [{**FILTERS[0], "tickSize": "0"}, *FILTERS[1:]]
BAD_ENTRIES = [
    an_entry("ETHUSDT", filters=ZERO_TICK),
    an_entry("ETHUSDT", filters=[{**FILTERS[0], "tickSize": "NaN"}, *FILTERS[1:]]),
    an_entry("ETHUSDT", filters=[{**FILTERS[0], "tickSize": None}, *FILTERS[1:]]),
    an_entry("ETHUSDT", filters=FILTERS[:2]),
    an_entry("ETHUSDT", filters=None),
    an_entry("ETHUSDT", pricePrecision="two"),
    {"symbol": "ETHUSDT"},
    an_entry("BNBUSDT"),
    None,
]


@pytest.mark.parametrize("bad", BAD_ENTRIES)
def test_a_symbol_whose_rules_cannot_be_read_costs_no_other_symbol(bad: Any) -> None:
    stranger = an_entry("币安人生USDT", filters=ZERO_TICK)
    info = an_info(stranger, bad, an_entry("BTCUSDT"))
    found, refused = rules_of(("BTCUSDT", "ETHUSDT"), info, {})
    assert [one.symbol for one in found] == ["BTCUSDT"]
    assert list(refused) == ["ETHUSDT"]
    assert refused["ETHUSDT"].startswith("ETHUSDT ")


@pytest.mark.parametrize("bad", BAD_ENTRIES)
def test_a_symbol_that_was_known_keeps_its_rules_for_exits(bad: Any) -> None:
    known = {"ETHUSDT": an_instrument(symbol="ETHUSDT")}
    found, refused = rules_of(("ETHUSDT",), an_info(bad), known)
    assert found == (an_instrument(symbol="ETHUSDT", status=UNREADABLE),)
    assert refused


def test_a_symbol_with_a_non_ascii_name_is_read_like_any_other() -> None:
    found, refused = rules_of(("币安人生USDT",), an_info(an_entry("币安人生USDT")), {})
    assert (found[0].symbol, refused) == ("币安人生USDT", {})
