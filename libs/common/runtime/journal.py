"""The journal on JetStream: compare-and-set append, verified replay, snapshots.

One subject per account. An append names the stream sequence of the last record it knows; the broker
refuses it if anything came in between. That one publish is the lock, the idempotency record, the
margin booking and the fence between replicas.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence

import msgspec

from libs.common import __version__
from libs.common.messages import subjects
from libs.common.messages.codec import (
    MESSAGE_BYTES_MAX,
    UndecodableError,
    decode_struct,
    encode,
)
from libs.common.messages.journal import (
    GENESIS_HASH,
    JournalEvent,
    JournalRecord,
    record_hash,
)
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.errors import (
    AppendConflict,
    BusUnavailable,
    JournalBroken,
    PublishUnknown,
)
from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import trace_headers

log = get_logger(__name__)

READ_AHEAD_MAX = 64
#: A snapshot is read up to this size; what it remembers is bounded by time and by rates.
SNAPSHOT_BYTES_MAX = 256 << 20
READ_BACK_ATTEMPTS_MAX = 3
#: Names the process that appended, so that those who listen along can skip their own words.
WRITER_HEADER = "Portcullis-Writer"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A saved fold: the state after record ``number``, which is at ``sequence`` in the stream.

    Attributes:
        shape: names the layout and the meaning of the state; only who has the same may go on.
    """

    number: int
    sequence: int
    head_hash: str
    app_version: str
    state: msgspec.Raw
    shape: str = ""


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that was acknowledged: its number, its sequence in the stream, its hash.

    A broker that finds a damaged byte when it starts cuts its stream off there, without a word: the
    chain of what is left holds. Only a witness elsewhere knows that there was more.
    """

    number: int
    sequence: int
    hash: str


def check_link(previous_number: int, previous_hash: str, record: JournalRecord) -> None:
    """Check that a record continues the chain.

    Raises:
        JournalBroken: naming the record that does not fit.
    """
    if record.number != previous_number + 1:
        raise JournalBroken(
            f"journal of {record.account}: record {previous_number + 1} is missing,"
            f" found {record.number}"
        )
    if record.prev_hash != previous_hash:
        raise JournalBroken(
            f"journal of {record.account}: record {previous_number} was altered:"
            f" record {record.number} expects another hash"
        )


class Journal:
    """One account's journal, with the place in it that its reader has folded up to."""

    def __init__(self, bus: Bus, account: str, config_hash: str, writer: str = "") -> None:
        self._bus = bus
        self._writer = writer
        self._subject = subjects.journal(account)
        self.account = account
        self._config_hash = config_hash
        self.number = 0
        self.sequence = 0
        self.head_hash = GENESIS_HASH
        self.head_raw = b""  # the bytes last read: what is passed on must not be written anew

    async def load_snapshot(self, shape: str) -> bytes | None:
        """Move to the last saved snapshot and return its state; ``None`` if there is none to trust.

        A snapshot whose hash does not match the chain, or that was saved of a state of another
        shape, is refused: everything is replayed instead, which loses nothing but time.
        """
        stored = await self._bus.read_last(
            subjects.SNAPSHOTS_STREAM, subjects.snapshot(self.account)
        )
        if stored is None or stored.data is None:
            return None
        try:
            snapshot = decode_struct(gzip.decompress(stored.data), Snapshot, SNAPSHOT_BYTES_MAX)
        except (UndecodableError, OSError, EOFError) as error:
            log.warning("snapshot unreadable, replaying everything", error=str(error))
            return None
        anchor = await self._bus.read_message(subjects.JOURNAL_STREAM, snapshot.sequence)
        if anchor is None or anchor.data is None or record_hash(anchor.data) != snapshot.head_hash:
            log.error("snapshot does not match the chain, replaying everything")
            return None
        if (snapshot.app_version, snapshot.shape) != (__version__, shape):
            log.warning(
                "snapshot of another version, replaying everything",
                records=snapshot.number,
                theirs=f"{snapshot.app_version} {snapshot.shape or 'without shape'}",
                ours=f"{__version__} {shape}",
            )
            return None
        self.number, self.sequence = snapshot.number, snapshot.sequence
        self.head_hash = snapshot.head_hash
        return bytes(snapshot.state)

    async def save_snapshot(self, state: msgspec.Struct, shape: str) -> None:
        """Save the fold up to the current place. Losing it costs time, never truth."""
        snapshot = Snapshot(
            number=self.number,
            sequence=self.sequence,
            head_hash=self.head_hash,
            app_version=__version__,
            state=msgspec.Raw(encode(state)),
            shape=shape,
        )
        try:
            await self._bus.publish_stored(
                subjects.snapshot(self.account),
                gzip.compress(encode(snapshot), compresslevel=1),
                message_id=f"snapshot-{self.account}-{self.number}",
            )
        except (BusUnavailable, PublishUnknown) as error:
            log.warning("snapshot not saved", error=str(error))

    async def save_head(self) -> None:
        """Keep a witness of the current place. Losing it costs nothing but the witness."""
        head = Head(number=self.number, sequence=self.sequence, hash=self.head_hash)
        try:
            await self._bus.publish_stored(
                subjects.journal_head(self.account),
                encode(head),
                message_id=f"head-{self.account}-{self.head_hash}",
            )
        except (BusUnavailable, PublishUnknown) as error:
            log.warning("head not saved", error=str(error))

    async def check_head(self) -> None:
        """Check that the record of the last saved witness is there, as it was.

        Raises:
            JournalBroken: it is not: acknowledged records are gone or were changed.
            BusUnavailable: the broker did not answer.
        """
        stored = await self._bus.read_last(
            subjects.SNAPSHOTS_STREAM, subjects.journal_head(self.account)
        )
        if stored is None or stored.data is None:
            return
        try:
            head = decode_struct(stored.data, Head)
        except UndecodableError as error:
            log.warning("head unreadable", error=str(error))
            return
        found = await self._bus.read_message(subjects.JOURNAL_STREAM, head.sequence)
        if found is None or found.data is None or record_hash(found.data) != head.hash:
            raise JournalBroken(
                f"journal of {self.account}: record {head.number} was acknowledged at sequence"
                f" {head.sequence}, and is gone or another one now: the broker lost records"
            )

    async def skip_to_last(self, records_max: int) -> None:
        """Move to where at most so many records are left to read; the chain is checked from there.

        For readers that need no more than what was said lately.

        Raises:
            JournalBroken: the record to begin after cannot be read.
            BusUnavailable: the broker did not answer.
        """
        last = await self._bus.read_last(subjects.JOURNAL_STREAM, self._subject)
        last_sequence = last.seq if last is not None and last.seq is not None else 0
        for sequence in range(last_sequence - records_max, last_sequence):
            if sequence <= self.sequence:
                return  # it is no longer than that
            stored = await self._bus.read_message(subjects.JOURNAL_STREAM, sequence)
            if stored is None or stored.data is None or stored.subject != self._subject:
                continue
            try:
                record = decode_struct(stored.data, JournalRecord)
            except UndecodableError as error:
                raise JournalBroken(f"journal message at sequence {sequence}: {error}") from error
            self.number, self.sequence = record.number, sequence
            self.head_hash = record_hash(stored.data)
            return

    async def read_tail(self) -> AsyncIterator[JournalRecord]:
        """Read, check and step over every record after the current place.

        Raises:
            JournalBroken: a record is missing, altered, unreadable or of another account's chain.
            BusUnavailable: the broker did not answer.
        """
        last = await self._bus.read_last(subjects.JOURNAL_STREAM, self._subject)
        last_sequence = last.seq if last is not None and last.seq is not None else 0
        if last_sequence < self.sequence:
            raise JournalBroken(
                f"journal of {self.account}: ends at sequence {last_sequence},"
                f" but record {self.number} was at {self.sequence}: acknowledged records are gone"
            )
        start = self.sequence + 1
        while start <= last_sequence:
            end = min(start + READ_AHEAD_MAX, last_sequence + 1)
            batch = await asyncio.gather(
                *(self._bus.read_message(subjects.JOURNAL_STREAM, n) for n in range(start, end))
            )
            for sequence, stored in zip(range(start, end), batch, strict=True):
                if stored is None or stored.data is None:
                    raise JournalBroken(f"journal stream: the message at {sequence} is missing")
                if stored.subject != self._subject:
                    continue
                yield self._step(sequence, stored.data)
            start = end

    def _step(self, sequence: int, raw: bytes) -> JournalRecord:
        try:
            record = decode_struct(raw, JournalRecord)
        except UndecodableError as error:
            raise JournalBroken(f"journal message at sequence {sequence}: {error}") from error
        check_link(self.number, self.head_hash, record)
        self.number, self.sequence, self.head_hash = record.number, sequence, record_hash(raw)
        self.head_raw = raw
        return record

    async def append(
        self,
        events: Sequence[JournalEvent],
        *,
        causation_id: str,
        correlation_id: str,
        ts_event_ns: int,
    ) -> JournalRecord:
        """Append one record after the current place, or nothing.

        Raises:
            AppendConflict: someone appended first; read the tail, fold it and decide again.
            BusUnavailable: nothing was stored.
            PublishUnknown: no acknowledgement, and it is not there (yet); do nothing on its ground.
            UndecodableError: it is longer than any reader accepts; nothing was stored.
        """
        record = JournalRecord(
            account=self.account,
            number=self.number + 1,
            prev_hash=self.head_hash,
            causation_id=causation_id,
            correlation_id=correlation_id,
            ts_event_ns=ts_event_ns,
            ts_wall_ns=wall_ns(),
            app_version=__version__,
            config_hash=self._config_hash,
            events=tuple(events),
        )
        raw = encode(record)
        if len(raw) > MESSAGE_BYTES_MAX:  # no reader would take it: the journal would end here
            raise UndecodableError(
                f"a journal record of {len(raw)} bytes, over {MESSAGE_BYTES_MAX}"
            )
        try:
            acknowledgement = await self._bus.publish_stored(
                self._subject,
                raw,
                message_id=f"{self.account}-{record_hash(raw)}",
                expected_last_sequence=self.sequence,
                headers={**trace_headers(), WRITER_HEADER: self._writer},
            )
        except (AppendConflict, PublishUnknown):
            # A retry inside the client may have been refused by our own first attempt: look.
            sequence = await self._find(raw)
            if sequence is None:
                raise
        else:
            sequence = acknowledgement.seq
        self.number, self.sequence, self.head_hash = record.number, sequence, record_hash(raw)
        return record

    async def _find(self, raw: bytes) -> int | None:
        """The sequence of our record if it is the last one stored."""
        for attempt in range(1, READ_BACK_ATTEMPTS_MAX + 1):
            try:
                last = await self._bus.read_last(subjects.JOURNAL_STREAM, self._subject)
            except BusUnavailable:
                if attempt == READ_BACK_ATTEMPTS_MAX:
                    return None
                continue
            if last is not None and last.data == raw:
                return last.seq
            return None
        return None
