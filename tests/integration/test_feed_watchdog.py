"""The feed's control task against the real paper exchange: silence, and the end of a day."""

import pytest

from bench.feed_world import feed_world
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import MarketHealth

SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAY_MS = 86_400_000
START_MS = 1_700_006_400_000


@pytest.fixture
async def world(tmp_path):
    async with feed_world(tmp_path, "--source", "generator", "--speed", "60") as made:
        yield made


def socket_of(status, name):
    return next(one for one in status["sockets"] if one["name"] == name)


async def is_fresh(world):
    return not any(one["is_stale"] for one in (await world.status())["symbols"])


async def test_a_stalled_stream_of_a_speaking_socket_is_noticed_and_its_socket_replaced(world):
    await world.start_feed(SYMBOLS, ("1m",))
    await world.until_candles(1)
    rule = {"stream": "ethusdt@markPrice@1s", "effect": "stall"}
    await world.sim("/sim/stream-faults", [rule])

    async def is_noticed():
        return socket_of(await world.status(), "market-0")["stalls"] >= 1

    await world.until(is_noticed, "the silence of one stream is noticed")
    status = await world.status()
    assert "ethusdt@markPrice@1s" in socket_of(status, "market-0")["last_why"]
    assert socket_of(status, "public-0")["attempts"] == 1
    await world.sim("/sim/stream-faults", method="DELETE")
    await world.until(lambda: is_fresh(world), "both symbols are fresh again")
    await world.until_candles(3)
    assert await world.differences() == []


async def test_a_silent_socket_is_replaced_though_its_connection_stands(world):
    await world.start_feed(SYMBOLS, ("1m",), silence_ms_max=1_000, quiet_ms_max=300)
    await world.until_candles(1)
    rule = {"stream": "*@kline_1m", "effect": "stall", "scope": "socket", "for_ms": 240_000}
    await world.sim("/sim/stream-faults", [rule])

    async def is_replaced():
        return socket_of(await world.status(), "market-0")["attempts"] >= 2

    await world.until(is_replaced, "the socket is opened again")
    await world.sim("/sim/stream-faults", method="DELETE")
    await world.until_candles(3)
    assert await world.differences() == []


def write_klines(path, minutes):
    """A file of candles as the venue publishes them, each different."""
    rows = []
    for number in range(minutes):
        open_ms = START_MS + number * 60_000
        price = 100 + number % 17
        rows.append(
            f"{open_ms},{price}.0,{price}.5,{price - 1}.5,{price}.2,{10 + number % 7},"
            f"{open_ms + 59_999},1000,5,5,500,0"
        )
    path.write_text("\n".join(rows) + "\n")


async def test_sockets_are_replaced_before_their_day_is_over_and_nothing_is_lost(tmp_path):
    path = tmp_path / "ADAUSDT-1m-2023-11-14.csv"
    write_klines(path, 2 * 1_440)
    options = ("--source", "klines", "--path", str(path), "--speed", "7200")
    async with feed_world(tmp_path, *options) as world:
        await world.start_feed(("ADAUSDT",), ("5m",), life_ms_max=DAY_MS // 4)
        started_ns = (await world.status())["market_time_ns"]

        async def has_lived_longer_than_a_day():
            status = await world.status()
            told = (status["market_time_ns"] or 0) - started_ns > 1.2 * DAY_MS * 1_000_000
            # While one socket replaces another it was attempted and has not replaced it yet.
            is_between = any(one["replaced"] != one["attempts"] - 1 for one in status["sockets"])
            return told and not is_between and status

        what = "more than a day passes, and every attempt replaced a socket"
        status = await world.until(has_lived_longer_than_a_day, what, 180)
        for socket in status["sockets"]:
            assert socket["replaced"] >= 4
        assert status["received"]["quote"] > 0
        assert status["backfill"]["requests"] == 0
        assert await world.differences() == []


async def test_a_socket_that_is_down_makes_the_symbols_of_no_other_socket_stale(world):
    await world.start_feed(
        SYMBOLS, ("1m",), streams_per_socket_max=3, silence_ms_max=3_000, quiet_ms_max=1_000,
        # Nothing but a socket that is down is to make a symbol stale: not age, not REST's word.
        quote_age_ms_max=3_600_000, mark_age_ms_max=3_600_000, rest_fallback_after_ms=60_000,
        backoff_first_ms=2_000,  # it is down for long enough to be told of
    )  # fmt: skip
    await world.until_candles(1)
    stale = {}

    async def hear(_, payload, __):
        for one in decode(payload, MarketHealth).symbols:
            stale.setdefault(one.symbol, []).append(one.is_stale)

    await world.until(lambda: is_fresh(world), "all is fresh")
    await world.bus.subscribe(subjects.MARKET_HEALTH, hear)
    rule = {"stream": "ethusdt@bookTicker", "effect": "stall", "scope": "socket"}
    await world.sim("/sim/stream-faults", [rule])

    async def is_told():
        return stale.get("ETHUSDT", []).count(True) >= 3

    await world.until(is_told, "the symbol of the silent socket is told as stale")
    assert not any(stale["BTCUSDT"])


async def test_a_stream_that_stays_stalled_is_stood_in_for_by_rest(world):
    await world.start_feed(SYMBOLS, ("1m",))
    await world.until_candles(1)
    await world.sim("/sim/stream-faults", [{"stream": "ethusdt@markPrice@1s", "effect": "stall"}])

    async def is_stood_in_for():
        status = await world.status()
        is_fresh = not any(one["is_stale"] for one in status["symbols"])
        return status["rest_fallback"]["from_rest"].get("mark", 0) >= 5 and is_fresh

    await world.until(is_stood_in_for, "marks come from REST, and the symbol is fresh")
    shown = await world.metrics()
    assert 0 < shown["ws_rest_fallback_ratio"] < 1
    assert shown['ws_last_msg_age_seconds{stream="market-0/markPrice"}'] > 0
    await world.sim("/sim/stream-faults", method="DELETE")
    await world.until_candles(2)
    assert await world.differences() == []
