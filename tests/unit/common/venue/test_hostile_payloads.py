"""Answers that no venue should give: each is refused as unreadable, none raises anything else."""

import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.venue.outcomes import Unknown, classify
from libs.common.venue.payloads import (
    AssetBalance,
    ExchangeInfo,
    PayloadError,
    SymbolInfo,
    UserTrade,
    VenueOrder,
    decode_payload,
)
from libs.common.venue.socket_api import decode_answer
from libs.common.venue.user_payloads import decode_user_frame
from tests.unit.common.venue.test_payloads import BTC

DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECT = b'{"e":"ORDER_TRADE_UPDATE","z":' + DEEP + b"}"
TRADE: dict[str, Any] = {
    "symbol": "BTCUSDT", "id": 1, "orderId": 4711, "side": "BUY", "price": "60000",
    "qty": "0.020", "realizedPnl": "0", "commission": "0", "commissionAsset": "USDT",
    "time": 1, "quoteQty": "1200",
}  # fmt: skip
UPDATE: dict[str, Any] = {
    "s": "BTCUSDT", "c": "x", "i": 7, "S": "BUY", "o": "MARKET", "x": "TRADE", "X": "FILLED",
    "q": "1", "z": "1", "T": 1, "l": "1", "L": "60000", "t": 5,
}  # fmt: skip


def an_event(**changes: Any) -> bytes:
    order = {**UPDATE, **changes}
    return json.dumps({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": order}).encode()


@pytest.mark.parametrize("body", [DEEP, DEEP_OBJECT])
def test_an_answer_nested_beyond_all_reason_is_unknown(body: bytes) -> None:
    assert isinstance(classify(200, body, {}, is_order=True), Unknown)
    assert isinstance(classify(400, body, {}, is_order=True), Unknown)


@pytest.mark.parametrize("body", [DEEP, DEEP_OBJECT])
def test_payloads_and_frames_nested_beyond_all_reason_are_unreadable(body: bytes) -> None:
    with pytest.raises(PayloadError):
        decode_payload(body, VenueOrder)
    with pytest.raises(PayloadError):
        decode_user_frame(body)
    with pytest.raises(PayloadError):
        decode_answer(body)


def test_a_trade_and_an_execution_that_are_sound_are_read() -> None:
    assert decode_payload(json.dumps(TRADE).encode(), UserTrade).quantity == Decimal("0.020")
    decode_user_frame(an_event())
    decode_user_frame(an_event(x="NEW", X="NEW", l="0", L="0"))


BAD_NUMBERS = ["1E+999999999", "1E-999999999", "0E+999999999", "1E+401"]


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_number_that_cannot_be_written_out_is_refused(number: str) -> None:
    balance = {"asset": "USDT", "crossWalletBalance": "1", "crossUnPnl": "0", "balance": "1"}
    with pytest.raises(PayloadError):
        decode_payload(json.dumps({**balance, "availableBalance": number}).encode(), AssetBalance)


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "BOTH"},
        {"qty": "0"},
        {"qty": "-1"},
        {"price": "0"},
        {"price": "1E+13"},
        {"qty": "1E+9", "price": "1E+9"},
        *({"qty": number} for number in BAD_NUMBERS),
    ],
)
def test_a_trade_that_no_position_can_reckon_with_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(PayloadError):
        decode_payload(json.dumps([{**TRADE, **changes}]).encode(), list[UserTrade])


@pytest.mark.parametrize(
    "changes",
    [{"S": "BOTH"}, {"L": "0"}, {"L": "1E+13"}, {"l": "1E+9", "L": "1E+9"}, {"l": "1E+999999"}],
)
def test_an_execution_that_no_position_can_reckon_with_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(PayloadError):
        decode_user_frame(an_event(**changes))


@pytest.mark.parametrize("step", ["1E-30", "1E+30", "-1"])
@pytest.mark.parametrize("name", ["LOT_SIZE", "PRICE_FILTER", "MARKET_LOT_SIZE"])
def test_a_step_that_no_price_or_quantity_can_be_divided_by_is_refused(
    name: str, step: str
) -> None:
    size = "tickSize" if name == "PRICE_FILTER" else "stepSize"
    filters = [{**one, size: step} if one["filterType"] == name else one for one in BTC["filters"]]
    body = json.dumps({"symbols": [{**BTC, "filters": filters}]}).encode()
    (found,) = decode_payload(body, ExchangeInfo).symbols
    assert isinstance(found, SymbolInfo)
    with pytest.raises(PayloadError):
        found.to_instrument()
