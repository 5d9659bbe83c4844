"""Every identity against everything that there is to say, hear and ask on the broker.

The tables below name, for each subject of the house, who says it and who hears it. They are held
against `libs/common/messages/subjects.py`, so that a subject that is new there fails here until
somebody has decided. JetStream's interface is asked verb by verb, for every stream and consumer.
"""

import asyncio
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pytest

from cli.broker_users import API_ELSEWHERE, CORE, IDENTITIES, SERVICES, ZONES, api_prefix
from libs.common.messages import subjects
from libs.common.messages.account import Verb
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.bus_client import BusClient
from libs.common.runtime.bus_identity import load_identity
from libs.common.runtime.bus_tls import tls_context
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import (
    bucket_configs,
    bucket_stream,
    consumer_configs,
    stream_configs,
)
from tests.integration.walled_broker import CALLED, connected, settings_of

SYMBOL = "BTCUSDT"
WAIT_S = 60
NOBODY: frozenset[str] = frozenset()
ALL_SERVICES = frozenset(SERVICES)
#: Stands for the service that the subject names.
ITSELF = frozenset({"itself"})

#: Of each name in subjects.py that is no stream: who may say it, and who may hear it.
WHO: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "quote": (frozenset({"feed"}), frozenset({"risk"})),
    "mark": (frozenset({"feed"}), frozenset({"risk", "execution"})),
    "trade": (frozenset({"feed"}), NOBODY),
    "depth": (frozenset({"feed"}), NOBODY),
    "candle": (frozenset({"feed"}), NOBODY),
    "MARKET_CLOCK": (frozenset({"feed"}), ALL_SERVICES),
    "MARKET_HEALTH": (frozenset({"feed"}), frozenset({"risk", "execution"})),
    "lease": (frozenset({"feed"}), NOBODY),
    "intent_proposed": (frozenset({"signal"}), NOBODY),
    "intent_approved": (frozenset({"risk"}), NOBODY),
    "intent_refused": (frozenset({"risk", "execution"}), NOBODY),
    "intent_verdict": (frozenset({"risk"}), NOBODY),
    "journal": (frozenset({"execution"}), frozenset({"execution"})),
    "snapshot": (frozenset({"execution"}), NOBODY),
    "journal_head": (frozenset({"execution"}), NOBODY),
    "account_state": (frozenset({"execution"}), frozenset({"risk", "reconciler"})),
    "account_state_request": (frozenset({"reconciler"}), frozenset({"execution"})),
    "reconcile_report": (frozenset({"reconciler"}), frozenset({"execution"})),
    "reconcile_request": (frozenset({"execution"}), frozenset({"reconciler"})),
    "ROLL_CALL": (frozenset({"execution"}), ALL_SERVICES),
    "HELLOS": (NOBODY, frozenset({"execution"})),
    "hello": (ITSELF, frozenset({"execution"})),
    "dead": (ITSELF, NOBODY),
    "command": (NOBODY, NOBODY),
}
#: Commands by their verb: what takes risk away, or repairs, or what a person asked a service for.
COMMANDERS = {
    Verb.REDUCE: frozenset({"risk", "reconciler"}),
    # Risk's own door, at which a person sets them; it takes nothing from another service.
    Verb.LIMITS: frozenset({"risk"}),
    Verb.HALT: frozenset({"reconciler"}),
    Verb.ADOPT: frozenset({"reconciler"}),
    Verb.CANCEL_ORPHAN: frozenset({"reconciler"}),
    Verb.ASSERT_SETTINGS: frozenset({"reconciler"}),
}
#: Of another account, and of another service, nobody may say anything.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "symbol": (SYMBOL,),
    "interval": ("1s",),
    "account": ("paper", "other"),
    "intent_id": ("one",),
    "verb": tuple(Verb),
    "service": SERVICES,
    "name": ("feed",),
}

STREAMS = [str(config.name) for config in stream_configs()]
BUCKETS = [bucket_stream(config.bucket) for config in bucket_configs(BusConfig())]
CONSUMERS = [
    (stream, str(made.durable_name)) for stream, made in consumer_configs("paper", BusConfig())
]
STORED = [
    subject.rstrip(">*") for config in stream_configs() for subject in config.subjects or ()
] + ["$KV."]
#: All of JetStream's interface (nats-server 2.15). {s} is a stream, {c} a consumer of it.
OF_THE_SERVER = """
    INFO STREAM.NAMES STREAM.LIST META.LEADER.STEPDOWN META.RESCUE SERVER.REMOVE SERVER.EVACUATE
    ACCOUNT.PURGE.CORE ACCOUNT.STREAM.MOVE.CORE.JOURNAL ACCOUNT.STREAM.CANCEL_MOVE.CORE.JOURNAL
    STREAM.CREATE.OTHER CONSUMER.CREATE.OTHER DIRECT.GET
"""
OF_A_STREAM = """
    STREAM.CREATE.{s} STREAM.UPDATE.{s} STREAM.INFO.{s} STREAM.DELETE.{s} STREAM.PURGE.{s}
    STREAM.MSG.GET.{s} STREAM.MSG.DELETE.{s} STREAM.SNAPSHOT.{s} STREAM.RESTORE.{s}
    STREAM.PEER.REMOVE.{s} STREAM.PEER.EVACUATE.{s} STREAM.LEADER.STEPDOWN.{s}
    DIRECT.GET.{s} DIRECT.GET.{s}.journal.paper
    CONSUMER.NAMES.{s} CONSUMER.LIST.{s} CONSUMER.CREATE.{s}
"""
OF_A_CONSUMER = """
    CONSUMER.CREATE.{s}.{c} CONSUMER.CREATE.{s}.{c}.x CONSUMER.DURABLE.CREATE.{s}.{c}
    CONSUMER.INFO.{s}.{c} CONSUMER.DELETE.{s}.{c} CONSUMER.PAUSE.{s}.{c} CONSUMER.RESET.{s}.{c}
    CONSUMER.UNPIN.{s}.{c} CONSUMER.MSG.NEXT.{s}.{c} CONSUMER.LEADER.STEPDOWN.{s}.{c}
    CONSUMER.PEER.REMOVE.{s}.{c} CONSUMER.PEER.EVACUATE.{s}.{c}
"""
VERBS = sorted(
    {verb.partition(".{")[0] for verb in (OF_A_STREAM + OF_A_CONSUMER).split()}, reverse=True
)
READS = {
    "feed": {subjects.MARKET_STREAM, subjects.LEASE_STREAM},
    "signal": {subjects.MARKET_STREAM},
    "risk": {subjects.INTENTS_DONE_STREAM},
    "execution": {
        subjects.JOURNAL_STREAM,
        subjects.SNAPSHOTS_STREAM,
        subjects.INTENTS_DONE_STREAM,
    },
    "reconciler": {subjects.REPORTS_STREAM, subjects.JOURNAL_STREAM},
    "provision": set(),
    "operator": set(STREAMS),
}
PULLS = {
    "signal": {"MARKET.signal"},
    "risk": {"INTENTS.risk"},
    "execution": {"INTENTS.execution-paper", "COMMANDS.command-paper"},
}
#: Of the broker itself, and of other clients.
STRANGE = (
    "$KV.VIEW.anything", "$KV.LEASES.a.b", "$JS.FC.JOURNAL.x.y", "$JS.EVENT.ADVISORY.x", "$O.x.C.y",
    "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.CORE.CONNZ", "$SRV.PING", "_INBOX.x.y", "_R_.x.y",
    "journal.>", ">", "anything",
)  # fmt: skip


def house_subjects() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each name in subjects.py that is no stream, its subjects, and what they are made with."""
    for name, found in vars(subjects).items():
        if inspect.isfunction(found):
            told: list[dict[str, str]] = [{}]
            for parameter in inspect.signature(found).parameters:
                told = [{**one, parameter: word} for one in told for word in EXAMPLES[parameter]]
            for one in told:
                yield name, found(**one), one
        elif name.isupper() and not name.endswith(("_STREAM", "_BUCKET")):
            yield name, found, {}


def said_by(name: str, told: dict[str, str]) -> frozenset[str]:
    if told.get("account") == "other":
        return NOBODY
    if name == "command":
        return COMMANDERS.get(Verb(told["verb"]), NOBODY)
    sayers = WHO[name][0]
    return frozenset({told["service"]}) if sayers == ITSELF else sayers


def heard_by(name: str, told: dict[str, str]) -> frozenset[str]:
    return NOBODY if told.get("account") == "other" else WHO[name][1]


def interface() -> Iterator[str]:
    """All that can be asked of JetStream, without its prefix."""
    yield from OF_THE_SERVER.split()
    for stream in (*STREAMS, *BUCKETS):
        yield from (verb.format(s=stream) for verb in OF_A_STREAM.split())
        durables = [durable for its, durable in CONSUMERS if its == stream]
        for durable in (*durables, "spy", "execution-other"):
            yield from (verb.format(s=stream, c=durable) for verb in OF_A_CONSUMER.split())


def may_ask(name: str, asked: str) -> bool:
    """What of JetStream's interface is an identity's own."""
    verb = next((one for one in VERBS if asked.startswith(f"{one}.")), asked)
    of = asked[len(verb) + 1 :]
    infos = {f"{stream}.{durable}" for stream, durable in CONSUMERS}
    if verb == "STREAM.INFO":
        return of in STREAMS or (name == "provision" and of in BUCKETS)
    if verb == "CONSUMER.INFO":
        return of in infos
    if verb == "STREAM.MSG.GET":
        return of in READS[name]
    if verb == "CONSUMER.MSG.NEXT":
        return of in PULLS.get(name, ())
    if name != "provision":
        return False
    return (verb in ("STREAM.CREATE", "STREAM.UPDATE") and of in (*STREAMS, *BUCKETS)) or (
        verb == "CONSUMER.DURABLE.CREATE" and of in infos
    )


class Stranger:
    """A client with an identity and nothing else of ours: says what it likes, hears refusals."""

    def __init__(self, broker: Broker, folder: Path, name: str) -> None:
        self._settings = settings_of(broker, folder, name)
        self._name, self._client = name, BusClient()
        self._refused: set[str] = set()

    async def __aenter__(self) -> Self:
        async def note(error: Exception) -> None:
            self._refused.update(re.findall(r'"(.*)"', str(error).lower()))

        assert self._settings.identity_file is not None
        identity = load_identity(self._settings.identity_file)
        self._client.introduce_as(identity)
        await self._client.connect(
            self._settings.url,
            signature_cb=identity.sign,
            tls=tls_context(self._settings),
            error_cb=note,
            inbox_prefix=f"_INBOX_{CALLED.get(self._name, self._name)}",
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def _judged(self, tried: Iterable[str]) -> set[str]:
        """What of it the broker let pass; nats-py's ping may overtake what was said before."""
        await self._client.flush()
        await self._client.flush()
        refused, self._refused = self._refused, set()
        assert refused <= {one.lower() for one in tried}, "a refusal of something else"
        return {one for one in tried if one.lower() not in refused}

    async def said(self, tried: list[str], reply: str = "") -> set[str]:
        for subject in tried:
            await self._client.publish(subject, b"{}", reply=reply)
        return await self._judged(tried)

    async def heard(self, tried: list[str]) -> set[str]:
        for subject in tried:
            await self._client.subscribe(subject)
        return await self._judged(tried)


def test_for_every_subject_of_the_house_it_is_decided_who_says_and_hears_it() -> None:
    assert {name for name, _, _ in house_subjects()} == set(WHO)


async def test_each_says_what_is_its_own_and_nothing_else(walled: Broker, tmp_path: Path) -> None:
    own = {subject: said_by(name, told) for name, subject, told in house_subjects()}
    acks = {f"$JS.ACK.{one}.1.2.3.4.5": one for one in (f"{s}.{c}" for s, c in CONSUMERS)}
    prefixes = ("$JS.API", API_ELSEWHERE)
    for name in IDENTITIES:
        inboxes = [f"_INBOX_{CALLED.get(other, other)}.x" for other in IDENTITIES]
        asked = {f"{prefix}.{one}": (prefix, one) for prefix in prefixes for one in interface()}
        async with Stranger(walled, tmp_path, name) as client:
            passed = await client.said([*own, *acks, *asked, *inboxes, *STRANGE])
        expected = {subject for subject, sayers in own.items() if name in sayers}
        expected |= {ack for ack, consumer in acks.items() if consumer in PULLS.get(name, ())}
        expected |= {
            subject
            for subject, (prefix, one) in asked.items()
            if prefix == api_prefix(name) and may_ask(name, one)
        }
        assert passed - expected == set(), f"{name} may say what is not its own"
        assert expected - passed == set(), f"{name} may not say what it has to"


async def test_each_hears_what_is_meant_for_it_and_nothing_else(
    walled: Broker, tmp_path: Path
) -> None:
    meant = {subject: heard_by(name, told) for name, subject, told in house_subjects()}
    kinds = {subject.partition(".")[0] for subject in meant}
    for name in IDENTITIES:
        inboxes = {f"_INBOX_{CALLED.get(other, other)}.>": other for other in IDENTITIES}
        wide = [f"{kind}.>" for kind in kinds] + ["$JS.>", "CORE.>", "_INBOX.>", "*", "*.*"]
        async with Stranger(walled, tmp_path, name) as client:
            passed = await client.heard([*meant, *inboxes, *wide, *STRANGE])
        expected = {subject for subject, hearers in meant.items() if name in hearers}
        expected |= {inbox for inbox, owner in inboxes.items() if owner == name}
        assert passed == expected, name


async def test_what_is_said_reaches_all_for_whom_it_is_meant(
    walled: Broker, tmp_path: Path
) -> None:
    bus = {name: await connected(walled, tmp_path, name) for name in IDENTITIES}
    waiting: list[asyncio.Event] = []

    async def listen(name: str, subject: str) -> None:
        event = asyncio.Event()
        waiting.append(event)

        async def on_message(*_: object) -> None:
            event.set()

        await bus[name].subscribe(subject, on_message)

    said = [(which, said_by(which, told), one) for which, one, told in house_subjects()]
    said = [(which, sayers, one) for which, sayers, one in said if sayers]
    for which, _, subject in said:
        for hearer in WHO[which][1]:
            await listen(hearer, subject)
    for one in bus.values():
        await one._client.flush()
    async with asyncio.timeout(WAIT_S):
        for _, sayers, subject in said:
            is_stored = any(subject.startswith(kind) for kind in STORED)
            for sayer in sayers:
                if is_stored:
                    await bus[sayer].publish_stored(subject, b"{}", message_id=f"{sayer} {subject}")
                else:
                    await bus[sayer].publish(subject, b"{}")
        for event in waiting:
            await event.wait()
    for one in bus.values():
        await one.close()


async def stored(bus: Bus) -> dict[str, int]:
    """How many messages there are on each subject of every stream."""
    found: dict[str, int] = {}
    for stream in STREAMS:
        info = await bus.jetstream.stream_info(stream, subjects_filter=">")
        found |= info.state.subjects or {}
    return found


@pytest.mark.parametrize("name", [name for name in IDENTITIES if ZONES[name] != CORE])
async def test_no_answer_can_be_sent_where_one_may_not_speak(
    name: str, walled: Broker, tmp_path: Path
) -> None:
    """The broker holds the subject of an answer against no permission; a zone ends it."""
    for sayer, subject in (
        ("feed", subjects.candle("1s", SYMBOL)),
        ("signal", subjects.intent_proposed(SYMBOL)),
        ("risk", subjects.intent_approved("paper", SYMBOL)),
        ("execution", subjects.journal("paper")),
    ):
        bus = await connected(walled, tmp_path, sayer)
        await bus.publish_stored(subject, b"a word", message_id="one")
        await bus.close()
    house = [(subject, name in said_by(which, told)) for which, subject, told in house_subjects()]
    own = [subject for subject, is_own in house if is_own]
    asked = [f"{api_prefix(name)}.{one}" for one in interface() if may_ask(name, one)]
    targets = [subject for subject, is_own in house if not is_own]
    looking = await connected(walled, tmp_path, "operator")
    before = await stored(looking)
    async with Stranger(walled, tmp_path, name) as client:
        for target in targets:
            assert await client.said([*own, *asked], reply=target) == {*own, *asked}
    after = await stored(looking)
    await looking.close()
    assert {subject for subject in after if after[subject] != before.get(subject)} <= set(own)
