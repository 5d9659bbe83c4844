"""`portcullis audit verify`, `export` and `report`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cli import exits
from cli.audit_check import check_trail
from cli.audit_files import Trail, find_trails
from cli.audit_report import gather_figures
from cli.audit_table import table
from cli.journal_commands import copy_journal
from cli.journal_file import check_file
from libs.common.messages.audit import AuditEvent, read_line
from libs.common.messages.audit_trail import AuditTrail, TrailLine, TrailPlace
from libs.common.messages.codec import UndecodableError, decode_struct
from libs.common.messages.journal import JournalRecord, record_hash
from libs.common.runtime.log import configure_logging
from services.execution.audit_files import AuditFiles, AuditHeld, AuditSpoiled, Checkpoint

#: An export by hand keeps every day.
DAYS_KEPT = 1_000_000
BATCH_LINES_MAX = 1_000


def verify_audit(
    paths: list[Path],
    *,
    journal: Path | None,
    url: str | None,
    data_dir: Path | None,
    account: str | None,
) -> int:
    """Check audit trails; prints what was found and returns the exit code.

    Raises:
        CommandFailed: bad usage (2), no broker (3), or the journal itself is not whole (1).
    """
    raw: list[bytes] | None = None
    if journal is not None or url is not None or data_dir is not None:
        # Before the files: what is exported meanwhile is then in the files at least.
        raw = _read_journal(journal, url=url, data_dir=data_dir, account=account)
    trails = find_trails(paths)
    if raw is not None:
        trails = [trail for trail in trails if trail.account == _account_of(raw, trail.account)]
        if not trails:
            raise exits.CommandFailed(
                f"there is no trail of account {_account_of(raw, '')}, which that journal is of",
                exits.BAD_USAGE,
            )
    return max(_verify(trail, raw) for trail in trails)


def _verify(trail: Trail, journal: list[bytes] | None) -> int:
    check = check_trail(trail, journal)
    if not check.is_whole:
        print(f"audit trail of {trail.account}: NOT VERIFIED: {check.fault}")
        return exits.FAILED
    print(
        f"audit trail of {trail.account}: verified, {check.files} files, {check.lines} lines,"
        f" up to journal record {check.journal_number}, head {check.head}"
    )
    for note in check.notes:
        print(note)
    return exits.OK


def export_audit(
    out: Path,
    *,
    journal: Path | None,
    url: str | None,
    data_dir: Path | None,
    account: str | None,
) -> None:
    """Derive the files from a journal; files that are there are compared and gone on with.

    Raises:
        CommandFailed: bad usage (2), no broker (3), the journal is not whole, or the files there
            are of another journal (1).
    """
    raw = _read_journal(journal, url=url, data_dir=data_dir, account=account)
    if not raw:
        raise exits.CommandFailed("the journal holds no records")
    files = AuditFiles(out, _account_of(raw, ""), DAYS_KEPT)
    try:
        checkpoint = files.open()
        place = _place_in(raw, checkpoint)
        lines = _write(files, AuditTrail(place), raw)
    except (AuditHeld, AuditSpoiled) as error:
        raise exits.CommandFailed(str(error)) from error
    except OSError as error:
        raise exits.CommandFailed(f"cannot write to {out}: {error.strerror}") from error
    finally:
        files.close()
    print(f"{lines} lines of {len(raw)} journal records written to {out}")


def _place_in(raw: list[bytes], checkpoint: Checkpoint | None) -> TrailPlace:
    if checkpoint is None:
        return TrailPlace(account=_account_of(raw, ""))
    place = checkpoint.place
    is_known = place.journal_number <= len(raw)
    if not is_known or record_hash(raw[place.journal_number - 1]) != place.journal_hash:
        raise AuditSpoiled(
            f"that journal does not hold record {place.journal_number} as it was exported there"
        )
    return place


def _write(files: AuditFiles, trail: AuditTrail, raw: list[bytes]) -> int:
    count = 0
    batch: list[TrailLine] = []
    for one in raw[trail.place.journal_number :]:
        batch += trail.follow(one, decode_struct(one, JournalRecord))
        if len(batch) >= BATCH_LINES_MAX:
            files.write(batch)
            count, batch = count + len(batch), []
    files.write(batch)
    files.check_nothing_is_left()
    # No checkpoint: it names a place in the broker's stream, which a file knows nothing of.
    files.save(trail.place, None)
    return count + len(batch)


def report_audit(paths: list[Path], *, as_json: bool) -> int:
    """Print what the trails add up to; a line that cannot be read is told, and fails the command.

    Raises:
        CommandFailed: there is no trail (2).
    """
    configure_logging("audit", "error")
    code, reports = exits.OK, {}
    for trail in find_trails(paths):
        unreadable: list[str] = []
        figures = gather_figures(_events(trail, unreadable))
        reports[trail.account] = {**figures.to_report(), "unreadable": unreadable}
        code = exits.FAILED if unreadable else code
    if as_json:
        print(json.dumps(reports, indent=2))
        return code
    for account, report in reports.items():
        print(f"account {account}: {table(report)}")
        for line in report["unreadable"]:
            print(f"NOT COUNTED: {line}")
    return code


def _events(trail: Trail, unreadable: list[str]) -> Iterator[AuditEvent]:
    for file in trail.files:
        if file.fault:
            unreadable.append(f"{file.name} {file.fault}")
        for number, raw in enumerate(file.lines, 1):
            try:
                yield read_line(raw)[0]
            except UndecodableError as error:
                unreadable.append(f"{file.name} line {number}: {error}")


def _read_journal(
    journal: Path | None, *, url: str | None, data_dir: Path | None, account: str | None
) -> list[bytes]:
    """The raw records of a journal that is whole."""
    if journal is not None and (url is not None or data_dir is not None):
        raise exits.CommandFailed("--journal excludes --url and --data-dir", exits.BAD_USAGE)
    with tempfile.TemporaryDirectory(prefix="portcullis-") as folder:
        if journal is None:
            journal = Path(folder) / "journal.jsonl"
            copy_journal(journal, data_dir=data_dir, url=url, account=account)
        try:
            content = journal.read_bytes()
        except OSError as error:
            raise exits.CommandFailed(
                f"cannot read {journal}: {error.strerror}", exits.BAD_USAGE
            ) from error
    check = check_file(content)
    if not check.is_whole:
        raise exits.CommandFailed(f"the journal itself is not whole: {check.fault}")
    return content.split(b"\n")[: check.records]


def _account_of(raw: list[bytes], otherwise: str) -> str:
    return msgspec.json.decode(raw[0], type=JournalRecord).account if raw else otherwise
