"""The floor: what each hop of an order's way costs when nothing but the hop happens.

Bare clients, none of our code around them: nats-py against a broker with our configuration (file
store, fsync at every write), aiohttp against the paper exchange. Two processes, as in the pipeline,
and one message at a time with a pause between, since that is how orders come.
"""

import asyncio
import hashlib
import hmac
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

#: About an approved intent with its verdicts.
PAYLOAD_BYTES = 1_500
#: As seldom as orders come: what was not used for a tenth of a second costs half as much again, in
#: caches and sleeping processors, and a brisk loop would measure a floor that no order can have.
#: No divisor of a bar's wall time, or every sample would fall on the same moment of the bars.
PAUSE_BESIDE_S = 0.073
BESIDE_SAMPLES = 10
PAUSE_IDLE_S = 0.05
LOOK_INTERVAL_S = 0.01
STREAM, SUBJECT, DURABLE = "BENCH", "bench.stored", "bench"
CORE_SUBJECT = "bench.core"
STORE_BYTES_MAX = 64 << 20
ANSWER_WAIT_S = 10
STAMP_DIGITS = 20
#: How much market the paper exchange is given, so that there is a book to trade against.
MARKET_MS = 5_000

Samples = dict[str, list[int]]


def _stamped() -> bytes:
    return f"{time.time_ns():0{STAMP_DIGITS}d}".encode().ljust(PAYLOAD_BYTES, b".")


def _age_ns(payload: bytes) -> int:
    return time.time_ns() - int(payload[:STAMP_DIGITS])


class HopMeter:
    """A listening process of its own, and rounds of measurements against it."""

    def __init__(self, broker_url: str, venue_url: str) -> None:
        self._broker_url = broker_url
        self._venue_url = venue_url
        self._timestamp_ms = 0
        self._pipe, theirs = multiprocessing.Pipe()
        self._listener = multiprocessing.get_context("spawn").Process(
            target=_listen, args=(broker_url, theirs), daemon=True
        )

    async def start(self) -> None:
        """Make the stream, give the venue a little market, start the listener."""
        await self._make_stream()
        async with aiohttp.ClientSession(base_url=self._venue_url) as session:
            self._timestamp_ms = await _move_market(session)
        self._listener.start()
        await self._answer()

    async def _make_stream(self) -> None:
        client = await nats.connect(self._broker_url)
        jetstream = client.jetstream()
        await jetstream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[SUBJECT],
                storage=StorageType.FILE,
                retention=RetentionPolicy.WORK_QUEUE,
                max_bytes=STORE_BYTES_MAX,
            )
        )
        await jetstream.add_consumer(
            STREAM,
            ConsumerConfig(durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1),
        )
        await client.close()

    async def round(self, samples: int, pause_s: float = PAUSE_IDLE_S) -> Samples:
        """One round of every hop in turn, in nanoseconds."""
        client = await nats.connect(self._broker_url)
        jetstream = client.jetstream()
        stored: list[int] = []
        ordered: list[int] = []
        async with aiohttp.ClientSession(base_url=self._venue_url) as session:
            async with session.post("/sim/accounts", json={"balance": "1000000"}) as answer:
                account = await answer.json()
            for number in range(samples):
                await client.publish(CORE_SUBJECT, _stamped())
                await asyncio.sleep(pause_s)
                began = time.perf_counter_ns()
                await jetstream.publish(SUBJECT, _stamped())
                stored.append(time.perf_counter_ns() - began)
                await asyncio.sleep(pause_s)
                request = _signed(account["secret"], number, self._timestamp_ms)
                ordered.append(await _order(session, account["api_key"], request))
                await asyncio.sleep(pause_s)
        await client.close()
        self._pipe.send("report")
        return {**await self._answer(), "stored publish": stored, "order over HTTP": ordered}

    async def rounds_until(self, is_over: asyncio.Event) -> Samples:
        """Rounds while something else runs, of which they must not become the load."""
        found: Samples = {}
        while not is_over.is_set():
            merge(found, await self.round(BESIDE_SAMPLES, PAUSE_BESIDE_S))
        return found

    async def _answer(self) -> Any:
        def receive() -> Any:
            if not self._pipe.poll(ANSWER_WAIT_S):
                raise TimeoutError("the listening process does not answer")
            return self._pipe.recv()

        return await asyncio.to_thread(receive)

    def stop(self) -> None:
        """End the listener."""
        if self._listener.pid is not None:
            self._listener.terminate()
            self._listener.join(ANSWER_WAIT_S)


def merge(found: Samples, more: Samples) -> None:
    """Add samples to those found before."""
    for name, samples in more.items():
        found.setdefault(name, []).extend(samples)


def _listen(broker_url: str, pipe: Connection) -> None:
    """The other process: hear, note the age of what was heard, report when asked."""
    uvloop.run(_hear(broker_url, pipe))


async def _hear(broker_url: str, pipe: Connection) -> None:
    client = await nats.connect(broker_url)
    core: list[int] = []
    stored: list[int] = []

    async def on_core(message: Msg) -> None:
        core.append(_age_ns(message.data))

    def report() -> None:
        pipe.recv()
        pipe.send({"core hop": core[:], "stored hop": stored[:]})
        core.clear()
        stored.clear()

    await client.subscribe(CORE_SUBJECT, cb=on_core)
    await client.flush()
    asyncio.get_running_loop().add_reader(pipe.fileno(), report)
    pipe.send("listening")
    await _pull(client, stored)


async def _pull(client: Client, ages_ns: list[int]) -> None:
    subscription = await client.jetstream().pull_subscribe_bind(DURABLE, stream=STREAM)
    while True:
        try:
            (message,) = await subscription.fetch(1, timeout=1)
        except NatsTimeoutError:
            continue
        ages_ns.append(_age_ns(message.data))
        await message.ack_sync()


async def _move_market(session: aiohttp.ClientSession) -> int:
    """Let a held paper exchange tell a few seconds; returns where it stands then, in ms."""
    async with session.get("/sim/clock") as answer:
        limit_ns = int((await answer.json())["now_ns"]) + MARKET_MS * 1_000_000
    async with session.post("/sim/clock", json={"speed": "1000", "limit_ns": limit_ns}) as answer:
        answer.raise_for_status()
    async with asyncio.timeout(ANSWER_WAIT_S):
        while True:
            async with session.get("/sim/clock") as answer:
                if (await answer.json())["now_ns"] >= limit_ns:
                    return limit_ns // 1_000_000
            await asyncio.sleep(LOOK_INTERVAL_S)


def _signed(secret: str, number: int, timestamp_ms: int) -> str:
    body = (
        f"symbol=BTCUSDT&side={'SELL' if number % 2 else 'BUY'}&type=MARKET&quantity=0.010"
        f"&newOrderRespType=RESULT&recvWindow=60000&timestamp={timestamp_ms}"
    )
    return (
        f"{body}&signature={hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()}"
    )


async def _order(session: aiohttp.ClientSession, api_key: str, request: str) -> int:
    began = time.perf_counter_ns()
    async with session.post(
        "/fapi/v1/order", data=request, headers={"X-MBX-APIKEY": api_key}
    ) as answer:
        text = await answer.read()
    took = time.perf_counter_ns() - began
    if answer.status != 200 or b'"FILLED"' not in text:
        raise RuntimeError(f"the paper exchange did not fill an order: {text.decode()}")
    return took
