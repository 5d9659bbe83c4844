"""Audit events: what the journal says, one flat line per fact, for people who read no journal.

They are a pure projection of the journal's records: whoever projects the same records gets the same
bytes. A line is JSON with its own hash at the end; ``prev_hash`` names the line before it, over all
files, so that no line can be changed, removed or moved without being found.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from libs.common.messages.algo_events import AlgoOrderRecorded, AlgoOrderUpdated
from libs.common.messages.audit_events import ApiErrorReported, KillProven, ReadRecovered
from libs.common.messages.codec import UndecodableError, decode_struct, encode
from libs.common.messages.guard_events import LatchKind
from libs.common.messages.journal import (
    BalanceObserved,
    JournalEvent,
    JournalRecord,
    OrderAnswered,
    OrderRecorded,
    OrderUpdated,
    TradingStateChanged,
)
from libs.common.model.order import OrderStatus
from libs.common.model.trading_state import TradingState

#: Raised whenever the same journal would give other lines than before.
AUDIT_SCHEMA_VERSION = 1
ANCHOR, SEAL = "audit.anchor", "audit.seal"
#: Orders and intents remembered, so that a later word on one can be told with its strategy.
ORIGINS_MAX = 10_000
HASH_LENGTH = 64
_HASH_KEY = b',"hash":"'
_HASH_TAIL = len(_HASH_KEY) + HASH_LENGTH + len(b'"}')
#: Who acted where no person did.
GATE_ACTOR = "execution"


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the export, without its own hash.

    Attributes:
        event_id: derived from the account, the record and the place in it.
        ts_event_ns: market time (UTC nanoseconds) of the record.
        journal_number, journal_hash: the record it was told by, and the hash of its bytes.
        journal_index, journal_events: which of how many lines of that record this is, from 0.
        actor: the person or service that asked; ``execution`` where the gate acted by itself.
        intent_id, strategy_id, parameter_hash, model_hash: what the order goes back to, as far as
            the last ``ORIGINS_MAX`` orders tell.
        payload: the journal's event, byte for byte.
        prev_hash: the hash of the line before.
    """

    schema_version: int
    event_id: str
    event_type: str
    ts_event_ns: int
    ts_wall_ns: int
    app_version: str
    config_hash: str
    account: str
    journal_number: int
    journal_hash: str
    journal_index: int
    journal_events: int
    causation_id: str
    correlation_id: str
    actor: str
    reason: str
    intent_id: str
    strategy_id: str
    parameter_hash: str
    model_hash: str | None
    symbol: str
    client_order_id: str
    client_algo_id: str
    venue_order_id: int
    payload: msgspec.Raw
    prev_hash: str


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wish that an order goes back to."""

    intent_id: str = ""
    strategy_id: str = ""
    parameter_hash: str = ""
    model_hash: str | None = None
    symbol: str = ""


class _RawRecord(msgspec.Struct, frozen=True):
    events: tuple[msgspec.Raw, ...]


class AuditLine(NamedTuple):
    """A line as bytes (without its end), and its hash."""

    raw: bytes
    hash: str


def close_line(event: AuditEvent) -> AuditLine:
    """The canonical bytes of an event, with the hash of everything before it at the end."""
    body = encode(event)[:-1]
    own = hashlib.sha256(body).hexdigest()
    return AuditLine(body + _HASH_KEY + own.encode() + b'"}', own)


def read_line(raw: bytes) -> tuple[AuditEvent, str]:
    """Read a line and check that its hash is that of its bytes.

    Raises:
        UndecodableError: it is no line of ours, or was changed.
    """
    body, tail = raw[:-_HASH_TAIL], raw[-_HASH_TAIL:]
    if not (tail.startswith(_HASH_KEY) and tail.endswith(b'"}')):
        raise UndecodableError("the line does not end with its hash")
    own = hashlib.sha256(body).hexdigest()
    if tail[len(_HASH_KEY) : -2] != own.encode():
        raise UndecodableError("its hash is not that of its bytes")
    return decode_struct(body + b"}", AuditEvent), own


# -- what each event is called -------------------------------------------------------------------

_STATE_TYPES = {
    TradingState.ACTIVE: "trading.resumed",
    TradingState.REDUCING: "trading.reduced",
    TradingState.HALTED: "trading.halted",
}
_RATE_LIMITS = {kind.value for kind in LatchKind} - {LatchKind.OVERLOADED.value}


def _order_type(event: OrderAnswered | OrderUpdated) -> str:
    is_placed = event.status in (
        OrderStatus.OPEN,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.FILLED,
    )
    if isinstance(event, OrderAnswered) and event.sent_wall_ns and is_placed:
        return "order.placed"
    return f"order.{event.status.value.lower()}"


def _algo_type(event: AlgoOrderUpdated) -> str:
    return f"algo_order.{event.status.value.lower()}"


def _balance_type(event: BalanceObserved) -> str:
    return "balance.reported" if event.available_balance is None else "balance.queried"


def _error_type(event: ApiErrorReported) -> str:
    is_limit = event.outcome == "throttled" and event.reason in _RATE_LIMITS
    return "rate_limit.hit" if is_limit else "api.error"


def _state_type(event: TradingStateChanged) -> str:
    return _STATE_TYPES[event.state]


def _recovered_type(event: ReadRecovered) -> str:
    return "retry.succeeded" if event.succeeded else "retry.gave_up"


def _kill_type(event: KillProven) -> str:
    return "kill.proven" if event.is_complete else "kill.incomplete"


#: A name, several (one line each), or what tells it from the event's fields.
EVENT_TYPES: dict[str, str | tuple[str, ...] | Callable[..., str]] = {
    "IntentRefusedByGate": "intent.refused",
    "OrderRecorded": "order.recorded",
    "OrderResigned": "order.resigned",
    "OrderCancelRequested": "order.cancel_requested",
    "OrderModifyRequested": "order.modify_requested",
    "OrderModified": "order.modified",
    "OrderAnswered": _order_type,
    "OrderRejected": "order.rejected",
    "OrderBecameUnknown": "order.unknown",
    "OrderNotPlaced": "order.not_placed",
    "OrderUpdated": _order_type,
    "FillReceived": "fill.received",
    "BalanceObserved": _balance_type,
    "InstrumentsLoaded": "filters.loaded",
    "LeverageAsserted": ("leverage.set", "margin_type.set"),
    "TradingStateChanged": _state_type,
    "CooldownStarted": "cooldown.started",
    "SafeModeEntered": "safe_mode.entered",
    "VenueLatched": "venue.latched",
    "GuardCleared": "guard.cleared",
    "AlgoOrderRecorded": "algo_order.recorded",
    "AlgoOrderUpdated": _algo_type,
    "AlgoCancelRequested": "algo_order.cancel_requested",
    "ProtectionFailed": "protection.failed",
    "ApiErrorReported": _error_type,
    "ReadRetried": "retry.attempted",
    "ReadRecovered": _recovered_type,
    "VenueUsageObserved": "venue.usage",
    "PositionsObserved": "position.queried",
    "IncomeReceived": "account.income",
    "OperatorActed": "operator.acted",
    "KillProven": _kill_type,
    "OrderForgotten": "order.forgotten",
    "OrphanCanceled": "orphan.cancel_answered",
    "PositionAdopted": "position.adopted",
    "RiskLimitsSet": "risk_limits.set",
}


def event_types(event: JournalEvent) -> tuple[str, ...]:
    """What the lines of an event are called; one that has no name here goes by its own."""
    name = type(event).__name__
    told = EVENT_TYPES.get(name, f"journal.{name}")
    if callable(told):
        return (told(event),)
    return (told,) if isinstance(told, str) else told


# -- the projection ------------------------------------------------------------------------------


class Origins:
    """Which wish an order goes back to: the newest ``ORIGINS_MAX``, by client id and intent id."""

    def __init__(self, known: dict[str, Origin] | None = None) -> None:
        self.known = known if known is not None else {}

    def learn(self, event: JournalEvent) -> Origin:
        """Remember what an event says of its origin, and return what is known of it."""
        intent = getattr(event, "intent", None)
        if intent is not None:
            origin = Origin(
                intent_id=intent.intent_id,
                strategy_id=intent.strategy_id,
                parameter_hash=intent.parameter_hash,
                model_hash=intent.model_hash,
                symbol=intent.symbol,
            )
            self._keep(intent.intent_id, origin)
            if isinstance(event, OrderRecorded):
                self._keep(event.client_order_id, origin)
            return origin
        if isinstance(event, AlgoOrderRecorded):
            origin = self._find(event.intent_id) or Origin(intent_id=event.intent_id)
            self._keep(event.client_algo_id, origin)
            return origin
        for name in ("client_order_id", "client_algo_id", "intent_id"):
            origin_known = self._find(getattr(event, name, ""))
            if origin_known is not None:
                return origin_known
        return Origin(intent_id=getattr(event, "intent_id", ""))

    def _find(self, key: str) -> Origin | None:
        origin = self.known.get(key) if key else None
        if origin is not None:  # what is spoken of stays known longest
            self._keep(key, origin)
        return origin

    def _keep(self, key: str, origin: Origin) -> None:
        self.known.pop(key, None)
        self.known[key] = origin
        if len(self.known) > ORIGINS_MAX:
            del self.known[next(iter(self.known))]


def project(
    raw: bytes, record: JournalRecord, journal_hash: str, origins: Origins
) -> tuple[AuditEvent, ...]:
    """The audit events of one record, not chained yet.

    Args:
        raw: the record's bytes, whose events are passed on as they are.
        origins: what earlier records told; learns what this one tells.

    Raises:
        UndecodableError: the bytes are no record.
    """
    payloads = decode_struct(raw, _RawRecord).events
    told = [
        (event_type, event, payload, origins.learn(event))
        for event, payload in zip(record.events, payloads, strict=True)
        for event_type in event_types(event)
    ]
    return tuple(
        AuditEvent(
            schema_version=AUDIT_SCHEMA_VERSION,
            event_id=f"{record.account}-{record.number}-{index}-{journal_hash[:12]}",
            event_type=event_type,
            ts_event_ns=record.ts_event_ns,
            ts_wall_ns=record.ts_wall_ns,
            app_version=record.app_version,
            config_hash=record.config_hash,
            account=record.account,
            journal_number=record.number,
            journal_hash=journal_hash,
            journal_index=index,
            journal_events=len(told),
            causation_id=record.causation_id,
            correlation_id=record.correlation_id,
            actor=str(getattr(event, "actor", "")) or GATE_ACTOR,
            reason=_reason_of(event),
            intent_id=origin.intent_id,
            strategy_id=origin.strategy_id,
            parameter_hash=origin.parameter_hash,
            model_hash=origin.model_hash,
            symbol=str(getattr(event, "symbol", "")) or origin.symbol,
            client_order_id=str(getattr(event, "client_order_id", "")),
            client_algo_id=str(getattr(event, "client_algo_id", "")),
            venue_order_id=int(getattr(event, "venue_order_id", 0)),
            payload=payload,
            prev_hash="",
        )
        for index, (event_type, event, payload, origin) in enumerate(told)
    )


def _reason_of(event: JournalEvent) -> str:
    """Why, in the event's own words: reasons first, then causes, evidence, the venue's message."""
    for name in ("reason", "why", "cause", "evidence", "message"):
        word = str(getattr(event, name, "") or "")
        if word:
            return word
    return ""
