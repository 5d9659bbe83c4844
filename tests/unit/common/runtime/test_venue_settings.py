import json
from decimal import Decimal

import pytest

from libs.common.runtime.venue_client import VenueReadError
from libs.common.testing.scripted_venue import ScriptedVenue, answer
from libs.common.testing.venue_calls import NOW_MS, client_of
from libs.common.venue.outcomes import Accepted
from libs.common.venue.settings_payloads import AccountConfig, ApiRestrictions, PositionMode

BRACKETS = b"""{"symbol":"BTCUSDT","notionalCoef":1.50,"brackets":[
{"bracket":1,"initialLeverage":125,"notionalCap":50000,"notionalFloor":0,
 "maintMarginRatio":0.004,"cum":0.0},
{"bracket":2,"initialLeverage":100,"notionalCap":600000,"notionalFloor":50000,
 "maintMarginRatio":0.005,"cum":50.0}]}"""


@pytest.mark.parametrize("body", [BRACKETS, b"[" + BRACKETS + b"]"])
async def test_brackets_of_a_symbol_are_read_bare_or_in_a_list(
    venue: ScriptedVenue, body: bytes
) -> None:
    venue.answers = [answer(200, body)]
    async with client_of(venue.url) as client:
        (one,) = await client.leverage_brackets("BTCUSDT")
    assert venue.heard[0].target.startswith("/fapi/v1/leverageBracket?symbol=BTCUSDT")
    assert one.notional_coefficient == Decimal("1.5")
    assert [tier.leverage_max for tier in one.brackets] == [125, 100]
    assert one.brackets[1].maintenance_ratio == Decimal("0.005")
    assert one.brackets[1].cumulative == 50
    assert one.brackets[0].notional_cap == one.brackets[1].notional_floor


async def test_a_bracket_without_its_ratio_is_an_error(venue: ScriptedVenue) -> None:
    venue.answers = [answer(200, b'[{"symbol":"BTCUSDT","brackets":[{"bracket":1}]}]')]
    async with client_of(venue.url) as client:
        with pytest.raises(VenueReadError, match="leverageBracket"):
            await client.leverage_brackets()


async def test_modes_are_read(venue: ScriptedVenue) -> None:
    venue.answers = [
        answer(
            200,
            b'{"feeTier":0,"canTrade":true,"canDeposit":true,"canWithdraw":true,'
            b'"dualSidePosition":false,"updateTime":0,"multiAssetsMargin":false,"tradeGroupId":-1}',
        ),
        answer(200, b'{"dualSidePosition":true}'),
    ]
    async with client_of(venue.url) as client:
        assert await client.account_config() == AccountConfig(
            can_trade=True, can_withdraw=True, hedge_mode=False, multi_assets_margin=False
        )
        assert await client.position_mode() == PositionMode(hedge_mode=True)


async def test_order_limits_become_those_of_the_budget(venue: ScriptedVenue) -> None:
    rows = [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 77},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 99},
    ]
    venue.answers = [answer(200, json.dumps(rows).encode())]
    async with client_of(venue.url) as client:
        await client.order_rate_limits()
        counts = client.budget.describe(NOW_MS)
    assert (counts["orders_10s"]["limit"], counts["orders_1m"]["limit"]) == (77, 99)


async def test_the_dead_mans_switch_is_set_and_stopped(venue: ScriptedVenue) -> None:
    venue.default = answer(200, b'{"symbol":"BTCUSDT","countdownTime":"5000"}')
    async with client_of(venue.url) as client:
        assert isinstance(await client.countdown_cancel_all("BTCUSDT", 5_000), Accepted)
        assert isinstance(await client.countdown_cancel_all("BTCUSDT", 0), Accepted)
        with pytest.raises(ValueError, match="negative"):
            await client.countdown_cancel_all("BTCUSDT", -1)
    assert [heard.target for heard in venue.heard] == ["/fapi/v1/countdownCancelAll"] * 2
    assert b"countdownTime=0&" in venue.heard[1].body


async def test_orders_are_paged_by_their_id(venue: ScriptedVenue) -> None:
    venue.default = answer(200, b"[]")
    async with client_of(venue.url) as client:
        await client.all_orders("BTCUSDT", from_order_id=283194213, limit=1_000)
    assert "symbol=BTCUSDT&orderId=283194213&limit=1000&" in venue.heard[0].target


RESTRICTIONS = (
    b'{"ipRestrict":true,"createTime":1,"enableReading":true,"enableFutures":true,'
    b'"enableWithdrawals":false,"enableInternalTransfer":false,"permitsUniversalTransfer":false}'
)


async def test_what_the_key_may_do_is_read_where_the_venue_tells(venue: ScriptedVenue) -> None:
    venue.answers = [answer(200, RESTRICTIONS)]
    async with client_of(venue.url) as client:
        assert await client.api_restrictions() == ApiRestrictions(
            ip_restricted=True, may_read=True, may_trade_futures=True, may_withdraw=False
        )
    path = venue.heard[0].target.partition("?")[0]
    assert path == "/sapi/v1/account/apiRestrictions"
    assert "signature=" in venue.heard[0].target


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>"), (404, b'{"code":-5000,"msg":"no such path"}')]
)
async def test_a_venue_without_spot_tells_nothing_of_the_key(
    venue: ScriptedVenue, status: int, body: bytes
) -> None:
    venue.answers = [answer(status, body)]
    async with client_of(venue.url) as client:
        assert await client.api_restrictions() is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'),
        (200, b"{}"),
        (503, b""),
    ],
)
async def test_a_key_whose_permissions_should_have_come_is_not_taken_for_harmless(
    venue: ScriptedVenue, status: int, body: bytes
) -> None:
    venue.answers = [answer(status, body)]
    async with client_of(venue.url) as client:
        with pytest.raises(VenueReadError):
            await client.api_restrictions()
