"""A local book, kept by the rules the venue documents, is the venue's book at every speed.

The tape is random but whole: quotes run ahead of the depth they announce, as on the venue.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

START_MS = 1_700_000_040_000
UPDATES = 400
STEP_MS = 20
NS_PER_MS = 1_000_000
SPEEDS = ("depth@0ms", "depth@100ms", "depth", "depth@250ms", "depth@500ms", "rpiDepth@500ms")
PARTIALS = ("depth5@100ms", "depth10", "depth20@500ms")


def write_tape(path: Path, seed: int) -> None:
    """A snapshot, then changes of the book, each announced by a quote and followed by a trade."""
    dice = random.Random(seed)
    middle = 600_000
    book: dict[str, dict[int, int]] = {
        "b": {middle - n: dice.randint(1, 900) for n in range(1, 60)},
        "a": {middle + n: dice.randint(1, 900) for n in range(1, 60)},
    }
    update_id = 1_000
    lines = [
        {
            "lastUpdateId": update_id,
            "E": START_MS,
            "T": START_MS,
            "bids": [_level(key, book["b"][key]) for key in sorted(book["b"], reverse=True)],
            "asks": [_level(key, book["a"][key]) for key in sorted(book["a"])],
        }
    ]
    for number in range(1, UPDATES + 1):
        now_ms = START_MS + number * STEP_MS
        changed: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        middle += dice.choice((-2, -1, 0, 0, 1, 2))
        for side, sign in (("b", -1), ("a", 1)):
            for key in [key for key in book[side] if (key - middle) * sign <= 0]:
                changed[side][key] = 0
            for _ in range(dice.randint(1, 6)):
                key = middle + sign * dice.randint(1, 70)
                changed[side][key] = dice.choice((0, dice.randint(1, 900)))
            changed[side][middle + sign] = dice.randint(1, 900)
            book[side] |= changed[side]
            for key in [key for key, quantity in book[side].items() if not quantity]:
                del book[side][key]
        previous_id, first_id = update_id, update_id + dice.randint(1, 5)
        update_id = first_id + dice.randint(0, 9)
        stamp = {"E": now_ms, "T": now_ms - 1, "s": "BTCUSDT"}
        bid, ask = max(book["b"]), min(book["a"])
        tops = (*_level(bid, book["b"][bid]), *_level(ask, book["a"][ask]))
        best = dict(zip("bBaA", tops, strict=True))
        lines += [
            _message("bookTicker", {"e": "bookTicker", "u": update_id, **stamp, **best}),
            _message(
                "depth@0ms",
                {
                    "e": "depthUpdate",
                    **stamp,
                    "U": first_id,
                    "u": update_id,
                    "pu": previous_id,
                    "b": [_level(*level) for level in changed["b"].items()],
                    "a": [_level(*level) for level in changed["a"].items()],
                },
            ),
        ]
    text = "".join(f"{START_MS * NS_PER_MS} {json.dumps(line)}\n" for line in lines)
    path.write_text(text)


def _level(key: int, quantity: int) -> list[str]:
    return [f"{key // 10}.{key % 10}0", f"{quantity // 1000}.{quantity % 1000:03d}"]


def _message(kind: str, data: dict[str, object]) -> dict[str, object]:
    return {"stream": f"btcusdt@{kind}", "data": data}


class Held:
    """A held venue on one of these tapes, and everything its streams have said so far."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.said: dict[str, list[dict[str, Any]]] = {
            f"btcusdt@{name}": [] for name in (*SPEEDS, *PARTIALS)
        }

    async def move_to(self, offset_ms: int) -> None:
        """Let market time reach an offset, and hear all of it."""
        limit_ns = (START_MS + offset_ms) * NS_PER_MS
        await self.session.post(f"{self.url}/sim/clock", json={"limit_ns": limit_ns})
        async with asyncio.timeout(20):
            while True:
                async with self.session.get(f"{self.url}/fapi/v1/time") as answer:
                    if (await answer.json())["serverTime"] >= START_MS + offset_ms:
                        return
                await asyncio.sleep(0.01)

    async def depth(self) -> dict[str, Any]:
        """The book as REST tells it."""
        query = "symbol=BTCUSDT&limit=1000"
        async with self.session.get(f"{self.url}/fapi/v1/depth?{query}") as answer:
            return await answer.json()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Keep what comes, for ever."""
        async for message in socket:
            told = json.loads(message.data)
            if "stream" in told:
                self.said[told["stream"]].append(told["data"])

    async def until_told(self, update_id: int) -> None:
        """Return when every stream has told of an update."""
        async with asyncio.timeout(20):
            while not all(said and said[-1]["u"] >= update_id for said in self.said.values()):
                await asyncio.sleep(0.01)


@pytest.fixture(params=[1, 2, 3])
async def held(request, launcher, tmp_path: Path) -> AsyncIterator[Held]:
    tape = tmp_path / "btcusdt_tape"
    write_tape(tape, request.param)
    venue = launcher.start("--source", "tape", "--path", str(tape), "--hold", "--speed", "50")
    async with aiohttp.ClientSession() as session:
        told = Held(session, venue.url)
        url = f"{venue.url}/public/stream?streams={'/'.join(told.said)}"
        async with session.ws_connect(url) as socket:
            listening = asyncio.create_task(told.listen(socket))
            await told.move_to(3_010)
            yield told
            listening.cancel()


def local_book(snapshot: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, dict]:
    """The documented procedure; fails where an event is missing."""
    book = {side: dict(map(tuple, snapshot[name])) for side, name in (("b", "bids"), ("a", "asks"))}
    previous_id = None
    for event in events:
        if event["u"] < snapshot["lastUpdateId"]:
            continue
        if previous_id is None:
            assert event["U"] <= snapshot["lastUpdateId"] <= event["u"]
        else:
            assert event["pu"] == previous_id
        previous_id = event["u"]
        for side in "ba":
            for price, quantity in event[side]:
                if float(quantity):
                    book[side][price] = quantity
                else:
                    book[side].pop(price, None)
    return book


async def test_a_local_book_is_the_book_of_the_venue_at_every_speed(held: Held) -> None:
    before = await held.depth()
    await held.move_to(UPDATES * STEP_MS + 600)
    after = await held.depth()
    await held.until_told(after["lastUpdateId"])
    assert after["lastUpdateId"] > before["lastUpdateId"]
    wanted = {side: dict(map(tuple, after[name])) for side, name in (("b", "bids"), ("a", "asks"))}
    for speed in SPEEDS:
        events = held.said[f"btcusdt@{speed}"]
        assert local_book(before, events) == wanted, speed
        for earlier, later in pairwise(events):
            assert later["pu"] == earlier["u"], speed
    for partial in PARTIALS:
        last = held.said[f"btcusdt@{partial}"][-1]
        levels = len(last["b"])
        assert (last["b"], last["a"]) == (after["bids"][:levels], after["asks"][:levels]), partial
        for earlier, later in pairwise(held.said[f"btcusdt@{partial}"]):
            assert later["pu"] == earlier["u"], partial
