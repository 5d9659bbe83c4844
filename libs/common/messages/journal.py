"""The journal's records: everything the gate knows, and the chain that proves none is missing.

A record is one message on ``journal.<account>``. ``prev_hash`` is the SHA-256 of the raw bytes of
the record before it, so that an exported copy can be checked offline.
"""

import hashlib
from decimal import Decimal

import msgspec

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.audit_events import (
    ApiErrorReported,
    KillProven,
    OperatorActed,
    OrphanCanceled,
    PositionAdopted,
    PositionsObserved,
    ReadRecovered,
    ReadRetried,
    VenueUsageObserved,
)
from libs.common.messages.envelope import SCHEMA_VERSION
from libs.common.messages.event import Event
from libs.common.messages.guard_events import (
    CooldownStarted,
    GuardCleared,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.limit_events import RiskLimitsSet
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent
from libs.common.model.order import OrderRequest, OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict

GENESIS_HASH = "0" * 64


class IntentRefusedByGate(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The gate refused an approved intent. Terminal."""

    intent: Intent
    reason: Reason
    verdicts: tuple[Verdict, ...]


class OrderRecorded(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """An order was decided and may now be sent: lock, idempotency, margin booking in one.

    Attributes:
        margin_reserved: quote currency held until the order ends.
        reference_price: the price the margin was reckoned at.
        timestamp_ms: the venue timestamp the order is signed with; bounds a late arrival.
        recv_window_ms: how long after ``timestamp_ms`` the venue may still accept it.
        lock_until_ns: market time at which the lock on symbol and side ends by itself.
        verdicts_risk, verdicts: what risk and the gate found.
        writer: the process that recorded it and may send it; others leave it alone for a while.
        expires_at_ns: market time after which it may not be sent; 0 for orders of our own making.
        slippage_predicted_bps: by how much risk expected the fills to be worse than the intent's
            reference price; ``None`` where it did not say.
    """

    client_order_id: str
    attempt: int
    intent: Intent
    order: OrderRequest
    reference_price: Decimal
    margin_reserved: Decimal
    timestamp_ms: int
    recv_window_ms: int
    lock_until_ns: int
    verdicts_risk: tuple[Verdict, ...]
    verdicts: tuple[Verdict, ...]
    writer: str = ""
    expires_at_ns: int = 0
    slippage_predicted_bps: Decimal | None = None


class OrderResigned(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue refused the timestamp: our clock was set anew and the order may be sent once more.

    The refusal proves that the first request did nothing; the new timestamp bounds the second.
    """

    client_order_id: str
    timestamp_ms: int
    offset_ms: int


class OrderCancelRequested(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A cancel is about to be sent: who wants it, and why."""

    client_order_id: str
    actor: str
    why: str


class OrderModifyRequested(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A change of an open limit order is about to be sent."""

    client_order_id: str
    quantity: Decimal
    price: Decimal
    actor: str
    why: str


class OrderModified(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue holds a limit order at another quantity and price than before."""

    client_order_id: str
    quantity: Decimal
    price: Decimal


class OrderAnswered(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue took the order (or told its state when asked).

    Attributes:
        sent_wall_ns: wall time at which the request left; 0 if this is the answer to a query.
        answered_wall_ns: wall time at which the answer was read.
    """

    client_order_id: str
    venue_order_id: int
    status: OrderStatus
    cumulative_quantity: Decimal
    sent_wall_ns: int = 0
    answered_wall_ns: int = 0


class OrderRejected(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue provably refused the order. Terminal."""

    client_order_id: str
    reason: str
    code: int
    message: str
    sent_wall_ns: int = 0
    answered_wall_ns: int = 0


class OrderBecameUnknown(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """No answer, or none that could be read: only evidence can end this."""

    client_order_id: str
    why: str
    sent_wall_ns: int = 0


class OrderNotPlaced(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Evidence shows that the venue never took the order and can no longer. Terminal."""

    client_order_id: str
    evidence: str


class OrderForgotten(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue took the order and knows it no more, nor lists it: it is over. Terminal.

    What it filled is told by its trades.
    """

    client_order_id: str
    evidence: str


class OrderUpdated(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue reported a change of an order's state."""

    client_order_id: str
    venue_order_id: int
    status: OrderStatus
    cumulative_quantity: Decimal


class FillReceived(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """One execution. (symbol, trade_id) names it; a repeat changes nothing.

    Attributes:
        client_order_id: ours, or whatever a foreign order carried.
        strategy_id: whose it was by what was known when it was journaled, empty by hand; ``None``
            where that was not known. The fold finds it out by itself: this is for readers.
        venue_realized_pnl: quote currency, as the venue says.
        ts_trade_ns: when it was matched.
    """

    symbol: str
    trade_id: int
    client_order_id: str
    venue_order_id: int
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_asset: str
    venue_realized_pnl: Decimal
    is_maker: bool
    ts_trade_ns: int
    strategy_id: str | None = None


class BalanceObserved(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue stated the account's balance.

    Attributes:
        available_balance: ``None`` where the source does not say (the user stream does not).
        observed_at_ns: market time at which the venue was asked, or said so by itself.
    """

    asset: str
    wallet_balance: Decimal
    available_balance: Decimal | None
    observed_at_ns: int


class InstrumentsLoaded(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue's filters for the configured symbols."""

    instruments: tuple[Instrument, ...]
    loaded_at_ns: int


class LeverageAsserted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue confirmed leverage and margin type of a symbol."""

    symbol: str
    leverage: int
    margin_type: str


class TradingStateChanged(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Trading was halted, reduced or resumed: by whom and why.

    Attributes:
        command_sequence: place of the command in its stream; 0 where no command asked for it.
    """

    state: TradingState
    actor: str
    reason: str
    command_sequence: int = 0


JournalEvent = (
    IntentRefusedByGate
    | OrderRecorded
    | OrderResigned
    | OrderCancelRequested
    | OrderModifyRequested
    | OrderModified
    | OrderAnswered
    | OrderRejected
    | OrderBecameUnknown
    | OrderNotPlaced
    | OrderUpdated
    | FillReceived
    | BalanceObserved
    | InstrumentsLoaded
    | LeverageAsserted
    | TradingStateChanged
    | CooldownStarted
    | SafeModeEntered
    | VenueLatched
    | GuardCleared
    | AlgoOrderRecorded
    | AlgoOrderUpdated
    | AlgoCancelRequested
    | ProtectionFailed
    | ApiErrorReported
    | ReadRetried
    | ReadRecovered
    | VenueUsageObserved
    | PositionsObserved
    | OperatorActed
    | KillProven
    | OrderForgotten
    | OrphanCanceled
    | PositionAdopted
    | IncomeReceived
    | RiskLimitsSet
)


class JournalRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One append: all of its events happened, or none.

    Attributes:
        number: 1 for the first record of the account, without gaps.
        prev_hash: SHA-256 (hex) of the raw bytes of record ``number - 1``; zeros for the first.
        causation_id: id of the message or call that led to it.
        ts_event_ns: market time of the decision.
        ts_wall_ns: wall time of the append; for latency figures only.
        config_hash: hash of the effective configuration of the writer.
    """

    account: str
    number: int
    prev_hash: str
    causation_id: str
    correlation_id: str
    ts_event_ns: int
    ts_wall_ns: int
    app_version: str
    config_hash: str
    events: tuple[JournalEvent, ...]
    schema: int = SCHEMA_VERSION


def record_hash(raw: bytes) -> str:
    """The link of the chain: SHA-256 of a record's raw bytes, hex."""
    return hashlib.sha256(raw).hexdigest()
