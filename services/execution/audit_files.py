"""The audit export on disk: one file a day, finished days compressed, old ones deleted.

Everything here blocks; the export runs it in a thread. The lines are derived from the journal, so
whoever takes the files up, after a crash or from another process, derives the same lines again,
compares those that are there and goes on behind them. A last line without its end is a write that
was cut off: it is removed and written anew. Any other difference is left as it is, and refused.
"""

import fcntl
import gzip
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

import msgspec

from libs.common.messages.audit import AUDIT_SCHEMA_VERSION
from libs.common.messages.audit_trail import TrailLine, TrailPlace
from libs.common.messages.journal import GENESIS_HASH
from libs.common.runtime.errors import PortcullisError
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

PLAIN, PACKED, DRAFT = ".jsonl", ".jsonl.gz", ".new"
FILE_MODE, FOLDER_MODE = 0o640, 0o750


class AuditSpoiled(PortcullisError):  # noqa: N818 - a state of the files, named as one
    """What is on disk is not what the journal says. A person has to look; move it away to go on."""


class AuditHeld(PortcullisError):  # noqa: N818
    """Another process writes this account's export."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place to take the export up from. Losing it costs time: all of the journal is read then.

    Attributes:
        sequence: where in the journal's stream the place's last record is.
    """

    place: TrailPlace
    sequence: int


class FinishedDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a finished file."""

    day: str
    lines: int
    head: str


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far the export has come, so that a cut-off end can be seen. Copy it elsewhere for proof.

    Attributes:
        days: the finished files that are kept, and the one before the oldest of them.
    """

    account: str
    schema_version: int = AUDIT_SCHEMA_VERSION
    day: str = ""
    line: int = 0
    head: str = GENESIS_HASH
    journal_number: int = 0
    journal_hash: str = GENESIS_HASH
    days: list[FinishedDay] = []


def manifest_name(account: str) -> str:
    """The file that says how far an account's export has come."""
    return f"audit-{account}.manifest.json"


def day_files(directory: Path, account: str) -> dict[str, list[Path]]:
    """The files of an account by day, oldest first; a day may have both forms for a moment."""
    found: dict[str, list[Path]] = {}
    for path in sorted(directory.glob(f"audit-{account}-????-??-??.jsonl*")):
        if path.name.endswith((PLAIN, PACKED)):
            day = path.name.removesuffix(".gz").removesuffix(PLAIN)[-10:]
            found.setdefault(day, []).append(path)
    return dict(sorted(found.items()))


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, plain or compressed, without their ends.

    Raises:
        OSError: it cannot be read, or is no whole gzip.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except (EOFError, zlib.error) as error:
        raise OSError(f"{path.name} is no whole gzip: {error}") from error


class AuditFiles:
    """The export of one account in one directory; ``open`` first, and again after any error."""

    def __init__(self, directory: Path, account: str, days_kept: int) -> None:
        self._directory = directory
        self._account = account
        self._days_kept = days_kept
        self._lock: int | None = None
        self._file: FileIO | None = None
        self._known: Iterator[bytes] | None = None
        self._forget()

    def _forget(self) -> None:
        self._first_day = self._day = ""
        self._line = self._size = 0
        self._manifest = Manifest(account=self._account)

    # -- taking up ---------------------------------------------------------------------------------

    def open(self, remembered: Checkpoint | None = None) -> Checkpoint | None:
        """Take the files up; returns the place to go on from, or ``None`` for the very beginning.

        Args:
            remembered: a checkpoint of this process, newer than what may be on disk.

        Raises:
            AuditHeld: another process has them.
            AuditSpoiled: they are not what this export wrote.
            OSError: the directory cannot be used.
        """
        self._forget()
        self._directory.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._take_lock()
        for draft in self._directory.glob(f"audit-{self._account}*{DRAFT}"):
            draft.unlink()
        self._manifest = self._read_manifest()
        days = day_files(self._directory, self._account)
        if not days:
            return None
        self._first_day = self._day = max(days)
        newest = self._only_one(days[self._day])
        if newest.suffix != ".gz":
            self._cut_torn_line(newest)
            self._size = newest.stat().st_size
        checkpoint = self._usable(newest, (remembered, self._read_checkpoint()))
        self._line = checkpoint.place.line if checkpoint is not None else 0
        self._known = read_lines(newest)
        for _ in range(self._line):
            next(self._known)
        return checkpoint

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        descriptor = os.open(
            self._path(f"audit-{self._account}.lock"), os.O_RDWR | os.O_CREAT, FILE_MODE
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AuditHeld(f"another process writes the export in {self._directory}") from None
        self._lock = descriptor

    def _only_one(self, paths: list[Path]) -> Path:
        """Where a crash left a file in both forms, the plain one goes if they hold the same."""
        if len(paths) == 1:
            return paths[0]
        plain, packed = sorted(paths, key=lambda path: path.suffix == ".gz")
        try:
            is_same = gzip.decompress(packed.read_bytes()) == plain.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise AuditSpoiled(f"{packed}: {error}") from error
        if not is_same:
            raise AuditSpoiled(f"{plain.name} and {packed.name} are of one day and differ")
        plain.unlink()
        return packed

    def _cut_torn_line(self, path: Path) -> None:
        with path.open("rb+") as file:
            size = whole = 0
            for line in file:
                size += len(line)
                whole = size if line.endswith(b"\n") else whole
            if whole < size:
                log.warning("audit export: a torn line is removed", file=path.name)
                file.truncate(whole)

    def _usable(self, newest: Path, candidates: Iterable[Checkpoint | None]) -> Checkpoint | None:
        """The newest checkpoint that stands on a line of the newest file."""
        known = [one for one in candidates if one is not None]
        for checkpoint in sorted(known, key=lambda one: -one.place.journal_number):
            place = checkpoint.place
            if place.day != self._day:
                continue
            for number, line in enumerate(read_lines(newest), 1):
                if number == place.line and line.endswith(f'"{place.head}"}}'.encode()):
                    return checkpoint
        return None

    def _read_checkpoint(self) -> Checkpoint | None:
        try:
            raw = gzip.decompress(self._path(self._checkpoint_name).read_bytes())
            return msgspec.json.decode(raw, type=Checkpoint)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
            log.warning("audit checkpoint unreadable, reading everything", error=str(error))
            return None

    def _read_manifest(self) -> Manifest:
        try:
            raw = self._path(manifest_name(self._account)).read_bytes()
            return msgspec.json.decode(raw, type=Manifest)
        except (FileNotFoundError, msgspec.DecodeError):
            return Manifest(account=self._account)

    # -- writing -----------------------------------------------------------------------------------

    def write(self, lines: list[TrailLine]) -> None:
        """Compare what is there already, append what is not, and make it durable.

        Raises:
            AuditSpoiled: a line on disk is not the one the journal gives.
            OSError: it could not be written; nothing may be relied on until the next ``open``.
        """
        fresh = bytearray()
        for line in lines:
            if line.day < self._first_day or self._is_known(line):
                continue
            if line.day != self._day:
                self._flush(fresh)
                self._begin_day(line.day)
            fresh += line.raw + b"\n"
            self._line += 1
            self._manifest.head, self._manifest.line = line.hash, self._line
        self._flush(fresh)

    def _is_known(self, line: TrailLine) -> bool:
        if self._known is None:
            return False
        try:
            found = next(self._known, None)
        except OSError as error:
            raise AuditSpoiled(f"{self._name(self._day)}: {error}") from error
        if found is None:
            self._known = None
            return False
        self._line += 1
        if found != line.raw:
            raise AuditSpoiled(
                f"{self._name(self._day)} line {self._line} is not what the journal says"
                " (portcullis audit verify names the record)"
            )
        self._manifest.head, self._manifest.line = line.hash, self._line
        return True

    def check_nothing_is_left(self) -> None:
        """All of the journal was compared: a line that is left over came from elsewhere.

        Raises:
            AuditSpoiled: the export says more than the journal.
        """
        if self._known is not None and next(self._known, None) is not None:
            raise AuditSpoiled(
                f"{self._name(self._day)} goes on at line {self._line + 1}, after the journal's"
                " last record: another journal's export, or the journal lost records"
            )
        self._known = None

    def _flush(self, fresh: bytearray) -> None:
        if not fresh:
            return
        if self._file is None:
            self._file = self._open_plain()
        path = self._path(self._name(self._day))
        if not path.exists() or path.stat().st_size != self._size:
            raise AuditSpoiled(f"{path.name} was changed or moved while it was written")
        left = bytes(fresh)
        while left:  # a disk that fills up takes a part first and refuses after that
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())
        self._size += len(fresh)
        fresh.clear()

    def _open_plain(self) -> FileIO:
        path = self._path(self._name(self._day))
        if self._path(self._name(self._day) + ".gz").exists():
            raise AuditSpoiled(f"{path.name}.gz ends before the journal's day does")
        return path.open("ab", buffering=0)

    def _begin_day(self, day: str) -> None:
        if self._day:
            finished = FinishedDay(day=self._day, lines=self._line, head=self._manifest.head)
            known = [one for one in self._manifest.days if one.day < self._day]
            self._manifest.days = [*known, finished]
        self._close_file()
        self._day, self._line, self._size = day, 0, 0

    # -- housekeeping ------------------------------------------------------------------------------

    def save(self, place: TrailPlace, checkpoint: Checkpoint | None) -> None:
        """Say how far we are, pack finished days, delete old ones; a checkpoint now and then.

        Raises:
            OSError: it could not be written.
        """
        self._pack_and_delete()
        manifest = self._manifest
        manifest.day = place.day
        manifest.journal_number, manifest.journal_hash = place.journal_number, place.journal_hash
        kept = set(day_files(self._directory, self._account))
        before = [one for one in manifest.days if kept and one.day < min(kept)][-1:]
        manifest.days = before + [one for one in manifest.days if one.day in kept]
        raw = msgspec.json.format(msgspec.json.encode(manifest))
        self._replace(manifest_name(self._account), raw + b"\n")
        if checkpoint is not None:
            raw = msgspec.json.encode(checkpoint)
            self._replace(self._checkpoint_name, gzip.compress(raw, compresslevel=1, mtime=0))

    def _pack_and_delete(self) -> None:
        days = day_files(self._directory, self._account)
        finished = [day for day in days if day < self._day]
        for day in finished[: -self._days_kept]:
            for path in days.pop(day):
                log.info("audit export: deleted after its time", file=path.name)
                path.unlink()
        for day in finished[-self._days_kept :]:
            path = self._only_one(days[day])
            if path.suffix != ".gz":
                self._pack(path)

    def _pack(self, path: Path) -> None:
        packed = path.with_name(path.name + ".gz")
        draft = path.with_name(packed.name + DRAFT)
        with path.open("rb") as source, draft.open("wb") as sink:
            with gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0) as gz:
                shutil.copyfileobj(source, gz)
            sink.flush()
            os.fsync(sink.fileno())
        draft.replace(packed)
        path.unlink()

    def _replace(self, name: str, raw: bytes) -> None:
        draft = self._path(name + DRAFT)
        draft.write_bytes(raw)
        draft.replace(self._path(name))

    def close(self) -> None:
        """Let go of the files; another process may take them."""
        self._close_file()
        self._known = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @property
    def _checkpoint_name(self) -> str:
        return f"audit-{self._account}.checkpoint.json.gz"

    def _name(self, day: str) -> str:
        return f"audit-{self._account}-{day}{PLAIN}"

    def _path(self, name: str) -> Path:
        return self._directory / name
