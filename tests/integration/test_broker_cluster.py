"""Three brokers as on a cluster: every stream on three of them, and one may be lost."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from nats.errors import Error as NatsError

from cli.broker_users import api_prefix
from cli.keys import make_keys
from libs.common.messages import subjects
from libs.common.runtime.broker import broker_binary
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusError
from libs.common.runtime.provisioning import (
    bucket_configs,
    bucket_stream,
    provision,
    stream_configs,
)
from tests.integration.walled_broker import DEPLOYED

NODES = 3
WAIT_S = 120
#: Making a stream on three brokers takes its time; what no leader hears is never answered.
PROVISION_MS, APPEND_MS = 5_000, 3_000
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def node_config(folder: Path, number: int, clients: list[int], routes: list[int]) -> str:
    """`deploy/nats/nats-server.conf`, with what k8s/broker/chart-values.yaml adds for three."""
    keys = (folder / "keys" / "broker").as_posix()
    text = DEPLOYED.read_text().replace("/etc/nats/keys", keys)
    for key, value in (("listen", f'"127.0.0.1:{clients[number]}"'), ("server_name", f"n{number}")):
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
    text = re.sub(r"^http: .*$", "", text, flags=re.MULTILINE)
    text = text.replace('"/store"', json.dumps(str(folder / f"store-{number}")))
    neighbours = ", ".join(f'"tls://127.0.0.1:{port}"' for port in routes)
    return (
        f'{text}\ncluster {{ name: nats, listen: "127.0.0.1:{routes[number]}"\n'
        f"routes: [{neighbours}], no_advertise: true\n"
        f'tls {{ cert_file: "{keys}/server.crt", key_file: "{keys}/server.key"\n'
        f'ca_file: "{keys}/broker_ca.crt", verify: true, min_version: "1.3" }} }}\n'
    )


@dataclass(frozen=True)
class Node:
    """One of the brokers."""

    process: asyncio.subprocess.Process
    url: str


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[dict[str, Node]]:
    """Three brokers that know each other, by name."""
    make_keys(tmp_path / "keys", "paper", is_paper=True)
    ports = free_ports(2 * NODES)
    clients, routes = ports[:NODES], ports[NODES:]
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "keys").symlink_to(tmp_path / "keys" / "broker")
    running: dict[str, Node] = {}
    try:
        for number in range(NODES):
            path = tmp_path / "node" / f"{number}.conf"
            path.write_text(node_config(tmp_path, number, clients, routes))
            with (tmp_path / f"{number}.log").open("wb") as sink:
                process = await asyncio.create_subprocess_exec(
                    broker_binary(), "-c", str(path), stdout=sink, stderr=sink
                )
            running[f"n{number}"] = Node(process, f"tls://127.0.0.1:{clients[number]}")
        yield running
    finally:
        for node in running.values():
            with contextlib.suppress(ProcessLookupError):
                node.process.kill()
            await node.process.wait()


@contextlib.asynccontextmanager
async def connected(
    folder: Path, name: str, node: Node, publish_timeout_ms: int
) -> AsyncIterator[tuple[Bus, BusConfig]]:
    own = folder / "keys" / name
    settings = BusConfig(
        url=node.url,
        publish_timeout_ms=publish_timeout_ms,
        identity_file=own / "identity",
        tls_ca_file=own / "broker_ca.crt",
        api_prefix=api_prefix(name),
        replicas=NODES,
    )
    bus = await Bus.connect(settings, name, lambda: None)
    try:
        yield bus, settings
    finally:
        await bus.close()


async def until_it_works(do: Callable[[], Awaitable[T]]) -> T:
    """What `do` returns once the brokers have agreed who leads."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await do()
            except (BusError, NatsError, TimeoutError):
                await asyncio.sleep(0.2)


async def until_all_hold(bus: Bus, stream: str) -> None:
    """Return once every broker holds all of a stream: only then one may be lost."""
    async with asyncio.timeout(WAIT_S):
        while True:
            info = await until_it_works(partial(bus.jetstream.stream_info, stream))
            assert info.config.num_replicas == NODES
            others = (info.cluster.replicas if info.cluster is not None else None) or []
            if len(others) == NODES - 1 and all(one.current for one in others):
                return
            await asyncio.sleep(0.1)


async def append(bus: Bus, number: int) -> int:
    """Store one record after the one before, as the journal does; its sequence."""
    subject, words = subjects.journal("paper"), f"record {number}".encode()

    async def once() -> int:
        last = await bus.read_last(subjects.JOURNAL_STREAM, subject)
        if last is not None and last.data == words:
            return last.seq or 0  # an attempt whose answer was lost
        before = 0 if last is None else last.seq or 0
        done = await bus.publish_stored(
            subject, words, message_id=str(number), expected_last_sequence=before
        )
        return int(done.seq)

    return await until_it_works(once)


async def test_a_broker_of_three_may_be_lost_and_nothing_that_was_acknowledged_is(
    nodes: dict[str, Node], tmp_path: Path
) -> None:
    async with connected(tmp_path, "provision", nodes["n0"], PROVISION_MS) as (bus, settings):
        alone = settings.model_copy(update={"replicas": 1})
        await until_it_works(lambda: provision(bus, "paper", alone))
        await until_it_works(lambda: provision(bus, "paper", settings))
        buckets = [bucket_stream(config.bucket) for config in bucket_configs(settings)]
        for name in (*(str(config.name) for config in stream_configs()), *buckets):
            await until_all_hold(bus, name)
    async with connected(tmp_path, "execution", nodes["n0"], APPEND_MS) as (bus, _):
        for number in range(1, 4):
            assert await append(bus, number) == number
        ask = partial(bus.jetstream.stream_info, subjects.JOURNAL_STREAM)
        cluster = (await until_it_works(ask)).cluster
        assert cluster is not None
        leader = str(cluster.leader)
    other = next(node for name, node in nodes.items() if name != leader)
    async with connected(tmp_path, "execution", other, APPEND_MS) as (bus, _):
        nodes[leader].process.kill()
        for number in range(4, 7):
            assert await append(bus, number) == number
        for number in range(1, 7):
            read = partial(bus.read_message, subjects.JOURNAL_STREAM, number)
            found = await until_it_works(read)
            assert found is not None
            assert found.data == f"record {number}".encode()
