"""The audit trail: audit events as chained lines in one file per day, the same for everyone.

A day's file begins with an anchor, which names the line and the journal record before it, so that
the chain can be checked from there when older files are gone. It ends with a seal, so that a
finished file whose end was cut off is known for it. Days are days of market time, UTC, and never go
back: a record stamped earlier than the one before it stays on the newer day.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from libs.common.messages.audit import (
    ANCHOR,
    AUDIT_SCHEMA_VERSION,
    GATE_ACTOR,
    SEAL,
    AuditEvent,
    Origin,
    Origins,
    close_line,
    project,
)
from libs.common.messages.journal import GENESIS_HASH, JournalRecord, record_hash

NS_PER_S = 1_000_000_000
#: The last second a calendar can name; a clock gone mad must not end the export.
SECONDS_MAX = 253_402_300_799


class TrailLine(NamedTuple):
    """A line of a day's file, without its end."""

    day: str
    raw: bytes
    hash: str


class TrailPlace(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a trail stands: everything the next line depends on.

    Attributes:
        journal_number, journal_hash: the last record projected.
        day, line: the file and the line last written, lines counted from 1.
        head: that line's hash.
    """

    account: str
    schema_version: int = AUDIT_SCHEMA_VERSION
    journal_number: int = 0
    journal_hash: str = GENESIS_HASH
    day: str = ""
    line: int = 0
    head: str = GENESIS_HASH
    origins: dict[str, Origin] = {}


class Marker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an anchor or a seal says.

    Attributes:
        lines: a seal's count of the lines before it in its file.
    """

    day: str
    lines: int = 0


class AuditTrail:
    """Turns records into lines, one after the other."""

    def __init__(self, place: TrailPlace) -> None:
        self.place = place
        self._origins = Origins(place.origins)

    def follow(self, raw: bytes, record: JournalRecord) -> list[TrailLine]:
        """The lines of the next record, with those that end and begin a day.

        The caller has checked that the record continues the journal's chain.

        Raises:
            UndecodableError: the bytes are no record.
        """
        place = self.place
        assert record.number == place.journal_number + 1, "records are followed in order"
        own_hash = record_hash(raw)
        events = project(raw, record, own_hash, self._origins)
        lines: list[TrailLine] = []
        day = max(place.day, _day_of(record.ts_event_ns))
        if day != place.day:
            if place.day:
                lines.append(self._chain(self._marker(SEAL, record, place.line)))
            place.day, place.line = day, 0
            lines.append(self._chain(self._marker(ANCHOR, record, 0)))
        lines += [self._chain(event) for event in events]
        place.journal_number, place.journal_hash = record.number, own_hash
        return lines

    def _chain(self, event: AuditEvent) -> TrailLine:
        place = self.place
        raw, own = close_line(msgspec.structs.replace(event, prev_hash=place.head))
        place.head, place.line = own, place.line + 1
        return TrailLine(place.day, raw, own)

    def _marker(self, event_type: str, record: JournalRecord, lines: int) -> AuditEvent:
        """An anchor or a seal: it speaks of the last record before it, which may be none."""
        place = self.place
        word = event_type.rpartition(".")[2]
        return AuditEvent(
            schema_version=AUDIT_SCHEMA_VERSION,
            event_id=f"{place.account}-{word}-{place.day}-{place.journal_hash[:12]}",
            event_type=event_type,
            ts_event_ns=record.ts_event_ns,
            ts_wall_ns=record.ts_wall_ns,
            app_version=record.app_version,
            config_hash=record.config_hash,
            account=place.account,
            journal_number=place.journal_number,
            journal_hash=place.journal_hash,
            journal_index=0,
            journal_events=1,
            causation_id="",
            correlation_id="",
            actor=GATE_ACTOR,
            reason="",
            intent_id="",
            strategy_id="",
            parameter_hash="",
            model_hash=None,
            symbol="",
            client_order_id="",
            client_algo_id="",
            venue_order_id=0,
            payload=msgspec.Raw(msgspec.json.encode(Marker(day=place.day, lines=lines))),
            prev_hash="",
        )


def _day_of(ts_ns: int) -> str:
    seconds = min(max(0, ts_ns // NS_PER_S), SECONDS_MAX)
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d")
