"""What the feed says of symbols and of our clock, against the real paper exchange."""

import pytest

from bench.feed_world import feed_world
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import MarketHealth

SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAY_MS = 86_400_000


@pytest.fixture
async def world(tmp_path):
    async with feed_world(tmp_path, "--source", "generator", "--speed", "20") as made:
        yield made


def health_of(status, symbol):
    return next(one for one in status["symbols"] if one["symbol"] == symbol)


async def until(world, symbol, refused, what):
    """Return the status once a symbol is refused, or is not."""

    async def is_so():
        status = await world.status()
        return bool(health_of(status, symbol)["is_stale"]) is refused and status

    return await world.until(is_so, what)


async def test_a_halted_symbol_is_refused_within_a_moment_and_the_other_goes_on(world):
    heard = []

    async def hear(_, payload, __):
        heard.append({one.symbol: one for one in decode(payload, MarketHealth).symbols})

    await world.bus.subscribe(subjects.MARKET_HEALTH, hear)
    await world.start_feed(SYMBOLS, ("1m",), instruments_apart_ms_min=50)
    for symbol in SYMBOLS:
        await until(world, symbol, False, f"{symbol} is fit")
    await world.sim("/sim/statuses", {"symbol": "ETHUSDT", "status": "TRADING_HALT"})
    status = await until(world, "ETHUSDT", True, "the halt is seen")
    assert health_of(status, "ETHUSDT")["status"] == "TRADING_HALT"
    assert "TRADING_HALT" in health_of(status, "ETHUSDT")["refusal"]
    await until(world, "BTCUSDT", False, "the other symbol goes on")
    assert status["instruments"]["changes"]["TRADING_HALT"] == 1
    checks = (await world.ask_feed("/readyz"))["checks"]
    assert checks["instruments"]["status"] == "warn"
    assert "ETHUSDT" in checks["instruments"]["output"]

    async def is_heard():
        return heard and heard[-1]["ETHUSDT"].refusal and not heard[-1]["BTCUSDT"].refusal

    await world.until(is_heard, "the halt is said on the bus")
    metrics = await world.metrics()
    assert metrics["feed_symbols_refused"] == 1
    assert metrics['feed_symbol_status_changes_total{status="TRADING_HALT"}'] == 1
    await world.sim("/sim/statuses", {"symbol": "ETHUSDT", "status": "TRADING"})
    await until(world, "ETHUSDT", False, "the symbol trades again")


async def test_a_symbol_the_venue_does_not_list_costs_no_other_symbol(tmp_path):
    options = ("--source", "generator", "--symbols", "BTCUSDT", "--speed", "20")
    async with feed_world(tmp_path, *options) as world:
        await world.start_feed(("BTCUSDT", "币安人生USDT"), ("1m",))
        status = await until(world, "BTCUSDT", False, "the sound symbol is fit")
        stranger = health_of(status, "币安人生USDT")
        assert (stranger["status"], stranger["is_stale"]) == ("ABSENT", True)
        await world.until(lambda: _has_candle(world), "a candle of the sound symbol")


async def _has_candle(world):
    return any(candle.symbol == "BTCUSDT" for candle in await world.candles())


async def test_a_venue_clock_that_is_a_day_off_is_seen_within_an_interval(world):
    await world.start_feed(SYMBOLS, ("1m",), skew_interval_ms=2_000, skew_retry_ms=2_000)
    await until(world, "BTCUSDT", False, "the clocks agree")
    before = (await world.status())["clock"]["measured"]
    await world.sim("/sim/conditions", {"clock_offset_ms": DAY_MS})
    status = await until(world, "BTCUSDT", True, "the clock is doubted")
    assert status["clock"]["measured"] <= before + 3
    # At twenty times the speed a day of market time is twenty times less of ours.
    assert status["clock"]["skew_ms"] == pytest.approx(DAY_MS / 20, abs=2_000)
    assert "behind the venue's" in health_of(status, "BTCUSDT")["refusal"]
    check = (await world.ask_feed("/readyz"))["checks"]["clock"]
    assert check["status"] == "fail"
    assert "NTP" in check["output"]
    skew_s = (await world.metrics())["clock_skew_seconds"]
    assert skew_s == pytest.approx(DAY_MS / 20_000, abs=2)
    await world.sim("/sim/conditions", {"clock_offset_ms": 0})
    await until(world, "BTCUSDT", False, "the clocks agree again")


async def test_a_sound_paper_clock_is_never_doubted_though_it_runs_fast(tmp_path):
    async with feed_world(tmp_path, "--source", "generator", "--speed", "240") as world:
        await world.start_feed(SYMBOLS, ("1m",), skew_interval_ms=100, skew_retry_ms=100)
        found = []

        async def is_measured():
            clock = (await world.status())["clock"]
            found.append(clock)
            return clock["measured"] >= 8

        await world.until(is_measured, "eight measurements")
        told = [clock["skew_ms"] for clock in found if clock["skew_ms"] is not None]
        assert max(map(abs, told)) < 5_000
        assert not any(clock["refusal"] for clock in found if clock["measured"])
