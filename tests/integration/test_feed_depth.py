"""The order book kept from the real paper exchange's streams, also when changes are lost."""

import signal

import pytest

from bench.feed_world import feed_world
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Depth
from services.paper_exchange.sources.tape import TapeSource

SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: The paper exchange's own: every change at once, so that nothing is left to say at a standstill.
KIND = "depth@0ms"


@pytest.fixture
async def world(tmp_path):
    async with feed_world(tmp_path, "--source", "generator", "--speed", "4") as made:
        yield made


async def listen(world):
    """What is said of books from now on, by symbol."""
    told = {}

    async def hear(subject, payload, _):
        message = decode(payload, Depth)
        assert subject == subjects.depth(message.symbol)
        told.setdefault(message.symbol, []).append(message)

    await world.bus.subscribe(subjects.depth("*"), hear)
    return told


async def until_told(world, told, *, is_valid):
    """Return once such a word was said of every book (a valid one), or of any (an invalid one)."""
    how_many = all if is_valid else any

    async def is_said():
        return how_many(
            any(
                one.is_valid is is_valid and bool(one.bids) is is_valid
                for one in told.get(name, ())
            )
            for name in SYMBOLS
        )

    await world.until(is_said, f"books are said, valid: {is_valid}")


async def until_valid(world, rebuilds=1):
    async def are_valid():
        books = (await world.status())["depth"]["books"]
        return (
            all(book["is_valid"] and book.get("rebuilds", 0) >= rebuilds for book in books.values())
            and books
        )

    return await world.until(are_valid, f"every book is valid, {rebuilds} times built")


async def stop_the_market(world):
    """Let market time stand still a little later, and return once everybody has got there."""
    now_ns = (await world.sim("/sim/clock", method="GET"))["now_ns"]
    limit_ns = int(now_ns) + 2_000_000_000
    await world.sim("/sim/clock", {"limit_ns": limit_ns})

    async def is_there():
        return ((await world.status())["market_time_ns"] or 0) >= limit_ns

    await world.until(is_there, "market time stands still")


async def differences(world, told):
    """Books said last that are not the venue's own."""
    found = []
    for symbol in SYMBOLS:
        listed = await world.sim(f"/fapi/v1/depth?symbol={symbol}&limit=20", method="GET")
        said = told[symbol][-1]
        ours = [
            [[f"{p:f}", f"{q:f}"] for p, q in map(pair, side)] for side in (said.bids, said.asks)
        ]
        if not said.is_valid or ours != [listed["bids"], listed["asks"]]:
            found.append((symbol, said.update_id, listed["lastUpdateId"]))
    return found


def pair(level):
    return level.price, level.quantity


async def test_books_are_the_venues_own_and_are_rebuilt_after_a_pu_gap(world):
    told = await listen(world)
    await world.start_feed(SYMBOLS, ("1m",), depth_streams=[KIND], depth_publish_interval_ms_min=20)
    await until_told(world, told, is_valid=True)
    rule = {"stream": f"*@{KIND}", "nth": 5, "effect": "pu_gap"}
    await world.sim("/sim/stream-faults", [rule, {**rule, "stream": f"ethusdt@{KIND}"}])
    books = await until_broken(world)
    assert any(book.get("pu_breaks", 0) >= 1 for book in books.values())
    await world.sim("/sim/stream-faults", method="DELETE")
    await until_valid(world)
    await until_told(world, told, is_valid=False)
    await stop_the_market(world)

    async def are_equal():
        return not await differences(world, told)

    await world.until(are_equal, "the books said last are the venue's")
    metrics = await world.metrics()
    rebuilt = [metrics[f'feed_depth_rebuilds_total{{symbol="{one}"}}'] for one in SYMBOLS]
    assert sum(rebuilt) >= 3
    ids = [one.update_id for one in told["BTCUSDT"] if one.is_valid]
    assert ids == sorted(set(ids))


async def until_broken(world):
    async def are_broken():
        books = (await world.status())["depth"]["books"]
        return any(book.get("rebuilds", 0) >= 2 for book in books.values()) and books

    return await world.until(are_broken, "a book was broken and built again")


async def test_a_cut_socket_makes_books_invalid_until_they_are_built_anew(world):
    told = await listen(world)
    await world.start_feed(SYMBOLS, ("1m",), depth_streams=[KIND])
    await until_told(world, told, is_valid=True)
    close = {"stream": f"btcusdt@{KIND}", "nth": 1, "effect": "close"}
    await world.sim("/sim/stream-faults", [close])
    await until_told(world, told, is_valid=False)
    books = await until_valid(world, rebuilds=2)
    assert all(book["lost"] >= 1 for book in books.values())


async def test_a_tape_holds_what_was_heard_over_reconnects_and_can_be_played(world, tmp_path):
    folder = tmp_path / "tapes"
    await world.start_feed(
        SYMBOLS, ("1m",), depth_streams=[KIND], record_folder=str(folder), warmup_bars=0
    )
    await until_valid(world)
    close = {"stream": f"btcusdt@{KIND}", "nth": 3, "effect": "close"}
    await world.sim("/sim/stream-faults", [close])
    await until_valid(world, rebuilds=2)
    before = (await world.status())["recording"]["lines"]

    async def goes_on():
        return (await world.status())["recording"]["lines"] > before + 50

    await world.until(goes_on, "recording goes on after the reconnect")
    await world.end_feed(signal.SIGTERM)
    tapes = sorted(folder.iterdir())
    assert [path.name.partition("_")[0] for path in tapes] == ["btcusdt", "ethusdt"]
    for path in tapes:
        events = list(TapeSource([path]).events())
        kinds = {type(event).__name__ for event in events}
        assert kinds >= {"Quote", "Trade", "DepthUpdate", "DepthSnapshot", "MarkPrice"}
        snapshots = [one for one in events if type(one).__name__ == "DepthSnapshot"]
        assert len(snapshots) >= 2
        ids = [one.trade_id for one in events if type(one).__name__ == "Trade"]
        assert len(ids) == len(set(ids))


async def test_without_room_for_a_tape_the_feed_says_so_and_goes_on(world, tmp_path):
    folder = tmp_path / "tapes"
    await world.start_feed(SYMBOLS, ("1m",), record_folder=str(folder), record_bytes_max=20_000)

    async def has_stopped():
        return (await world.status())["recording"]["stopped"]

    assert "size limit" in await world.until(has_stopped, "the tape is full")

    async def is_told():
        check = (await world.ask_feed("/readyz"))["checks"]["recording"]
        return check["status"] == "warn" and "size limit" in check["output"]

    await world.until(is_told, "the health says so")
    before = (await world.status())["received"]["quote"]

    async def goes_on():
        return (await world.status())["received"]["quote"] > before

    await world.until(goes_on, "the feed goes on")
