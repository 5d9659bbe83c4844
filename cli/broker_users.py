"""Who may say and hear what on the broker, as the `accounts` part of its configuration.

Each identity is a user of its own, known by the public half of a key, with an inbox that nobody
else hears. Nothing is allowed that is not listed, and nobody may delete or purge a stream.

Each has a zone of its own, which the broker calls an account. Permissions alone would not do:
whoever may ask for an answer names the subject of the answer, and the broker does not look whether
he might have published there. Between accounts such a subject leads nowhere. The streams are in
`CORE`, execution's zone; what another may do there is forwarded subject by subject, and of the
broker's own interface by the names of the streams and consumers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from libs.common.messages import subjects
from libs.common.messages.account import Verb
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import (
    RISK_CONSUMER,
    SIGNAL_CONSUMER,
    bucket_configs,
    bucket_stream,
    command_consumer,
    consumer_configs,
    execution_consumer,
    stream_configs,
)

SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
#: Whoever else has an identity: what makes the streams, and a person at the command line.
IDENTITIES = (*SERVICES, "provision", "operator")
CORE = "CORE"
#: An order waits for the journal's answer, which another zone would make later: execution is where
#: the streams are.
ZONES = {name: CORE if name == "execution" else name.upper() for name in IDENTITIES}
#: What each identity calls itself to the broker, where that is not its name.
_CLIENTS = {"operator": "export"}
_API = "$JS.API"
#: The reconciler takes risk away and repairs; it lets nothing back in.
_REMEDIES = (Verb.HALT, Verb.REDUCE, Verb.ADOPT, Verb.CANCEL_ORPHAN, Verb.ASSERT_SETTINGS)
#: Under this name the other zones know CORE's JetStream (`bus.api_prefix`).
API_ELSEWHERE = "CORE.API"


@dataclass(frozen=True)
class Rights:
    """What one identity may do.

    Attributes:
        stores: subjects of streams, which answer that they stored it, and acknowledgements.
        asks: JetStream's interface, without its prefix; a pull has more than one answer.
        says: subjects that nothing stores, for whoever hears them.
        hears: what it subscribes to, letter by letter: it covers subjects that others say.
    """

    stores: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()


def rights(account: str) -> dict[str, Rights]:
    """The rights of every identity, for one trading account."""
    own = _deciding(account) | _acting(account)
    return {name: _with_what_all_may(name, found, account) for name, found in own.items()}


def _deciding(account: str) -> dict[str, Rights]:
    """From the market to a verdict."""
    quote, mark = subjects.quote("*"), subjects.mark("*")
    state = subjects.account_state(account)
    return {
        "feed": Rights(
            stores=(subjects.candle("*", "*"), subjects.lease("*")),
            asks=(_get(subjects.MARKET_STREAM), _get(subjects.LEASE_STREAM)),
            says=(
                quote,
                mark,
                subjects.trade("*"),
                subjects.depth("*"),
                subjects.MARKET_HEALTH,
                subjects.MARKET_CLOCK,
            ),
        ),
        "signal": Rights(
            stores=(
                subjects.intent_proposed("*"),
                _acks(subjects.MARKET_STREAM, SIGNAL_CONSUMER),
            ),
            asks=(
                _get(subjects.MARKET_STREAM),
                _next(subjects.MARKET_STREAM, SIGNAL_CONSUMER),
            ),
        ),
        "risk": Rights(
            stores=(
                subjects.intent_approved(account, "*"),
                subjects.intent_verdict("*"),
                subjects.intent_refused("*"),
                subjects.command(account, Verb.REDUCE),
                subjects.command(account, Verb.LIMITS),
                _acks(subjects.INTENTS_STREAM, RISK_CONSUMER),
            ),
            asks=(
                _get(subjects.INTENTS_DONE_STREAM),
                _next(subjects.INTENTS_STREAM, RISK_CONSUMER),
            ),
            hears=(quote, mark, subjects.MARKET_HEALTH, state),
        ),
    }


def _acting(account: str) -> dict[str, Rights]:
    """Whoever keeps the truth, compares it, makes its place, or looks at it."""
    state, journal = subjects.account_state(account), subjects.journal(account)
    report, request = subjects.reconcile_report(account), subjects.reconcile_request(account)
    state_request, mark = subjects.account_state_request(account), subjects.mark("*")
    return {
        "execution": Rights(
            stores=(
                journal,
                subjects.snapshot(account),
                subjects.journal_head(account),
                subjects.intent_refused("*"),
                _acks(subjects.INTENTS_STREAM, execution_consumer(account)),
                _acks(subjects.COMMANDS_STREAM, command_consumer(account)),
            ),
            asks=(
                _get(subjects.JOURNAL_STREAM),
                _get(subjects.SNAPSHOTS_STREAM),
                _get(subjects.INTENTS_DONE_STREAM),
                _next(subjects.INTENTS_STREAM, execution_consumer(account)),
                _next(subjects.COMMANDS_STREAM, command_consumer(account)),
            ),
            says=(state, subjects.ROLL_CALL, request),
            # The report and the journal are stored in its own zone, where it hears them go by.
            hears=(
                mark,
                subjects.MARKET_HEALTH,
                report,
                journal,
                state_request,
                subjects.HELLOS,
            ),
        ),
        "reconciler": Rights(
            stores=(report, *(subjects.command(account, verb) for verb in _REMEDIES)),
            asks=(_get(subjects.REPORTS_STREAM), _get(subjects.JOURNAL_STREAM)),
            says=(state_request,),
            hears=(state, request),
        ),
        "provision": Rights(asks=_makes(account)),
        "operator": Rights(asks=tuple(_get(name) for name in _streams())),
    }


def broker_users(account: str, public_keys: Mapping[str, str]) -> str:
    """The `accounts` part of the broker's configuration. It holds no secret."""
    own = rights(account)
    lines = ["# Written by `portcullis keys`: who may say and hear what.", "accounts {"]
    for name, zone in ZONES.items():
        lines += [f"  {zone} {{"]
        if zone == CORE:
            lines += ["    jetstream: enabled"]
        lines += ["    users = [", _user(name, own[name], public_keys[name]), "    ]"]
        lines += ["    exports = [", *_exports(name, own), "    ]"]
        lines += ["    imports = [", *_imports(name, own), "    ]", "  }"]
    return "\n".join([*lines, "}", ""])


def api_prefix(name: str) -> str:
    """What JetStream's interface is called where an identity lives (`bus.api_prefix`)."""
    return _API if ZONES[name] == CORE else API_ELSEWHERE


def _user(name: str, own: Rights, public_key: str) -> str:
    says = [*own.stores, *(f"{api_prefix(name)}.{asked}" for asked in own.asks), *own.says]
    hears = [f"_INBOX_{_CLIENTS.get(name, name)}.>", *own.hears]
    return (
        f"      # {name}\n      {{ nkey: {public_key}, permissions: {{\n"
        f"          publish: {{ allow: {json.dumps(says)} }}\n"
        f"          subscribe: {{ allow: {json.dumps(hears)} }} }} }}"
    )


def _exports(name: str, own: Mapping[str, Rights]) -> list[str]:
    """What others may hear of an identity and, of the one in CORE, ask for."""
    lines = []
    for subject in own[name].says:
        zones = [ZONES[other] for other in own if other != name and _hears(own[other], subject)]
        if zones:
            lines += [f"      {{ stream: {_text(subject)}, accounts: {json.dumps(zones)} }}"]
    if ZONES[name] != CORE:
        return lines
    wanted: dict[str, list[str]] = {}
    for other, found in own.items():
        if other != name:
            for subject in (*found.stores, *(f"{_API}.{asked}" for asked in found.asks)):
                wanted.setdefault(subject, []).append(ZONES[other])
    for subject, zones in wanted.items():
        many = ", response_type: stream" if ".MSG.NEXT." in subject else ""
        allowed = json.dumps(zones)
        lines += [f"      {{ service: {_text(subject)}, accounts: {allowed}{many} }}"]
    return lines


def _imports(name: str, own: Mapping[str, Rights]) -> list[str]:
    """What an identity hears of others, and what of CORE it may ask for."""
    lines = [
        f"      {{ stream: {{ account: {ZONES[other]}, subject: {_text(subject)} }} }}"
        for other in own
        for subject in own[other].says
        if other != name and _hears(own[name], subject)
    ]
    if ZONES[name] == CORE:
        return lines
    lines += [_forward(subject) for subject in own[name].stores]
    asked = own[name].asks
    return lines + [_forward(f"{_API}.{one}", f"{API_ELSEWHERE}.{one}") for one in asked]


def _forward(theirs: str, ours: str = "") -> str:
    """One subject of CORE that a zone may publish on, perhaps under another name."""
    renamed = f", to: {_text(ours)}" if ours else ""
    return f"      {{ service: {{ account: {CORE}, subject: {_text(theirs)} }}{renamed} }}"


def _with_what_all_may(name: str, own: Rights, account: str) -> Rights:
    """Look whether the streams are there; of services also: say hello, and set a letter aside."""
    looks = [f"STREAM.INFO.{stream}" for stream in _streams()]
    looks += [
        f"CONSUMER.INFO.{stream}.{consumer.durable_name}"
        for stream, consumer in consumer_configs(account, BusConfig())
    ]
    stores, says, hears = own.stores, own.says, own.hears
    if name in SERVICES:
        stores = (*stores, subjects.dead(name))
        says = (*says, subjects.hello(name))
        hears = (*hears, subjects.ROLL_CALL, subjects.MARKET_CLOCK)
    return Rights(stores=stores, asks=(*own.asks, *looks), says=says, hears=hears)


def _makes(account: str) -> tuple[str, ...]:
    """Making each stream, bucket and consumer that there is to be, and adjusting those."""
    buckets = [bucket_stream(config.bucket) for config in bucket_configs(BusConfig())]
    consumers = consumer_configs(account, BusConfig())
    return (
        *(f"STREAM.INFO.{bucket}" for bucket in buckets),
        *(f"STREAM.CREATE.{stream}" for stream in (*_streams(), *buckets)),
        *(f"STREAM.UPDATE.{stream}" for stream in (*_streams(), *buckets)),
        *(f"CONSUMER.DURABLE.CREATE.{stream}.{made.durable_name}" for stream, made in consumers),
    )


def _hears(own: Rights, said: str) -> bool:
    return any(_covers(heard, said) for heard in own.hears)


def _covers(heard: str, said: str) -> bool:
    """Whether a subscription hears a subject; `*` stands for one word of it."""
    words = zip(heard.split("."), said.split("."), strict=False)
    return heard.count(".") == said.count(".") and all(
        theirs in ("*", ours) for theirs, ours in words
    )


def _streams() -> tuple[str, ...]:
    return tuple(str(config.name) for config in stream_configs())


def _text(subject: str) -> str:
    return json.dumps(subject)


def _get(stream: str) -> str:
    return f"STREAM.MSG.GET.{stream}"


def _next(stream: str, durable: str) -> str:
    return f"CONSUMER.MSG.NEXT.{stream}.{durable}"


def _acks(stream: str, durable: str) -> str:
    return f"$JS.ACK.{stream}.{durable}.>"
