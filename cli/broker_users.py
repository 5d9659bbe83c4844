"""Who may say and hear what on the broker, as the `accounts` part of its configuration.

Each identity is a user of its own, known by the public half of a key, with an inbox that nobody
else hears. Nothing is allowed that is not listed, and nobody may delete or purge a stream.

The users live in zones, which the broker calls accounts. Permissions alone would not do: whoever
may ask for an answer names the subject of the answer, and the broker does not look whether he might
have published there. Between accounts such a subject leads nowhere. The streams are in `CORE`;
what another zone may do there is forwarded subject by subject, never with a wildcard of the
broker's own interface.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from libs.common.messages import subjects
from libs.common.messages.account import Verb
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import (
    RISK_CONSUMER,
    SIGNAL_CONSUMER,
    command_consumer,
    consumer_configs,
    execution_consumer,
    stream_configs,
)

SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
#: Whoever else has an identity: what makes the streams, and a person at the command line.
IDENTITIES = (*SERVICES, "provision", "operator")
CORE = "CORE"
ZONES = {
    CORE: ("execution", "provision"),
    "EDGE": ("feed", "signal"),
    "RISK": ("risk",),
    "RECONCILER": ("reconciler",),
    "DESK": ("operator",),
}
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
            stores=("market.candle.>",),
            asks=(_get(subjects.MARKET_STREAM),),
            says=(quote, mark, subjects.trade("*"), subjects.MARKET_HEALTH, subjects.MARKET_CLOCK),
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
                _acks(subjects.INTENTS_STREAM, RISK_CONSUMER),
            ),
            asks=(
                _get(subjects.INTENTS_DONE_STREAM),
                _next(subjects.INTENTS_STREAM, RISK_CONSUMER),
            ),
            hears=(quote, mark, state),
        ),
    }


def _acting(account: str) -> dict[str, Rights]:
    """Whoever keeps the truth, compares it, makes its place, or looks at it."""
    state, journal = subjects.account_state(account), subjects.journal(account)
    report, request = subjects.reconcile_report(account), subjects.reconcile_request(account)
    mark = subjects.mark("*")
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
            hears=(mark, report, journal, subjects.HELLOS),
        ),
        "reconciler": Rights(
            stores=(report, *(subjects.command(account, verb) for verb in _REMEDIES)),
            asks=(_get(subjects.REPORTS_STREAM),),
            hears=(state, request),
        ),
        "provision": Rights(
            asks=(
                "STREAM.CREATE.*",
                "STREAM.UPDATE.*",
                "CONSUMER.CREATE.>",
                "CONSUMER.DURABLE.CREATE.>",
            ),
        ),
        "operator": Rights(asks=tuple(_get(name) for name in _streams())),
    }


def broker_users(account: str, public_keys: Mapping[str, str]) -> str:
    """The `accounts` part of the broker's configuration. It holds no secret."""
    own = rights(account)
    zone_of = {name: zone for zone, names in ZONES.items() for name in names}
    said_in = {subject: zone_of[name] for name in own for subject in own[name].says}
    lines = ["# Written by `portcullis keys`: who may say and hear what.", "accounts {"]
    for zone, names in ZONES.items():
        lines += [f"  {zone} {{"]
        if zone == CORE:
            lines += ["    jetstream: enabled"]
        lines += ["    users = ["]
        lines += [_user(name, own[name], zone, public_keys[name]) for name in names]
        lines += ["    ]", "    exports = [", *_exports(zone, own, zone_of, said_in), "    ]"]
        lines += ["    imports = [", *_imports(zone, own, said_in), "    ]", "  }"]
    return "\n".join([*lines, "}", ""])


def _user(name: str, own: Rights, zone: str, public_key: str) -> str:
    prefix = _API if zone == CORE else API_ELSEWHERE
    says = [*own.stores, *(f"{prefix}.{asked}" for asked in own.asks), *own.says]
    hears = [f"_INBOX_{_CLIENTS.get(name, name)}.>", *own.hears]
    return (
        f"      # {name}\n      {{ nkey: {public_key}, permissions: {{\n"
        f"          publish: {{ allow: {json.dumps(says)} }}\n"
        f"          subscribe: {{ allow: {json.dumps(hears)} }} }} }}"
    )


def _exports(
    zone: str, own: Mapping[str, Rights], zone_of: Mapping[str, str], said_in: Mapping[str, str]
) -> list[str]:
    """What other zones may hear of this one and, of CORE, ask for."""
    hearers = {subject: _hearers(subject, zone, own, zone_of) for subject in said_in}
    lines = [
        f"      {{ stream: {json.dumps(subject)}, accounts: {json.dumps(zones)} }}"
        for subject, zones in hearers.items()
        if said_in[subject] == zone and zones
    ]
    if zone != CORE:
        return lines
    wanted: dict[str, set[str]] = {}
    for name, found in own.items():
        for subject in (*found.stores, *(f"{_API}.{asked}" for asked in found.asks)):
            if zone_of[name] != CORE:
                wanted.setdefault(subject, set()).add(zone_of[name])
    for subject, zones in wanted.items():
        many = ", response_type: stream" if ".MSG.NEXT." in subject else ""
        allowed = json.dumps(sorted(zones))
        lines.append(f"      {{ service: {json.dumps(subject)}, accounts: {allowed}{many} }}")
    return lines


def _hearers(
    subject: str, zone: str, own: Mapping[str, Rights], zone_of: Mapping[str, str]
) -> list[str]:
    found = {
        zone_of[name]
        for name, rights_of in own.items()
        if any(_covers(heard, subject) for heard in rights_of.hears)
    }
    return sorted(found - {zone})


def _imports(zone: str, own: Mapping[str, Rights], said_in: Mapping[str, str]) -> list[str]:
    names = ZONES[zone]
    heard = _once(subject for name in names for subject in own[name].hears)
    lines = [
        f"      {{ stream: {{ account: {said_in[subject]}, subject: {json.dumps(subject)} }} }}"
        for subject in said_in
        if said_in[subject] != zone and any(_covers(one, subject) for one in heard)
    ]
    if zone == CORE:
        return lines
    stored = _once(subject for name in names for subject in own[name].stores)
    asked = _once(asked for name in names for asked in own[name].asks)
    lines += [_forward(subject) for subject in stored]
    lines += [_forward(f"{_API}.{found}", f"{API_ELSEWHERE}.{found}") for found in asked]
    return lines


def _forward(theirs: str, ours: str = "") -> str:
    """One subject of CORE that a zone may publish on, perhaps under another name."""
    renamed = f", to: {json.dumps(ours)}" if ours else ""
    return f"      {{ service: {{ account: {CORE}, subject: {json.dumps(theirs)} }}{renamed} }}"


def _with_what_all_may(name: str, own: Rights, account: str) -> Rights:
    """Look whether the streams are there; of services also: say hello, and set a letter aside."""
    looks = [f"STREAM.INFO.{stream}" for stream in _streams()]
    looks += [
        f"CONSUMER.INFO.{stream}.{consumer.durable_name}"
        for stream, consumer in consumer_configs(account, BusConfig())
    ]
    if name == "provision":
        looks += [f"STREAM.INFO.KV_{subjects.VIEW_BUCKET}"]
    stores, says, hears = own.stores, own.says, own.hears
    if name in SERVICES:
        stores = (*stores, subjects.dead(name))
        says = (*says, subjects.hello(name))
        hears = (*hears, subjects.ROLL_CALL, subjects.MARKET_CLOCK)
    return Rights(stores=stores, asks=(*own.asks, *looks), says=says, hears=hears)


def _covers(heard: str, said: str) -> bool:
    """Whether a subscription hears a subject; `*` stands for one word of it."""
    words = zip(heard.split("."), said.split("."), strict=False)
    return heard.count(".") == said.count(".") and all(
        theirs in ("*", ours) for theirs, ours in words
    )


def _streams() -> tuple[str, ...]:
    return tuple(str(config.name) for config in stream_configs())


def _once(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))


def _get(stream: str) -> str:
    return f"STREAM.MSG.GET.{stream}"


def _next(stream: str, durable: str) -> str:
    return f"CONSUMER.MSG.NEXT.{stream}.{durable}"


def _acks(stream: str, durable: str) -> str:
    return f"$JS.ACK.{stream}.{durable}.>"
