"""The broker as it is deployed lets in whom it knows, proves itself, and bears a whole run."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cli.broker_users import SERVICES, api_prefix
from cli.keys import make_keys
from libs.common.messages import subjects
from libs.common.messages.codec import decode_struct
from libs.common.messages.journal import FillReceived, JournalRecord
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable, ConfigError
from tests.integration.walled_broker import connected, settings_of

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60
RUN_S_MAX = 180
SYMBOL = "BTCUSDT"
APPROVED, REDUCE = (
    subjects.intent_approved("paper", SYMBOL),
    subjects.command("paper", "reduce-only"),
)
Connect = Callable[[str], Awaitable[Bus]]


@pytest.fixture
async def connect(walled: Broker, tmp_path: Path) -> AsyncIterator[Connect]:
    """Connects as an identity, as a service does."""
    opened: list[Bus] = []

    async def as_identity(name: str) -> Bus:
        opened.append(await connected(walled, tmp_path, name))
        return opened[-1]

    yield as_identity
    for bus in opened:
        await bus.close()


@pytest.mark.parametrize(
    ("sayer", "subject", "hearer", "stream", "durable"),
    [
        ("feed", subjects.candle("1s", SYMBOL), "signal", "MARKET", "signal"),
        ("signal", subjects.intent_proposed(SYMBOL), "risk", "INTENTS", "risk"),
        ("risk", APPROVED, "execution", "INTENTS", "execution-paper"),
        ("risk", REDUCE, "execution", "COMMANDS", "command-paper"),
        ("reconciler", REDUCE, "execution", "COMMANDS", "command-paper"),
    ],
)  # fmt: skip
async def test_a_message_is_stored_once_pulled_with_its_subject_and_acknowledged(
    sayer: str, subject: str, hearer: str, stream: str, durable: str, connect: Connect
) -> None:
    speaks, hears = await connect(sayer), await connect(hearer)
    stored = await speaks.publish_stored(subject, b"word", message_id="one")
    async with asyncio.timeout(WAIT_S):
        async for delivery in hears.deliveries(stream, durable):
            assert (delivery.subject, delivery.payload) == (subject, b"word")
            assert delivery.stream_sequence == stored.seq
            await delivery.ack()
            break
    info = await hears.jetstream.consumer_info(stream, durable)
    assert (info.num_ack_pending, info.num_pending) == (0, 0)
    assert await (await connect("operator")).last_sequence(stream) == 1


async def refusal(settings: BusConfig) -> str:
    """What a service says that cannot get in."""
    words = ""
    for timeout_ms in (500, 5_000):  # on a busy machine half a second is too short for TLS
        told = settings.model_copy(
            update={"connect_attempts_max": 1, "connect_timeout_ms": timeout_ms}
        )
        with pytest.raises(BusUnavailable) as refused:
            await Bus.connect(told, "risk", lambda: None)
        words = str(refused.value)
        assert "\n" not in words
        if "(no answer)" not in words:
            break
    return words


async def test_one_without_an_identity_or_with_a_strangers_is_let_in_nowhere(
    walled: Broker, tmp_path: Path
) -> None:
    own = settings_of(walled, tmp_path, "risk")
    make_keys(tmp_path / "other", "paper", is_paper=True)
    another = tmp_path / "other" / "risk" / "identity"
    for identity in (None, another):
        words = await refusal(own.model_copy(update={"identity_file": identity}))
        assert "bus.identity_file" in words
    lost = own.model_copy(update={"identity_file": tmp_path / "none"})
    with pytest.raises(ConfigError, match="cannot be read"):
        await Bus.connect(lost, "risk", lambda: None)


async def test_a_broker_whose_certificate_nobody_vouches_for_is_told_nothing(
    walled: Broker, tmp_path: Path
) -> None:
    own = settings_of(walled, tmp_path, "risk")
    make_keys(tmp_path / "other", "paper", is_paper=True)
    another = tmp_path / "other" / "risk" / "broker_ca.crt"
    for authority in (None, another):
        words = await refusal(own.model_copy(update={"tls_ca_file": authority}))
        assert "the broker's certificate is refused" in words
        assert "see bus.tls_ca_file" in words
    make_keys(tmp_path / "keys", "paper", is_paper=True, broker_names=["elsewhere"])
    await walled.stop()
    await walled.start()
    assert "not valid for '127.0.0.1'" in await refusal(own)


async def test_a_broker_without_tls_is_told_nothing_where_proof_is_asked_for(
    nats_server: Broker, tmp_path: Path
) -> None:
    make_keys(tmp_path / "keys", "paper", is_paper=True)
    own = BusConfig(url=nats_server.url, tls_ca_file=tmp_path / "keys" / "risk" / "broker_ca.crt")
    assert "the broker offers no TLS" in await refusal(own)
    system = BusConfig(url=nats_server.url.replace("nats:", "tls:"))
    assert "the broker offers no TLS" in await refusal(system)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), ("nonsense", "holds no certificate")]
)
async def test_an_authority_that_cannot_be_read_is_named(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"ca.crt {reason}"):
        await Bus.connect(BusConfig(tls_ca_file=path), "risk", lambda: None)


async def test_a_plain_client_gets_nothing_but_a_greeting(walled: Broker) -> None:
    host, _, port = walled.url.rpartition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(WAIT_S):
        assert b'"tls_required":true' in await reader.readline()
        writer.write(b"CONNECT {}\r\nPING\r\n")
        rest = await reader.read()
    assert b"PONG" not in rest
    writer.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def processes(
    commands: dict[str, list[str]], folder: Path, told: dict[str, dict[str, str]]
) -> Iterator[None]:
    """Processes of ours, each with an environment of its own; all end with the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS")}
    running = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as sink:
                running.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *command],
                        stdout=sink,
                        stderr=sink,
                        cwd=folder,
                        env={
                            **kept,
                            "PYTHONPATH": str(ROOT),
                            "PYTHONSAFEPATH": "1",
                            **told.get(name, {}),
                        },
                    )
                )
        yield
    finally:
        for one in running:
            one.send_signal(signal.SIGTERM)
        for one in running:
            one.wait(WAIT_S)


def environment_of(name: str, broker: Broker, folder: Path, venue: str) -> dict[str, str]:
    """What `config/paper.yaml` says, with this test's places."""
    own = folder / "keys" / name
    upper = name.upper()
    told = {
        "PORTCULLIS_CONFIG": str(ROOT / "config" / "paper.yaml"),
        "PORTCULLIS_HTTP_HOST": "127.0.0.1",
        "PORTCULLIS_HTTP_TOKENS_FILE": own / "http_tokens",
        "PORTCULLIS_APPROVAL_KEY_FILE": own / "approval_key",
        "PORTCULLIS_BUS__URL": broker.url,
        "PORTCULLIS_BUS__IDENTITY_FILE": own / "identity",
        "PORTCULLIS_BUS__TLS_CA_FILE": own / "broker_ca.crt",
        "PORTCULLIS_BUS__API_PREFIX": api_prefix(name),
        "PORTCULLIS_VENUE__REST_URL": f"http://{venue}",
        "PORTCULLIS_VENUE__STREAM_URL": f"ws://{venue}",
        f"PORTCULLIS_{upper}__HTTP_PORT": free_port(),
    }
    for key in ("api_key", "api_secret"):
        if (own / key).is_file():
            told[f"PORTCULLIS_{upper}__{key.upper()}_FILE"] = own / key
    if name == "execution":
        told["PORTCULLIS_EXECUTION__AUDIT_DIRECTORY"] = folder / "audit"
        told["PORTCULLIS_EXECUTION__HALT_FILE"] = folder / "halt"
    return {key: str(value) for key, value in told.items()}


async def has_filled(bus: Bus) -> bool:
    """Whether the journal tells of a fill."""
    last = await bus.last_sequence(subjects.JOURNAL_STREAM)
    for number in range(1, last + 1):
        stored = await bus.read_message(subjects.JOURNAL_STREAM, number)
        data = b"" if stored is None else stored.data or b""
        if any(isinstance(one, FillReceived) for one in decode_struct(data, JournalRecord).events):
            return True
    return False


async def test_a_whole_run_needs_nothing_that_is_not_allowed(
    walled: Broker, tmp_path: Path, connect: Connect
) -> None:
    """Five services and two feeds under their identities trade, and the broker refuses nothing."""
    (tmp_path / "audit").mkdir()
    port = free_port()
    venue = f"127.0.0.1:{port}"
    commands = {
        "venue": [
            "services.paper_exchange",
            "--port",
            str(port),
            "--symbols",
            "BTCUSDT,ETHUSDT",
            "--speed",
            "20",
        ],
        **{name: [f"services.{name}"] for name in SERVICES},
        "feed-2": ["services.feed"],
    }
    told = {name: environment_of(name, walled, tmp_path, venue) for name in SERVICES}
    told["feed-2"] = environment_of("feed", walled, tmp_path, venue)
    looking, until_s = await connect("operator"), time.monotonic() + RUN_S_MAX
    with processes(commands, tmp_path, told):
        while not await has_filled(looking):
            assert time.monotonic() < until_s, "nothing was traded"
            await asyncio.sleep(0.2)
    log = (walled.directory / "nats-server.log").read_text()
    assert "Violation" not in log, log
