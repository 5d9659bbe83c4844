"""Conditional orders and changes of orders on the wire, and what their answers are read as."""

from decimal import Decimal

import pytest

from libs.common.testing.scripted_venue import ScriptedVenue, answer
from libs.common.testing.venue_calls import NOW_MS, client_of
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import Accepted, Rejected, Unknown

STOP = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": Decimal("0.020"),
    "triggerPrice": Decimal("59000.1"),
    "reduceOnly": True,
    "clientAlgoId": "pa-stop-1",
}
LISTED = (
    b'{"algoId":4000000000000001,"clientAlgoId":"pa-stop-1","algoType":"CONDITIONAL",'
    b'"orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"SELL","positionSide":"BOTH",'
    b'"timeInForce":"GTC","quantity":"7.0E-4","algoStatus":"NEW","actualOrderId":"",'
    b'"actualQty":"0.0","triggerPrice":"74457.1","price":"0.0","icebergQuantity":null,'
    b'"reduceOnly":true,"closePosition":false,"createTime":5,"updateTime":6}'
)


async def test_a_stop_goes_out_under_its_own_id_and_the_timestamp_it_was_given(
    venue: ScriptedVenue,
) -> None:
    venue.answers = [answer(200, LISTED)]
    async with client_of(venue.url) as client:
        outcome = await client.place_algo_order(STOP, timestamp_ms=NOW_MS, recv_window_ms=4_000)
    assert isinstance(outcome, Accepted)
    (heard,) = venue.heard
    assert (heard.method, heard.target) == ("POST", "/fapi/v1/algoOrder")
    sent = heard.body.decode()
    for part in ("algoType=CONDITIONAL", "clientAlgoId=pa-stop-1", "reduceOnly=true"):
        assert part in sent
    assert f"recvWindow=4000&timestamp={NOW_MS}" in sent


async def test_nothing_is_sent_without_an_id_of_ours(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        with pytest.raises(ValueError, match="clientAlgoId"):
            await client.place_algo_order({"symbol": "BTCUSDT"}, timestamp_ms=NOW_MS)
    assert not venue.heard


async def test_the_list_is_read_though_it_writes_numbers_as_java_does(
    venue: ScriptedVenue,
) -> None:
    venue.answers = [answer(200, b"[" + LISTED + b"]")]
    async with client_of(venue.url) as client:
        (found,) = await client.open_algo_orders("BTCUSDT")
    assert (found.quantity, found.trigger_price) == (Decimal("0.0007"), Decimal("74457.1"))
    assert (found.client_algo_id, found.status, found.order_id) == ("pa-stop-1", "NEW", "")


async def test_an_algo_order_that_is_not_found_is_none(venue: ScriptedVenue) -> None:
    venue.answers = [answer(400, b'{"code":-2013,"msg":"Order does not exist."}')]
    async with client_of(venue.url) as client:
        assert await client.query_algo_order("pa-stop-1") is None
    assert venue.heard[0].target.startswith("/fapi/v1/algoOrder?clientAlgoId=pa-stop-1")


async def test_cancels_are_accepted_though_their_code_is_a_text(venue: ScriptedVenue) -> None:
    canceled = b'{"algoId":4,"clientAlgoId":"pa-stop-1","code":"200","msg":"success"}'
    refused = b'{"code":-2011,"msg":"Unknown order sent."}'
    all_done = b'{"code":200,"msg":"The operation of cancel all open order is done."}'
    venue.answers = [answer(200, canceled), answer(400, refused), answer(200, all_done)]
    async with client_of(venue.url) as client:
        assert isinstance(await client.cancel_algo_order("pa-stop-1"), Accepted)
        again = await client.cancel_algo_order("pa-stop-1")
        assert isinstance(again, Rejected)
        assert again.reason is Reason.NOT_FOUND
        assert isinstance(await client.cancel_open_algo_orders("BTCUSDT"), Accepted)


async def test_a_placement_whose_answer_names_no_order_is_unknown(venue: ScriptedVenue) -> None:
    venue.answers = [answer(200, b"{}")]
    async with client_of(venue.url) as client:
        outcome = await client.place_algo_order(STOP, timestamp_ms=NOW_MS)
    assert isinstance(outcome, Unknown)


async def test_a_change_to_the_same_values_is_done_already(venue: ScriptedVenue) -> None:
    venue.answers = [answer(400, b'{"code":-5027,"msg":"No need to modify the order."}')]
    async with client_of(venue.url) as client:
        outcome = await client.modify_order(
            {"symbol": "BTCUSDT", "origClientOrderId": "pc-1", "side": "BUY", "quantity": "1"}
        )
    assert isinstance(outcome, Accepted)
    assert venue.heard[0].method == "PUT"
