import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.runtime.venue_transport import VenueCall, VenueLimits
from libs.common.testing.scripted_venue import (
    Answer,
    Heard,
    ScriptedVenue,
    answer,
    reset,
    stall,
    truncate,
)
from libs.common.testing.venue_calls import ACK, KEY, NOW_MS, ORDER, SECRET, client_of, place
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Accepted, Rejected, Throttled, Unknown


def assert_signed(heard: Heard) -> None:
    query = heard.target.partition("?")[2]
    payload, _, signature = (query + heard.body.decode()).rpartition("&signature=")
    expected = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert signature == expected
    assert heard.headers["x-mbx-apikey"] == KEY
    assert "timestamp=" in payload
    assert "recvWindow=" in payload


async def test_the_order_on_the_wire_is_the_order_that_was_signed(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        outcome = await place(client)
    heard = venue.heard[0]
    assert (heard.method, heard.target) == ("POST", "/fapi/v1/order")
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    assert heard.body.startswith(
        b"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=61800.20"
        b"&reduceOnly=false&newClientOrderId=p%3Aintent%2F7-1"
        b"&recvWindow=5000&timestamp=1723161255030&signature="
    )
    assert_signed(heard)
    assert isinstance(outcome, Accepted)
    assert json.loads(outcome.body)["orderId"] == 283194212


async def test_every_signed_call_is_signed_over_its_raw_bytes(venue: ScriptedVenue) -> None:
    calls: list[tuple[Callable[[VenueClient], Awaitable[object]], bytes]] = [
        (lambda c: c.cancel_order("币安人生USDT", "a:b/c"), ACK),
        (lambda c: c.cancel_open_orders("BTCUSDT"), b'{"code":200,"msg":"done"}'),
        (lambda c: c.query_order("BTCUSDT", "a:b/c"), ACK),
        (lambda c: c.open_orders(), b"[" + ACK + b"]"),
        (lambda c: c.open_orders("BTCUSDT"), b"[]"),
        (lambda c: c.all_orders("BTCUSDT", start_ms=5), b"[]"),
        (lambda c: c.user_trades("BTCUSDT", from_id=7), b"[]"),
        (lambda c: c.balance(), b"[]"),
        (lambda c: c.position_risk(), b"[]"),
        (lambda c: c.position_risk("BTCUSDT", version=2), b"[]"),
        (lambda c: c.income(income_type="FUNDING_FEE"), b"[]"),
        (lambda c: c.set_leverage("BTCUSDT", 5), b'{"symbol":"BTCUSDT","leverage":5}'),
        (lambda c: c.set_margin_type("BTCUSDT", "CROSSED"), b'{"code":200,"msg":"success"}'),
    ]
    async with client_of(venue.url) as client:
        for call, body in calls:
            venue.answers.append(answer(200, body))
            await call(client)
    assert len(venue.heard) == len(calls)
    for heard in venue.heard:
        assert_signed(heard)
    assert venue.heard[0].method == "DELETE"
    assert "symbol=%E5%B8%81%E5%AE%89" in venue.heard[0].target
    assert venue.heard[0].body == b""
    paths = [heard.target.partition("?")[0] for heard in venue.heard]
    assert paths[7] == "/fapi/v3/balance"
    assert paths[8:10] == ["/fapi/v3/positionRisk", "/fapi/v2/positionRisk"]


async def test_public_reads_carry_no_signature(venue: ScriptedVenue) -> None:
    kline = b'[[1,"1","2","0.5","1.5","5",59999,"6",7,"8","9","0"]]'
    async with client_of(venue.url) as client:
        venue.answers.append(answer(200, kline))
        rows = await client.klines("BTCUSDT", "1m", start_ms=1, limit=2)
    assert rows[0].close == Decimal("1.5")
    target = venue.heard[0].target
    assert target == "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=1&limit=2"


async def test_headers_come_with_the_answer_they_belong_to(venue: ScriptedVenue) -> None:
    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await answer(200, ACK, X_MBX_ORDER_COUNT_10S="1")(heard, writer)

    venue.answers = [slow, answer(200, ACK, X_MBX_ORDER_COUNT_10S="2")]
    async with client_of(venue.url) as client:
        first, second = await asyncio.gather(place(client), place(client))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    counts = {first.headers["x-mbx-order-count-10s"], second.headers["x-mbx-order-count-10s"]}
    assert counts == {"1", "2"}


async def test_a_refused_connection_is_not_sent() -> None:
    async with client_of("http://127.0.0.1:1") as client:
        outcome = await place(client)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.NOT_SENT


async def test_waiting_for_a_free_connection_too_long_is_not_sent(venue: ScriptedVenue) -> None:
    venue.default = stall
    limits = VenueLimits(request_timeout_ms=300, connections_max=1)
    async with client_of(venue.url, limits=limits) as client:
        first = asyncio.create_task(place(client))
        await asyncio.sleep(0.05)
        second = await client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=50)
        assert isinstance(second, Rejected)
        assert second.reason is Reason.NOT_SENT
        assert isinstance(await first, Unknown)
    assert len(venue.heard) == 1


@pytest.mark.parametrize("behaviour", [reset, stall, truncate(200, ACK[:40], 99)])
async def test_no_whole_answer_after_the_bytes_left_is_unknown(
    venue: ScriptedVenue, behaviour: Answer
) -> None:
    venue.answers.append(behaviour)
    async with client_of(venue.url) as client:
        outcome = await place(client)
    assert isinstance(outcome, Unknown)
    assert len(venue.heard) == 1


async def test_a_kept_connection_that_dies_is_unknown_and_nothing_is_sent_twice(
    venue: ScriptedVenue,
) -> None:
    async with client_of(venue.url) as client:
        assert isinstance(await place(client), Accepted)
        venue.answers = [reset]
        assert isinstance(await client.cancel_order("BTCUSDT", "x"), Unknown)
        assert isinstance(await place(client), Accepted)
        venue.answers = [reset]
        assert isinstance(await place(client), Unknown)
        await place(client)
        venue.answers = [reset]
        with pytest.raises(VenueReadError):
            await client.open_orders()
    assert len(venue.heard) == 6


async def test_a_ban_is_a_ban_even_when_its_body_is_cut(venue: ScriptedVenue) -> None:
    venue.answers.append(truncate(418, b'{"code":-1003,"m', 99, Retry_After="7"))
    async with client_of(venue.url) as client:
        outcome = await place(client)
    assert isinstance(outcome, Throttled)
    assert outcome.kind is ThrottleKind.BANNED
    assert outcome.retry_after_ms == 7_000


async def test_a_redirect_is_not_followed(venue: ScriptedVenue) -> None:
    venue.answers.append(answer(307, b"", Location=f"{venue.url}/elsewhere"))
    async with client_of(venue.url) as client:
        outcome = await place(client)
    assert isinstance(outcome, Unknown)
    assert len(venue.heard) == 1


async def test_an_endless_answer_is_cut_off(venue: ScriptedVenue) -> None:
    async def endless(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    venue.answers.append(endless)
    limits = VenueLimits(request_timeout_ms=3_000, response_bytes_max=200_000)
    async with client_of(venue.url, limits=limits) as client:
        with pytest.raises(VenueReadError, match="200000 bytes") as caught:
            await client.exchange_info()
    assert isinstance(caught.value.outcome, Unknown)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"code":-2019,"msg":"Margin is insufficient."}', Rejected),
        (429, b'{"code":-1015,"msg":"Too many new orders."}', Throttled),
        (503, b'{"msg":"Unknown error, please check your request or try again later."}', Unknown),
        (503, b'{"msg":"Service Unavailable."}', Throttled),
        (503, b"Service Unavailable.", Throttled),
        (503, b'{"code":-1001,"msg":"Internal error; unable to process your request."}', Rejected),
        (503, b'{"code":-1008,"msg":"Request throttled by system-level protection."}', Throttled),
        (503, b"<html><h1>503 Service Unavailable.</h1></html>", Unknown),
        (408, b'{"code":-1007,"msg":"Timeout waiting for response from backend"}', Unknown),
        (504, b"<html>gateway timeout</html>", Unknown),
        (502, b"<html>bad gateway</html>", Unknown),
        (403, b"<html>request blocked</html>", Rejected),
        (400, b'{"code":-2019,"msg":"Margin is insuf', Unknown),
        (200, ACK[:60], Unknown),
        (200, b"<html>hello</html>", Unknown),
        (200, b"{}", Unknown),
    ],
)
async def test_an_answer_becomes_its_outcome(
    venue: ScriptedVenue, status: int, body: bytes, expected: type
) -> None:
    venue.answers.append(answer(status, body))
    async with client_of(venue.url) as client:
        assert isinstance(await place(client), expected)


async def test_an_order_that_does_not_exist_is_none(venue: ScriptedVenue) -> None:
    venue.answers = [
        answer(400, b'{"code":-2013,"msg":"Order does not exist."}'),
        answer(400, b'{"code":-1121,"msg":"Invalid symbol."}'),
    ]
    async with client_of(venue.url) as client:
        assert await client.query_order("BTCUSDT", "x") is None
        with pytest.raises(VenueReadError) as caught:
            await client.query_order("BTCUSDT", "x")
    assert isinstance(caught.value.outcome, Rejected)
    assert caught.value.outcome.reason is Reason.SYMBOL


LATE = answer(400, b'{"code":-1021,"msg":"Timestamp for this request is outside of recvWindow."}')


async def test_a_read_whose_timestamp_is_refused_measures_the_clock_and_asks_once_more(
    venue: ScriptedVenue,
) -> None:
    """Our clock was set back: no signed read would ever be answered again."""
    time = answer(200, b'{"serverTime":%d}' % (NOW_MS + 9_000))
    venue.answers = [LATE, time, answer(200, ACK)]
    async with client_of(venue.url, limits=VenueLimits(clock_samples=1)) as client:
        found = await client.query_order("BTCUSDT", "p:intent/7-1")
        assert client.offset_ms == 9_000
    assert found is not None
    assert [one.target.partition("?")[0].rpartition("/")[2] for one in venue.heard] == [
        "order",
        "time",
        "order",
    ]
    assert f"timestamp={NOW_MS + 9_000}" in venue.heard[-1].target


async def test_a_timestamp_refused_again_is_an_error_and_not_a_loop(venue: ScriptedVenue) -> None:
    venue.answers = [LATE, answer(200, b'{"serverTime":%d}' % NOW_MS), LATE]
    async with client_of(venue.url, limits=VenueLimits(clock_samples=1)) as client:
        with pytest.raises(VenueReadError, match="1021"):
            await client.query_order("BTCUSDT", "x")
    assert len(venue.heard) == 3


async def test_a_read_with_missing_fields_is_an_error_that_names_them(venue: ScriptedVenue) -> None:
    venue.answers.append(answer(200, b'[{"asset":"USDT"}]'))
    async with client_of(venue.url) as client:
        with pytest.raises(VenueReadError, match="balance"):
            await client.balance()


async def test_the_clock_offset_is_taken_from_the_shortest_round_trip(venue: ScriptedVenue) -> None:
    now_ms = 1_000

    def after(elapsed_ms: int, server_ms: int) -> Answer:
        async def write(heard: Heard, writer: asyncio.StreamWriter) -> None:
            nonlocal now_ms
            now_ms += elapsed_ms
            await answer(200, b'{"serverTime":%d}' % server_ms)(heard, writer)

        return write

    venue.answers = [after(100, 99_999), after(10, 1_105 + 700), after(400, 50_000)]
    client = VenueClient(
        venue.url,
        lambda: now_ms * 1_000_000,
        limits=VenueLimits(clock_samples=3),
    )
    assert await client.sync_time() == 700
    await client.close_connection()
    client._now_ns = lambda: 10_000 * 1_000_000
    assert client.timestamp_ms() == 10_700
    assert client.offset_ms == 700
    assert {heard.target for heard in venue.heard} == {"/fapi/v1/time"}


async def test_listen_keys_are_made_kept_and_closed_without_a_signature(
    venue: ScriptedVenue,
) -> None:
    key = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"
    venue.answers = [
        answer(200, json.dumps({"listenKey": key}).encode()),
        answer(200, b"{}"),
        answer(400, b'{"code":-1125,"msg":"This listenKey does not exist."}'),
        answer(200, b"{}"),
    ]
    async with client_of(venue.url) as client:
        made = await client.create_listen_key()
        await client.keepalive_listen_key()
        with pytest.raises(VenueReadError) as caught:
            await client.keepalive_listen_key()
        await client.close_listen_key()
    assert made.reveal() == key
    assert isinstance(caught.value.outcome, Rejected)
    assert caught.value.outcome.reason is Reason.LISTEN_KEY
    assert [heard.method for heard in venue.heard] == ["POST", "PUT", "PUT", "DELETE"]
    assert all(b"signature" not in heard.body for heard in venue.heard)
    assert all("signature" not in heard.target for heard in venue.heard)


async def test_every_finished_call_is_shown_to_the_observer(venue: ScriptedVenue) -> None:
    calls: list[VenueCall] = []

    def observe(call: VenueCall) -> None:
        calls.append(call)
        raise RuntimeError("an observer with a bug")

    async with client_of(venue.url, on_call=observe) as client:
        assert isinstance(await place(client), Accepted)
    assert [(call.method, call.path) for call in calls] == [("POST", "/fapi/v1/order")]
    assert calls[0].elapsed_ms >= 0


async def test_an_order_after_the_client_was_closed_was_provably_not_sent(
    venue: ScriptedVenue,
) -> None:
    async with client_of(venue.url) as client:
        await client.close_connection()
        outcome = await client.place_order(ORDER, timestamp_ms=NOW_MS)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.NOT_SENT
    assert not venue.heard
