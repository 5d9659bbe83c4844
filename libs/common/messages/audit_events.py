"""Events that decide nothing but have to be accounted for: calls, retries, usage, operators."""

from decimal import Decimal

import msgspec

from libs.common.messages.event import Event


class ApiErrorReported(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A call to the venue that was not accepted.

    Attributes:
        outcome: rejected, throttled or unknown.
        reason: the outcome's reason or kind; empty for unknown.
        at_ns: market time at which the answer (or its absence) was noticed.
    """

    method: str
    path: str
    outcome: str
    reason: str
    status: int
    code: int
    message: str
    at_ns: int


class ReadRetried(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A read failed and is tried again after a wait; attempt 1 is the first failure."""

    what: str
    attempt: int
    wait_ms: int
    why: str
    at_ns: int


class ReadRecovered(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A read that had been retried ended: successfully or not, after so many attempts."""

    what: str
    attempts: int
    succeeded: bool
    at_ns: int


class VenueUsageObserved(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The highest use of the venue's limits since the last such event."""

    weight_peak: int
    weight_limit: int
    orders_10s_peak: int
    orders_10s_limit: int
    orders_1m_peak: int
    orders_1m_limit: int
    at_ns: int


class PositionObserved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One position as the venue states it: signed base units."""

    symbol: str
    quantity: Decimal


class PositionsObserved(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue was asked for the account's positions; those not listed are flat."""

    positions: tuple[PositionObserved, ...]
    observed_at_ns: int


class OperatorActed(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A person (or a service) asked for something besides a change of the trading state.

    Attributes:
        verb: what was asked, as in the command.
        target: a symbol or guard, where it named one.
        key: the caller's Idempotency-Key, or the command's id.
    """

    actor: str
    verb: str
    reason: str
    target: str
    key: str


class KillProven(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """After cancel-all or flatten the venue was asked again until nothing was left.

    Attributes:
        orders_canceled, algo_orders_canceled: how many were open when it began.
        positions_closed: symbols closed (flatten only).
        took_ms: market time from the command to the last proof.
        is_complete: false if the time ran out; ``remaining`` then says what is left.
        key: the key of the ``OperatorActed`` that ordered it.
    """

    verb: str
    orders_canceled: int
    algo_orders_canceled: int
    positions_closed: tuple[str, ...]
    took_ms: int
    is_complete: bool
    remaining: str
    key: str = ""


class OrphanCanceled(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """An order or algo order of ours, open at the venue and unknown to us, was asked to end.

    Attributes:
        client_id: the id it carries there.
        outcome: what the venue said to the cancel.
    """

    client_id: str
    symbol: str
    outcome: str


class PositionAdopted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A position was taken over from the venue as it is, since no trade explains the difference.

    What it earned before is not known here: realised profit and commission stay as they were.

    Attributes:
        quantity: signed base units; 0 where the venue holds none.
        quantity_before: what we believed until then; ``None`` in records from before it was told.
        entry_price: quote currency, as the venue states it.
        observed_at_ns: market time at which the venue was asked.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    actor: str
    why: str
    observed_at_ns: int
    quantity_before: Decimal | None = None
