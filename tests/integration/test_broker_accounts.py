"""Each identity on a real broker: what it needs works, and all that it must not do is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import pytest

from cli.broker_users import API_ELSEWHERE, IDENTITIES, ZONES
from cli.keys import make_keys
from libs.common.messages import subjects
from libs.common.runtime import broker as broker_module
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.bus_client import BusClient
from libs.common.runtime.bus_identity import load_identity
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable, ConfigError
from libs.common.runtime.provisioning import provision, wait_until_provisioned

WAIT_S = 10
SYMBOL = "BTCUSDT"
NAMES = {"operator": "export"}
APPROVED, REDUCE = (
    subjects.intent_approved("paper", SYMBOL),
    subjects.command("paper", "reduce-only"),
)
Connect = Callable[[str], Awaitable[Bus]]

#: Everything that moves money or memory, with the identities that may say it.
STORED: dict[str, set[str]] = {
    subjects.journal("paper"): {"execution"},
    subjects.snapshot("paper"): {"execution"},
    subjects.intent_approved("paper", SYMBOL): {"risk"},
    subjects.intent_verdict("one"): {"risk"},
    subjects.intent_proposed(SYMBOL): {"signal"},
    subjects.command("paper", "resume"): set(),
    subjects.command("paper", "unlock"): set(),
    subjects.command("paper", "halt"): {"reconciler"},
    subjects.command("paper", "reduce-only"): {"risk", "reconciler"},
    subjects.reconcile_report("paper"): {"reconciler"},
    subjects.candle("1s", SYMBOL): {"feed"},
    subjects.account_state("paper"): {"execution"},
    subjects.mark(SYMBOL): {"feed"},
    subjects.MARKET_CLOCK: {"feed"},
    subjects.hello("risk"): {"risk"},
    subjects.dead("feed"): {"feed"},
}
DESTROYS = (
    "STREAM.DELETE.JOURNAL",
    "STREAM.PURGE.JOURNAL",
    "STREAM.MSG.DELETE.JOURNAL",
    "STREAM.RESTORE.JOURNAL",
    "CONSUMER.DELETE.INTENTS.risk",
    "STREAM.LEADER.STEPDOWN.JOURNAL",
)
MAKES = (
    "STREAM.CREATE.OTHER",
    "STREAM.UPDATE.JOURNAL",
    "CONSUMER.CREATE.JOURNAL.spy",
    "CONSUMER.DURABLE.CREATE.INTENTS.spy",
)
LISTENS = ("_INBOX.>", "_INBOX_execution.>", ">", "intent.>", "command.>", "$JS.>", "_R_.>")


@pytest.fixture
async def walled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """A broker with the users that `portcullis keys` writes, and its streams made."""
    make_keys(tmp_path / "keys", "paper", is_paper=True)
    users = (tmp_path / "keys" / "broker" / "users.conf").read_text()
    plain = broker_module.broker_config
    monkeypatch.setattr(broker_module, "broker_config", lambda *told: plain(*told) + users)
    broker = Broker(tmp_path / "broker")
    await broker.start()
    try:
        bus = await connected(broker, tmp_path, "provision")
        await provision(bus, "paper", settings(broker, tmp_path, "provision"))
        await bus.close()
        yield broker
    finally:
        await broker.stop()


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


def settings(broker: Broker, folder: Path, name: str) -> BusConfig:
    prefix = "$JS.API" if name in ZONES["CORE"] else API_ELSEWHERE
    return BusConfig(
        url=broker.url, identity_file=folder / "keys" / name / "identity", api_prefix=prefix
    )


async def connected(broker: Broker, folder: Path, name: str) -> Bus:
    return await Bus.connect(settings(broker, folder, name), NAMES.get(name, name), lambda: None)


class Stranger:
    """A client with an identity and nothing else of ours: says what it likes, hears refusals."""

    def __init__(self, url: str, identity: Path, name: str) -> None:
        self._url, self._identity = url, load_identity(identity)
        self.name, self.client, self.refused = name, BusClient(), [""]

    async def __aenter__(self) -> Self:
        async def note(error: Exception) -> None:
            self.refused.append(str(error).lower())

        self.client.introduce_as(self._identity)
        await self.client.connect(
            self._url,
            signature_cb=self._identity.sign,
            error_cb=note,
            inbox_prefix=f"_INBOX_{NAMES.get(self.name, self.name)}",
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def may_publish(self, subject: str, reply: str = "") -> bool:
        before = len(self.refused)
        await self.client.publish(subject, b"{}", reply=reply)
        await self.settle()
        return len(self.refused) == before

    async def settle(self) -> None:
        """Return when the broker has judged; nats-py's ping may overtake what was said before."""
        await self.client.flush()
        await self.client.flush()

    async def may_subscribe(self, subject: str) -> bool:
        before = len(self.refused)
        await self.client.subscribe(subject)
        await self.settle()
        return len(self.refused) == before


@pytest.fixture
def stranger(walled: Broker, tmp_path: Path) -> Callable[[str], Stranger]:
    return lambda name: Stranger(walled.url, tmp_path / "keys" / name / "identity", name)


async def stored_in(connect: Connect, stream: str) -> int:
    return await (await connect("operator")).last_sequence(stream)


@pytest.mark.parametrize("name", IDENTITIES)
async def test_an_identity_says_what_is_its_own_and_nothing_else(
    name: str, stranger: Callable[[str], Stranger]
) -> None:
    async with stranger(name) as client:
        for subject, sayers in STORED.items():
            assert await client.may_publish(subject) is (name in sayers), f"{name}: {subject}"


@pytest.mark.parametrize("name", IDENTITIES)
async def test_nobody_destroys_and_only_provisioning_makes(
    name: str, stranger: Callable[[str], Stranger]
) -> None:
    async with stranger(name) as client:
        for prefix in ("$JS.API", API_ELSEWHERE):
            for asked in DESTROYS:
                assert not await client.may_publish(f"{prefix}.{asked}"), f"{name}: {asked}"
            for asked in MAKES:
                is_maker = name == "provision" and prefix == "$JS.API"
                may = await client.may_publish(f"{prefix}.{asked}")
                assert may is is_maker, f"{name}: {prefix}.{asked}"


@pytest.mark.parametrize("name", IDENTITIES)
async def test_nobody_hears_what_is_not_for_him(
    name: str, stranger: Callable[[str], Stranger]
) -> None:
    async with stranger(name) as client:
        for subject in LISTENS:
            may = await client.may_subscribe(subject)
            is_own = subject == f"_INBOX_{name}.>"
            assert may is is_own, f"{name}: {subject}"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("signal", subjects.intent_proposed(SYMBOL)),
        ("signal", f"{API_ELSEWHERE}.STREAM.MSG.GET.MARKET"),
        ("signal", f"{API_ELSEWHERE}.CONSUMER.MSG.NEXT.MARKET.signal"),
        ("feed", subjects.candle("1s", SYMBOL)),
        ("risk", subjects.intent_refused(SYMBOL)),
        ("risk", f"{API_ELSEWHERE}.STREAM.INFO.JOURNAL"),
        ("reconciler", subjects.command("paper", "reduce-only")),
        ("reconciler", f"{API_ELSEWHERE}.STREAM.MSG.GET.REPORTS"),
        ("operator", f"{API_ELSEWHERE}.STREAM.MSG.GET.JOURNAL"),
    ],
)
async def test_an_answer_cannot_be_sent_where_one_may_not_speak(
    name: str, asked: str, connect: Connect, stranger: Callable[[str], Stranger]
) -> None:
    """A reply subject is not held against permissions; it must not reach another zone's stream."""
    feed = await connect("feed")
    await feed.publish_stored(subjects.candle("1s", SYMBOL), b"a candle", message_id="one")
    targets = {
        subjects.journal("paper"): subjects.JOURNAL_STREAM,
        subjects.intent_approved("paper", SYMBOL): subjects.INTENTS_STREAM,
        subjects.command("paper", "resume"): subjects.COMMANDS_STREAM,
    }
    before = {stream: await stored_in(connect, stream) for stream in targets.values()}
    async with stranger(name) as client:
        for target in targets:
            await client.may_publish(asked, reply=target)
        await client.settle()
    after = {stream: await stored_in(connect, stream) for stream in targets.values()}
    assert after[subjects.JOURNAL_STREAM] == before[subjects.JOURNAL_STREAM]
    is_stored_there = asked.startswith(("intent.proposed", "command."))
    own = len(targets) if is_stored_there else 0  # what it may say is stored, once each time
    grown = sum(after.values()) - sum(before.values())
    assert grown == own


async def test_what_each_service_needs_passes_between_the_zones(connect: Connect) -> None:
    bus = {name: await connect(name) for name in IDENTITIES}
    for name in ("feed", "signal", "risk", "execution", "reconciler"):
        await wait_until_provisioned(bus[name], "paper", BusConfig())
    heard: dict[str, asyncio.Event] = {}

    async def listen(name: str, subject: str, said: str) -> None:
        event = heard[f"{name} {said}"] = asyncio.Event()

        async def on_message(got: str, *_: object) -> None:
            if got == said:
                event.set()

        await bus[name].subscribe(subject, on_message)

    state, request = subjects.account_state("paper"), subjects.reconcile_request("paper")
    report = subjects.reconcile_report("paper")
    for name in ("signal", "risk", "execution", "reconciler"):
        await listen(name, subjects.MARKET_CLOCK, subjects.MARKET_CLOCK)
        await listen(name, subjects.ROLL_CALL, subjects.ROLL_CALL)
        await listen("execution", subjects.HELLOS, subjects.hello(name))
    await listen("risk", subjects.quote("*"), subjects.quote(SYMBOL))
    await listen("execution", subjects.mark("*"), subjects.mark(SYMBOL))
    await listen("risk", state, state)
    await listen("reconciler", state, state)
    await listen("reconciler", request, request)
    await listen("execution", report, report)
    for told in bus.values():
        await told._client.flush()
    for subject in (subjects.MARKET_CLOCK, subjects.quote(SYMBOL), subjects.mark(SYMBOL)):
        await bus["feed"].publish(subject, b"{}")
    for subject in (state, request, subjects.ROLL_CALL):
        await bus["execution"].publish(subject, b"{}")
    for name in ("signal", "risk", "execution", "reconciler"):
        await bus[name].publish(subjects.hello(name), b"{}")
    await bus["reconciler"].publish_stored(report, b"{}", message_id="report")
    async with asyncio.timeout(WAIT_S):
        for event in heard.values():
            await event.wait()


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
    assert await stored_in(connect, stream) == 1


async def test_one_without_an_identity_or_with_a_strangers_is_let_in_nowhere(
    walled: Broker, tmp_path: Path
) -> None:
    nobody = BusConfig(url=walled.url, connect_attempts_max=1, connect_wait_ms=10)
    make_keys(tmp_path / "other", "paper", is_paper=True)
    another = tmp_path / "other" / "risk" / "identity"
    for told in (nobody, nobody.model_copy(update={"identity_file": another})):
        with pytest.raises(BusUnavailable):
            await Bus.connect(told, "risk", lambda: None)
    lost = nobody.model_copy(update={"identity_file": tmp_path / "none"})
    with pytest.raises(ConfigError, match="cannot be read"):
        await Bus.connect(lost, "risk", lambda: None)
