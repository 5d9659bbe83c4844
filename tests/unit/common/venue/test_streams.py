import json

import pytest

from libs.common.venue import streams
from libs.common.venue.streams import Route

BASE = "wss://fstream.binance.com"


@pytest.mark.parametrize(
    ("stream", "route"),
    [
        (streams.book_ticker("BTCUSDT"), Route.PUBLIC),
        (streams.trade("BTCUSDT"), Route.PUBLIC),
        (streams.depth("BTCUSDT"), Route.PUBLIC),
        ("btcusdt@depth20@100ms", Route.PUBLIC),
        ("btcusdt@rpiDepth@500ms", Route.PUBLIC),
        ("!bookTicker", Route.PUBLIC),
        (streams.agg_trade("BTCUSDT"), Route.MARKET),
        (streams.mark_price("BTCUSDT"), Route.MARKET),
        (streams.kline("BTCUSDT", "1m"), Route.MARKET),
        ("!markPrice@arr@1s", Route.MARKET),
        ("!miniTicker@arr", Route.MARKET),
        ("btcusdt@forceOrder", Route.MARKET),
        (streams.SIM_CLOCK, Route.PUBLIC),
    ],
)
def test_each_stream_is_asked_for_on_the_route_it_lives_on(stream: str, route: Route) -> None:
    assert streams.route_of(stream) is route


def test_symbols_are_lower_case_in_stream_names() -> None:
    assert streams.kline("BTCUSDT", "1M") == "btcusdt@kline_1M"
    assert streams.mark_price("ETHUSDT") == "ethusdt@markPrice@1s"


def test_urls_are_routed_and_percent_encoded() -> None:
    assert streams.combined_url(BASE, Route.MARKET) == f"{BASE}/market/stream"
    assert streams.combined_url(BASE + "/", Route.PUBLIC, ["a@trade", "b@depth@100ms"]) == (
        f"{BASE}/public/stream?streams=a@trade/b@depth@100ms"
    )
    assert "%E5%B8%81" in streams.combined_url(BASE, Route.PUBLIC, [streams.trade("币USDT")])
    url = streams.user_stream_url(BASE, "KEY")
    assert url.startswith(f"{BASE}/private/ws?listenKey=KEY&events=ORDER_TRADE_UPDATE/")
    assert url.endswith("/listenKeyExpired")


def test_streams_are_shared_out_by_route_and_at_most_1024_each() -> None:
    wanted = [streams.book_ticker(f"S{n}USDT") for n in range(1_500)]
    wanted += [streams.kline("BTCUSDT", "1m"), streams.kline("BTCUSDT", "1m")]
    shares = streams.connections(wanted)
    assert [(route, len(names)) for route, names in shares] == [
        (Route.MARKET, 1),
        (Route.PUBLIC, 1_024),
        (Route.PUBLIC, 476),
    ]
    assert {name for _, names in shares for name in names} == set(wanted)


def test_a_full_connection_subscribes_within_one_second_of_messages() -> None:
    names = [f"s{n}@trade" for n in range(streams.STREAMS_PER_CONNECTION_MAX)]
    messages = [json.loads(message) for message in streams.subscriptions(names, first_id=5)]
    assert len(messages) <= streams.MESSAGES_PER_SECOND_MAX
    assert [message["id"] for message in messages] == list(range(5, 5 + len(messages)))
    assert all(message["method"] == "SUBSCRIBE" for message in messages)
    assert [name for message in messages for name in message["params"]] == names


def test_more_streams_than_a_connection_carries_are_refused() -> None:
    with pytest.raises(ValueError, match="1024"):
        streams.subscriptions(["x@trade"] * 1_025)
    assert streams.subscriptions([]) == []
