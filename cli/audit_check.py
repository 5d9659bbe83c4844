"""Checks an audit trail: against itself, against its manifest, and against the journal.

By itself a trail shows every changed, missing, repeated or moved line, but not that its newest
lines were cut off, nor that all of it was written anew by somebody who can do that. The manifest
knows how far the trail came; the journal knows everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import msgspec

from cli.audit_files import Trail, TrailFile
from libs.common.messages.audit import ANCHOR, AUDIT_SCHEMA_VERSION, SEAL, AuditEvent, read_line
from libs.common.messages.audit_trail import AuditTrail, Marker, TrailPlace
from libs.common.messages.codec import UndecodableError, decode_struct
from libs.common.messages.journal import GENESIS_HASH, JournalRecord


class FaultError(Exception):
    """The first thing that is not as it was written; the text names file, line and record."""


@dataclass
class AuditCheck:
    """What was found.

    Attributes:
        fault: names the first record that is not as it was written; empty if all are.
        notes: what could not be seen, and where the trail begins.
    """

    account: str
    files: int = 0
    lines: int = 0
    journal_number: int = 0
    head: str = GENESIS_HASH
    fault: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every record is there, unchanged and in its place."""
        return not self.fault


def check_trail(trail: Trail, journal: Iterable[bytes] | None = None) -> AuditCheck:
    """Check the files of one account.

    Args:
        journal: the raw records from the first on, already checked themselves; ``None`` if there
            is no journal to compare with.
    """
    check = AuditCheck(trail.account)
    try:
        trail = _without_line_under_way(trail, check)
        _check_chain(trail, check)
        if trail.manifest is not None:
            _check_manifest(trail)
        if journal is not None:
            _check_journal(trail, journal, check)
        elif trail.manifest is None:
            check.notes.append(
                "neither manifest nor journal was given: lines cut off at the very end of the last"
                " file cannot be seen"
            )
    except FaultError as fault:
        check.fault = str(fault)
    return check


def _without_line_under_way(trail: Trail, check: AuditCheck) -> Trail:
    """Leave out a last line that is being written right now: the manifest does not know it yet."""
    if trail.manifest is None or not trail.files or not trail.files[-1].is_torn:
        return trail
    *finished, newest = trail.files
    known = trail.manifest.line if trail.manifest.day == newest.day else 0
    if newest.is_packed or not 0 < known < len(newest.lines):
        return trail
    check.notes.append(f"{newest.name} line {len(newest.lines)} is being written")
    shortened = replace(newest, lines=newest.lines[:-1], is_torn=False)
    return replace(trail, files=(*finished, shortened))


# -- the chain -----------------------------------------------------------------------------------


def _check_chain(trail: Trail, check: AuditCheck) -> None:
    previous: AuditEvent | None = None
    for index, file in enumerate(trail.files):
        is_last = index == len(trail.files) - 1
        previous = _check_file(file, previous, check, must_be_sealed=not is_last or file.is_packed)
        check.files += 1


def _check_file(
    file: TrailFile, previous: AuditEvent | None, check: AuditCheck, *, must_be_sealed: bool
) -> AuditEvent:
    if not file.lines:
        raise FaultError(f"{file.name} holds no line{f': it {file.fault}' if file.fault else ''}")
    for number, raw in enumerate(file.lines, 1):
        event = _read(file, number, raw, previous)
        if number == 1:
            _check_anchor(file, event, previous, check)
        elif event.prev_hash != check.head:
            raise FaultError(_misplaced(file, number, event, previous, check.head))
        else:
            assert previous is not None
            _check_order(file, number, event, previous)
        if event.event_type == SEAL and number != len(file.lines):
            raise FaultError(f"{_at(file, number, event)}: a seal before the end of its file")
        check.head, check.lines = read_line(raw)[1], check.lines + 1
        check.journal_number, previous = event.journal_number, event
    assert previous is not None
    if file.fault:
        raise FaultError(f"{file.name} {file.fault}, after line {len(file.lines)}")
    if must_be_sealed and previous.event_type != SEAL:
        raise FaultError(
            f"{file.name} was cut off after line {len(file.lines)}"
            f" (event {previous.event_id}, journal record {previous.journal_number}):"
            " it does not end with its seal"
        )
    return previous


def _read(file: TrailFile, number: int, raw: bytes, previous: AuditEvent | None) -> AuditEvent:
    is_torn = file.is_torn and number == len(file.lines)
    try:
        return read_line(raw + b"\n" if is_torn else raw)[0]
    except UndecodableError as error:
        after = "" if previous is None else (
            f", after event {previous.event_id} of journal record {previous.journal_number}"
        )  # fmt: skip
        named = _guess_name(raw)
        what = "was cut off" if is_torn else f"was changed: {error}"
        raise FaultError(f"{file.name} line {number}{named}{after} {what}") from error


def _guess_name(raw: bytes) -> str:
    """The event id and journal number a spoiled line still shows, if it does."""
    try:
        found = msgspec.json.decode(raw)
        return f" (event {found['event_id']}, journal record {found['journal_number']})"
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""


def _check_anchor(
    file: TrailFile, event: AuditEvent, previous: AuditEvent | None, check: AuditCheck
) -> None:
    if event.event_type != ANCHOR:
        raise FaultError(f"{_at(file, 1, event)}: the file's first line, its anchor, is missing")
    if _marker(file, 1, event).day != file.day:
        raise FaultError(f"{_at(file, 1, event)}: the anchor of another day")
    if previous is None:
        if event.journal_number:
            check.notes.append(
                f"the trail begins on {file.day}, after journal record {event.journal_number}"
                f" ({event.journal_hash})"
            )
        elif event.prev_hash != GENESIS_HASH:
            raise FaultError(f"{_at(file, 1, event)}: the first line of all names one before it")
    elif event.prev_hash != check.head:
        raise FaultError(
            f"files are missing before {file.name}: journal records"
            f" {previous.journal_number + 1} to {event.journal_number} are not told"
        )


def _check_order(file: TrailFile, number: int, event: AuditEvent, previous: AuditEvent) -> None:
    """The chain holds; whoever wrote it must also have told every record, in order."""
    if event.event_type == SEAL:
        if _marker(file, number, event).lines != number - 1:
            raise FaultError(f"{_at(file, number, event)}: the seal counts other lines")
        return
    if event.event_type == ANCHOR:
        raise FaultError(f"{_at(file, number, event)}: an anchor inside a file")
    place = (event.journal_number, event.journal_index)
    is_first = previous.event_type == ANCHOR
    is_record_over = is_first or previous.journal_index == previous.journal_events - 1
    expected = (
        (previous.journal_number + 1, 0)
        if is_record_over
        else (previous.journal_number, previous.journal_index + 1)
    )
    if place != expected:
        raise FaultError(
            f"{_at(file, number, event)}: line {expected[1]} of journal record {expected[0]}"
            " is missing before it"
        )


def _misplaced(
    file: TrailFile, number: int, event: AuditEvent, previous: AuditEvent | None, head: str
) -> str:
    assert previous is not None
    where = _at(file, number, event)
    before = f"event {previous.event_id} of journal record {previous.journal_number}"
    earlier, later = file.lines[: number - 1], file.lines[number:]
    if file.lines[number - 1] in earlier:
        return f"{where}: told twice, first on line {earlier.index(file.lines[number - 1]) + 1}"
    link = f'"prev_hash":"{head}"'.encode()
    for at, raw in enumerate(later, number + 1):
        if link in raw:
            return f"{where}: out of order, what follows {before} is on line {at}"
    return f"{where}: what followed {before} is missing before it"


def _marker(file: TrailFile, number: int, event: AuditEvent) -> Marker:
    try:
        return decode_struct(bytes(event.payload), Marker)
    except UndecodableError as error:
        raise FaultError(f"{_at(file, number, event)}: {error}") from error


def _at(file: TrailFile, number: int, event: AuditEvent) -> str:
    return (
        f"{file.name} line {number} (event {event.event_id}, journal record {event.journal_number})"
    )


# -- the manifest --------------------------------------------------------------------------------


def _check_manifest(trail: Trail) -> None:
    """The chain holds; is it as long as the manifest says it was?"""
    manifest = trail.manifest
    assert manifest is not None
    files = {file.day: file for file in trail.files}
    known = [(one.day, one.lines, one.head) for one in manifest.days]
    before = min(files, default="")
    for day, lines, head in (*known, (manifest.day, manifest.line, manifest.head)):
        file = files.get(day)
        if not day or (file is None and day < before):
            if day:
                _check_predecessor(trail.files[0], day, head)
            continue
        if file is None:
            raise FaultError(f"the file of {day} is missing: its manifest knows {lines} lines")
        if len(file.lines) < lines:
            last = read_line(file.lines[-1])[0]
            raise FaultError(
                f"{file.name} was cut off after line {len(file.lines)}"
                f" (event {last.event_id}, journal record {last.journal_number}):"
                f" its manifest knows {lines} lines"
                + (
                    f" up to journal record {manifest.journal_number}"
                    if day == manifest.day
                    else ""
                )
            )
        event, own = read_line(file.lines[lines - 1])
        if own != head:
            raise FaultError(f"{_at(file, lines, event)}: its manifest knows another line there")


def _check_predecessor(oldest: TrailFile, day: str, head: str) -> None:
    event, _ = read_line(oldest.lines[0])
    if event.prev_hash != head:
        raise FaultError(
            f"{_at(oldest, 1, event)}: it does not follow the end of {day} that the manifest knows"
        )


# -- the journal ---------------------------------------------------------------------------------


def _check_journal(trail: Trail, journal: Iterable[bytes], check: AuditCheck) -> None:
    """Derive the trail anew and compare."""
    told = _told(trail)
    first_day = trail.files[0].day if trail.files else ""
    derived = AuditTrail(TrailPlace(account=trail.account))
    compared, number = 0, 0
    for raw in journal:
        number += 1
        record = decode_struct(raw, JournalRecord)
        for line in derived.follow(raw, record):
            if line.day < first_day:
                continue
            found = next(told, None)
            if found is None:
                raise FaultError(
                    f"the journal goes on after the trail's last line: records {number} and later"
                    " are not told (cut off, or not exported yet)"
                )
            _compare(*found, line.raw, number)
            compared += 1
    left = sum(1 for _ in told)
    check.notes.append(f"compared with {number} journal records, {compared} lines")
    if left:
        check.notes.append(f"{left} lines are newer than that journal: checked by their chain only")


def _told(trail: Trail) -> Iterator[tuple[TrailFile, int, bytes]]:
    for file in trail.files:
        for number, raw in enumerate(file.lines, 1):
            yield file, number, raw


def _compare(file: TrailFile, line: int, told: bytes, derived: bytes, number: int) -> None:
    if told == derived:
        return
    event, _ = read_line(told)
    if event.schema_version != AUDIT_SCHEMA_VERSION:
        raise FaultError(
            f"{_at(file, line, event)}: written by schema {event.schema_version}, which this"
            f" version ({AUDIT_SCHEMA_VERSION}) cannot derive from the journal"
        )
    raise FaultError(
        f"{_at(file, line, event)}: the journal says something else in its record {number}"
    )
