"""What every message carries: who said it, because of what, when, and in which schema."""

import msgspec

SCHEMA_VERSION = 1


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields common to all messages. The trace context travels in the NATS headers.

    Attributes:
        schema: version of the message's layout.
        message_id: derived from the message's cause, so a repeat has the same id.
        causation_id: id of the message that led to this one.
        correlation_id: id of the intent, candle or cycle it all belongs to.
        ts_event_ns: market time (UTC nanoseconds) at which the fact happened.
        ts_published_ns: wall clock at publication; for latency figures only, it never decides.
        source: the service that speaks.
    """

    message_id: str
    causation_id: str
    correlation_id: str
    ts_event_ns: int
    ts_published_ns: int
    source: str
    schema: int = SCHEMA_VERSION
