import json
import logging
import traceback

import pytest
from binance.async_client import AsyncClient
from structlog.testing import capture_logs

from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.testing.scripted_venue import (
    ScriptedVenue,
    answer,
    reset,
    stall,
    truncate,
)
from libs.common.testing.venue_calls import ACK, KEY, NOW_MS, ORDER, SECRET, client_of, place


@pytest.mark.parametrize(
    "client_order_id", [None, "", "a" * 37, "with space", "x-Cb7ytekJ123", "ü"]
)
async def test_an_unfit_client_order_id_never_leaves(
    venue: ScriptedVenue, client_order_id: str | None
) -> None:
    async with client_of(venue.url) as client:
        with pytest.raises(ValueError, match="newClientOrderId"):
            await client.place_order(
                {**ORDER, "newClientOrderId": client_order_id}, timestamp_ms=NOW_MS
            )
    assert venue.heard == []


async def test_the_library_cannot_place_an_order_under_its_own_id(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        with pytest.raises(ValueError, match="ours"):
            await client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1"
            )
    assert venue.heard == []


async def test_a_client_without_a_secret_refuses_to_sign(venue: ScriptedVenue) -> None:
    client = VenueClient(venue.url, lambda: 0)
    with pytest.raises(ValueError, match="no API secret"):
        await client.balance()
    await client.close_connection()
    assert venue.heard == []


async def test_no_url_of_the_library_points_anywhere_but_to_the_venue(venue: ScriptedVenue) -> None:
    async with client_of(venue.url) as client:
        urls = {name: getattr(client, name) for name in dir(client) if name.endswith("_URL")}
        assert len(urls) > 20
        assert {name for name, url in urls.items() if not url.startswith(venue.url)} == set()
        built = [
            client._create_api_uri("ping"),
            client._create_margin_api_uri("x"),
            client._create_papi_api_uri("x"),
            client._create_website_uri("x"),
            client._create_futures_api_uri("x"),
            client._create_futures_data_api_uri("x"),
            client._create_futures_coin_api_url("x"),
            client._create_futures_coin_data_api_url("x"),
            client._create_options_api_uri("x"),
        ]
        assert all(url.startswith(venue.url + "/") for url in built)
        assert client.ws_api is None
        assert client.ws_future is None


@pytest.mark.parametrize("method", ["ping", "get_server_time", "futures_coin_ping", "get_account"])
async def test_nothing_but_usd_m_futures_is_ever_asked(venue: ScriptedVenue, method: str) -> None:
    async with client_of(venue.url) as client:
        with pytest.raises(ValueError, match="/fapi/"):
            await getattr(client, method)()
    assert venue.heard == []


async def test_the_factory_that_pings_spot_is_refused() -> None:
    with pytest.raises(TypeError, match="construct"):
        await VenueClient.create(KEY, SECRET)
    assert issubclass(VenueClient, AsyncClient)


@pytest.mark.parametrize(
    "url", ["", "fapi.binance.com", "ftp://h", "https://h/fapi", "https://u:p@h", "https://h?x=1"]
)
async def test_a_base_url_with_more_or_less_than_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="venue base URL"):
        VenueClient(url, lambda: 0)


async def test_the_secret_shows_up_nowhere(
    venue: ScriptedVenue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed = json.dumps({"code": -1022, "msg": "Signature for this request is not valid."})
    venue.answers = [
        answer(400, signed.encode()),
        reset,
        stall,
        truncate(200, ACK[:40], 9),
        answer(200, b"<html>"),
    ]
    shown: list[str] = []
    with capture_logs() as logs:
        async with client_of(venue.url, on_call=lambda call: shown.append(repr(call))) as client:
            shown.append(repr(client) + str(vars(client)))
            shown += [repr(await place(client)) for _ in range(5)]
            venue.answers = [reset, answer(401, b'{"code":-2015,"msg":"Invalid API-key"}')]
            for _ in range(2):
                try:
                    await client.open_orders()
                except VenueReadError as error:
                    shown.append("".join(traceback.format_exception(error)) + repr(error))
    shown += [repr(one) for one in logs] + [record.getMessage() for record in caplog.records]
    everything = "\n".join(shown)
    assert SECRET not in everything
    assert "signature=" not in everything
    assert "Key***yek (length: 64)" in everything
    logged = "\n".join(repr(one) for one in logs)
    assert KEY not in logged
