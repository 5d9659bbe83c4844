"""Keeps the audit export up with the journal: a reader of its own, never in an order's way.

The journal is the truth and waits for nobody here. What cannot be written is written later, from
the journal; until then readiness warns with the reason. Of two processes on one directory one
writes, and the other takes over when it ends.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.common.messages import subjects
from libs.common.messages.audit_trail import AuditTrail, TrailLine, TrailPlace
from libs.common.messages.journal import record_hash
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusError, JournalBroken
from libs.common.runtime.health import Level
from libs.common.runtime.journal import Journal
from libs.common.runtime.log import get_logger
from libs.common.runtime.service import Context
from services.execution.audit_files import AuditFiles, AuditHeld, AuditSpoiled, Checkpoint
from services.execution.config import ExecutionConfig

log = get_logger(__name__)

#: Records projected before they are written in one go.
BATCH_RECORDS_MAX = 256
#: A checkpoint is saved this often; after a crash at most so many records are projected again.
CHECKPOINT_RECORDS = 1_000
RETRY_WAIT_S = 1.0
RETRY_WAIT_S_MAX = 30.0

Tell = Callable[[Level, str], None]


def start_export(context: Context[ExecutionConfig]) -> None:
    """Export beside everything else, if a directory is set; at the end, write what is left."""
    settings = context.settings
    if settings.audit_directory is None:
        return
    export = AuditExport(
        context.bus,
        context.common.account,
        settings.audit_directory,
        settings.audit_days_kept,
        settings.audit_interval_wall_ms,
        lambda level, told: context.health.set("audit", level, told),
    )
    context.spawn(export.run(), "audit")
    context.on_stop.append(export.finish)


class AuditExport:
    """The export of one account by one process. ``tell`` is told how it stands."""

    def __init__(
        self,
        bus: Bus,
        account: str,
        directory: Path,
        days_kept: int,
        interval_ms: int,
        tell: Tell,
    ) -> None:
        self._bus = bus
        self._account = account
        self._directory = directory
        self._interval_s = interval_ms / 1000
        self._tell = tell
        self._files = AuditFiles(directory, account, days_kept)
        self._remembered: Checkpoint | None = None
        self._is_asked_to_end = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._failures = 0
        self._saved_number = 0

    async def run(self) -> None:
        """Export until asked to end; whatever goes wrong is told and tried again."""
        self._tell(Level.PASS, "starting")
        try:
            while True:
                await self._live()
                if self._is_asked_to_end.is_set():
                    return
                wait_s = min(RETRY_WAIT_S * 2 ** min(self._failures, 8), RETRY_WAIT_S_MAX)
                await self._rest(wait_s if self._failures else RETRY_WAIT_S)
        finally:
            self._has_ended.set()

    async def finish(self) -> None:
        """Write what the journal says until now, and end."""
        self._is_asked_to_end.set()
        await self._has_ended.wait()

    async def _live(self) -> None:
        try:
            await self._follow()
        except AuditHeld as held:
            self._failures = 0
            self._tell(Level.PASS, f"standing by: {held}")
        except (OSError, AuditSpoiled, JournalBroken, BusError) as error:
            self._failures += 1
            self._tell(Level.WARN, f"not written: {error}")
            log.error("audit export not written", error=str(error), directory=str(self._directory))
        finally:
            await asyncio.to_thread(self._files.close)

    async def _follow(self) -> None:
        trail, journal = await self._take_up()
        await self._advance(trail, journal)
        await asyncio.to_thread(self._files.check_nothing_is_left)
        while True:
            self._failures = 0
            place = trail.place
            self._tell(Level.PASS, f"{place.day or 'nothing yet'}, record {place.journal_number}")
            if self._is_asked_to_end.is_set():
                break
            await self._rest(self._interval_s)
            await self._advance(trail, journal)
        await self._save(trail, journal, is_due=True)

    async def _take_up(self) -> tuple[AuditTrail, Journal]:
        journal = Journal(self._bus, self._account, "")
        checkpoint = await asyncio.to_thread(self._files.open, self._remembered)
        if checkpoint is not None and await self._is_in_the_journal(checkpoint):
            place = checkpoint.place
            journal.number, journal.sequence = place.journal_number, checkpoint.sequence
            journal.head_hash = place.journal_hash
        elif checkpoint is not None:
            raise AuditSpoiled(
                f"the journal does not hold record {checkpoint.place.journal_number} as it was"
                " exported: another journal's export, or the journal was changed"
            )
        else:
            place = TrailPlace(account=self._account)
        self._saved_number = place.journal_number
        log.info("audit export taken up", after_record=place.journal_number, day=place.day)
        return AuditTrail(_copy(place)), journal

    async def _is_in_the_journal(self, checkpoint: Checkpoint) -> bool:
        stored = await self._bus.read_message(subjects.JOURNAL_STREAM, checkpoint.sequence)
        found = stored.data if stored is not None else None
        return found is not None and record_hash(found) == checkpoint.place.journal_hash

    async def _advance(self, trail: AuditTrail, journal: Journal) -> None:
        """Project and write everything up to the journal's end."""
        lines: list[TrailLine] = []
        taken = 0
        async for record in journal.read_tail():
            lines += trail.follow(journal.head_raw, record)
            taken += 1
            if taken % BATCH_RECORDS_MAX == 0:
                await self._write(lines, trail, journal)
                lines = []
        if lines:
            await self._write(lines, trail, journal)

    async def _write(self, lines: list[TrailLine], trail: AuditTrail, journal: Journal) -> None:
        await asyncio.to_thread(self._files.write, lines)
        await self._save(trail, journal)

    async def _save(self, trail: AuditTrail, journal: Journal, *, is_due: bool = False) -> None:
        place, checkpoint = trail.place, None
        if not place.journal_number:
            return
        if is_due or place.journal_number - self._saved_number >= CHECKPOINT_RECORDS:
            checkpoint = Checkpoint(place=_copy(place), sequence=journal.sequence)
            self._remembered, self._saved_number = checkpoint, place.journal_number
        await asyncio.to_thread(self._files.save, place, checkpoint)

    async def _rest(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._is_asked_to_end.wait(), wait_s)
        except TimeoutError:
            return


def _copy(place: TrailPlace) -> TrailPlace:
    return msgspec.structs.replace(place, origins=dict(place.origins))
