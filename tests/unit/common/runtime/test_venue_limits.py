import asyncio
import json
from typing import Any

import pytest

from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.runtime.venue_transport import VenueCall, VenueLimits
from libs.common.testing.scripted_venue import ScriptedVenue, answer, stall
from libs.common.testing.venue_calls import ACK, NOW_MS, ORDER, client_of, place
from libs.common.venue.endpoints import Cost, Purpose
from libs.common.venue.latches import Latch
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled

BANNED = b'{"code":-1003,"msg":"Way too many requests; IP banned until 1723161300000."}'
OVERLOADED = b'{"code":-1008,"msg":"Request throttled by system-level protection."}'
TOO_MANY_ORDERS = (
    b'{"code":-1015,"msg":"Too many new orders; current limit is 300 orders per 10 SECOND."}'
)
EXIT = {**ORDER, "reduceOnly": True}


async def place_exit(client: VenueClient) -> Outcome:
    return await client.place_order(EXIT, timestamp_ms=NOW_MS)


async def cancel(client: VenueClient) -> Outcome:
    return await client.cancel_order("BTCUSDT", "x")


async def read(client: VenueClient) -> Outcome:
    try:
        await client.query_order("BTCUSDT", "x")
    except VenueReadError as error:
        return error.outcome
    return Accepted(200, b"", {})


ALL = {place: "entry", place_exit: "exit", cancel: "cancel", read: "read"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "latch", "sent_after"),
    [
        (418, BANNED, {}, Latch(ThrottleKind.BANNED, 1_723_161_300_000), set()),
        (
            429,
            b'{"code":-1003,"msg":"Too many requests"}',
            {"Retry_After": "7"},
            Latch(ThrottleKind.REQUEST_LIMIT, NOW_MS + 7_000),
            set(),
        ),
        (
            429,
            TOO_MANY_ORDERS,
            {},
            Latch(ThrottleKind.ORDER_LIMIT, 1_723_161_260_000),
            {"exit", "cancel", "read"},
        ),
        (
            503,
            OVERLOADED,
            {},
            Latch(ThrottleKind.OVERLOADED, NOW_MS + 1_000),
            {"exit", "cancel", "read"},
        ),
    ],
)
async def test_after_a_throttle_what_it_forbids_never_reaches_the_network(
    venue: ScriptedVenue,
    status: int,
    body: bytes,
    headers: dict[str, str],
    latch: Latch,
    sent_after: set[str],
) -> None:
    calls: list[VenueCall] = []
    venue.answers = [answer(status, body, **headers)]
    async with client_of(venue.url, on_call=calls.append) as client:
        assert isinstance(await place(client), Throttled)
        for call, name in ALL.items():
            heard = len(venue.heard)
            outcome = await call(client)
            assert (len(venue.heard) > heard) == (name in sent_after), name
            if name not in sent_after:
                assert isinstance(outcome, Throttled)
                assert (outcome.status, outcome.kind) == (0, latch.kind)
                assert outcome.banned_until_ms == latch.until_ms
        assert client.latches.held(NOW_MS) == (latch,)
    assert calls[0].latch == latch
    assert [call.latch for call in calls[1:]] == [None] * 4
    assert [call.is_local for call in calls[1:]] == [n not in sent_after for n in ALL.values()]


async def test_a_latch_ends_by_itself(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        client.latch(ThrottleKind.BANNED, NOW_MS + 1)
        assert isinstance(await place(client), Throttled)
        client._now_ns = lambda: (NOW_MS + 1) * 1_000_000
        assert isinstance(await place(client), Accepted)
    assert len(venue.heard) == 1


async def test_a_latch_of_an_earlier_life_holds_before_the_first_request(
    venue: ScriptedVenue,
) -> None:
    async with client_of(venue.url) as client:
        client.latch(ThrottleKind.BANNED, NOW_MS + 60_000)
        for call in ALL:
            assert isinstance(await call(client), Throttled)
    assert venue.heard == []


async def test_a_read_above_the_budget_is_refused_and_an_order_is_not(
    venue: ScriptedVenue,
) -> None:
    venue.answers = [answer(200, ACK, X_MBX_USED_WEIGHT_1M="1728")]
    async with client_of(venue.url) as client:
        await place(client)
        with pytest.raises(VenueReadError, match="weight_1m 1728 of 2400") as caught:
            await client.klines("BTCUSDT", "1m")
        assert isinstance(caught.value.outcome, Rejected)
        assert caught.value.outcome.reason is Reason.NOT_SENT
        assert isinstance(await read(client), Accepted)  # reconciliation has the reserve
        assert isinstance(await place(client), Accepted)
        venue.answers = [answer(200, ACK, X_MBX_USED_WEIGHT_1M="2160")]
        await place(client)
        assert isinstance(await read(client), Rejected)
        assert isinstance(await cancel(client), Accepted)
        assert client.budget.peak_weight == 2_161
    assert len(venue.heard) == 5


async def test_orders_are_counted_by_us_and_by_the_venue(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        await place(client)
        assert orders(client) == [1, 1]
        venue.answers = [
            answer(200, ACK, X_MBX_ORDER_COUNT_10S="20", X_MBX_ORDER_COUNT_1M="70"),
        ]
        await place(client)
        assert orders(client) == [20, 70]
        await cancel(client)
        assert orders(client) == [20, 70]


def orders(client: VenueClient) -> list[int]:
    counts = client.budget.describe(NOW_MS)
    return [counts["orders_10s"]["used"], counts["orders_1m"]["used"]]


async def test_an_order_without_an_answer_stays_counted_and_one_not_sent_does_not(
    venue: ScriptedVenue,
) -> None:
    venue.answers = [stall]
    async with client_of(venue.url) as client:
        await place(client)
        assert orders(client) == [1, 1]
    async with client_of("http://127.0.0.1:1") as client:
        await place(client)
        assert orders(client) == [0, 0]


async def test_limits_are_taken_from_exchange_info(venue: ScriptedVenue) -> None:
    info: dict[str, Any] = {
        "symbols": [],
        "rateLimits": [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50}
        ],
    }
    venue.answers = [answer(200, json.dumps(info).encode())]
    async with client_of(venue.url) as client:
        await client.exchange_info()
        assert client.budget.describe(NOW_MS)["orders_10s"]["limit"] == 50


async def test_the_observer_learns_what_a_call_was_for(venue: ScriptedVenue) -> None:
    calls: list[VenueCall] = []
    async with client_of(venue.url, on_call=calls.append) as client:
        for call in ALL:
            await call(client)
    assert [(call.purpose, call.cost) for call in calls] == [
        (Purpose.ENTRY, Cost(0, 1, 1)),
        (Purpose.EXIT, Cost(0, 1, 1)),
        (Purpose.CANCEL, Cost(1)),
        (Purpose.RECONCILE, Cost(1)),
    ]


async def test_who_waited_for_a_connection_while_a_ban_came_is_held_back_too(
    venue: ScriptedVenue,
) -> None:
    calls: list[VenueCall] = []
    venue.answers = [answer(418, BANNED)]
    one_at_a_time = VenueLimits(request_timeout_ms=2_000, connections_max=1)
    async with client_of(venue.url, limits=one_at_a_time, on_call=calls.append) as client:
        first, *others = await asyncio.gather(place(client), *(call(client) for call in ALL))
        assert orders(client) == [1, 1]
    assert len(venue.heard) == 1
    assert isinstance(first, Throttled)
    assert [(type(one), getattr(one, "status", 1)) for one in others] == [(Throttled, 0)] * 4
    assert [call.is_local for call in calls] == [False, True, True, True, True]
