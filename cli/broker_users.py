"""Who may say and hear what on the broker: one user per service, known by the public half of a key.

Nothing is allowed that is not listed. Every identity has an inbox of its own that nobody else
hears, and only `provision` may make streams; nobody may delete or purge one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from libs.common.messages import subjects
from libs.common.messages.account import Verb
from libs.common.runtime.provisioning import (
    RISK_CONSUMER,
    SIGNAL_CONSUMER,
    command_consumer,
    execution_consumer,
)

SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
#: Whoever else has an identity: what makes the streams, and a person at the command line.
IDENTITIES = (*SERVICES, "provision", "operator")
#: What each identity calls itself to the broker; its inboxes are named for that.
_NAMES = {"operator": ("export", "operator")}
_ANSWERS = "$JS.API"
_MARKET = "market.>"


@dataclass(frozen=True)
class Rights:
    """Subjects that an identity may publish on and subscribe to."""

    says: tuple[str, ...]
    hears: tuple[str, ...]


def rights(account: str) -> dict[str, Rights]:
    """The rights of every identity, for one trading account."""
    command, state = subjects.command(account, ">"), subjects.account_state(account)
    report, request = subjects.reconcile_report(account), subjects.reconcile_request(account)
    journal = subjects.journal(account)
    own = {
        "feed": Rights((_MARKET, _reads(subjects.MARKET_STREAM)), ()),
        "signal": Rights(
            (
                subjects.intent_proposed("*"),
                _reads(subjects.MARKET_STREAM),
                *_pulls(subjects.MARKET_STREAM, SIGNAL_CONSUMER),
            ),
            (_MARKET,),
        ),
        "risk": Rights(
            (
                subjects.intent_approved(account, "*"),
                subjects.intent_verdict("*"),
                subjects.intent_refused("*"),
                subjects.command(account, Verb.REDUCE),
                _reads(subjects.INTENTS_DONE_STREAM),
                *_pulls(subjects.INTENTS_STREAM, RISK_CONSUMER),
            ),
            (_MARKET, state),
        ),
        "execution": Rights(
            (
                journal,
                subjects.snapshot(account),
                subjects.journal_head(account),
                state,
                subjects.intent_refused("*"),
                subjects.ROLL_CALL,
                request,
                _reads(subjects.JOURNAL_STREAM),
                _reads(subjects.SNAPSHOTS_STREAM),
                _reads(subjects.INTENTS_DONE_STREAM),
                *_pulls(subjects.INTENTS_STREAM, execution_consumer(account)),
                *_pulls(subjects.COMMANDS_STREAM, command_consumer(account)),
            ),
            (_MARKET, report, journal, subjects.HELLOS),
        ),
        "reconciler": Rights(
            (report, command, _reads(subjects.REPORTS_STREAM)),
            (subjects.MARKET_CLOCK, state, request),
        ),
        "provision": Rights(
            tuple(
                f"{_ANSWERS}.{verb}.>"
                for verb in (
                    "STREAM.CREATE",
                    "STREAM.UPDATE",
                    "CONSUMER.CREATE",
                    "CONSUMER.DURABLE.CREATE",
                )
            ),
            (),
        ),
        "operator": Rights(
            (request, f"{_ANSWERS}.STREAM.MSG.GET.>"), (_MARKET, state, report, journal, "dead.>")
        ),
    }
    return {name: _with_what_all_may(name, found) for name, found in own.items()}


def broker_users(account: str, public_keys: Mapping[str, str]) -> str:
    """The `authorization` part of the broker's configuration. It holds no secret."""
    lines = ["# Written by `portcullis keys`; says who may say and hear what.", "authorization {"]
    lines.append("  users = [")
    for name, found in rights(account).items():
        lines.append(f"    # {name}")
        lines.append(f"    {{ nkey: {public_keys[name]}, permissions: {{")
        lines.append(f"        publish: {{ allow: {json.dumps(found.says)} }}")
        lines.append(f"        subscribe: {{ allow: {json.dumps(found.hears)} }}")
        lines.append("    } }")
    return "\n".join([*lines, "  ]", "}", ""])


def _with_what_all_may(name: str, own: Rights) -> Rights:
    names = _NAMES.get(name, (name,))
    says = [f"{_ANSWERS}.STREAM.INFO.*", f"{_ANSWERS}.CONSUMER.INFO.>", *own.says]
    hears = [*(f"_INBOX_{inbox}.>" for inbox in names), *own.hears]
    if name in SERVICES:
        says += [subjects.hello(name), subjects.dead(name)]
        hears += [subjects.ROLL_CALL]
        if _MARKET not in own.hears and subjects.MARKET_CLOCK not in own.hears:
            hears += [subjects.MARKET_CLOCK]
    return Rights(tuple(says), tuple(hears))


def _reads(stream: str) -> str:
    return f"{_ANSWERS}.STREAM.MSG.GET.{stream}"


def _pulls(stream: str, durable: str) -> tuple[str, str]:
    return f"{_ANSWERS}.CONSUMER.MSG.NEXT.{stream}.{durable}", f"$JS.ACK.{stream}.{durable}.>"
