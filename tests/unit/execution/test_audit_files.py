"""The audit export on disk: taken up after any end, packed and deleted by the day."""

import gzip
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from libs.common.messages.audit_trail import AuditTrail, TrailLine, TrailPlace
from libs.common.messages.journal import BalanceObserved, JournalRecord
from libs.common.testing.builders import S, a_journal
from services.execution.audit_files import (
    AuditFiles,
    AuditHeld,
    AuditSpoiled,
    Checkpoint,
    Manifest,
    day_files,
    manifest_name,
    read_lines,
)

DAY_NS = 86_400 * S
ACCOUNT = "paper"


def a_balance(n: int) -> BalanceObserved:
    return BalanceObserved(
        asset="USDT", wallet_balance=Decimal(n), available_balance=None, observed_at_ns=1
    )


def journal_of(days: int, per_day: int = 3) -> list[bytes]:
    times = [(day * DAY_NS) + n for day in range(days) for n in range(per_day)]
    return a_journal(*((a_balance(n),) for n in range(len(times))), at_ns=tuple(times))


class Life:
    """One process's export, from a checkpoint or from the beginning."""

    def __init__(self, directory: Path, journal: list[bytes], days_kept: int = 30) -> None:
        self.journal = journal
        self.files = AuditFiles(directory, ACCOUNT, days_kept)
        self.checkpoint = self.files.open()
        place = self.checkpoint.place if self.checkpoint else TrailPlace(account=ACCOUNT)
        self.trail = AuditTrail(place)

    def lines(self, up_to: int | None = None) -> list[TrailLine]:
        found: list[TrailLine] = []
        for raw in self.journal[self.trail.place.journal_number : up_to]:
            found += self.trail.follow(raw, msgspec.json.decode(raw, type=JournalRecord))
        return found

    def export(self, up_to: int | None = None, *, saves_checkpoint: bool = True) -> "Life":
        self.files.write(self.lines(up_to))
        place = self.trail.place
        self.files.save(place, Checkpoint(place=place, sequence=1) if saves_checkpoint else None)
        return self

    def end(self) -> None:
        self.files.close()


def content(directory: Path) -> dict[str, list[bytes]]:
    """The lines by day."""
    return {day: list(read_lines(path)) for day, (path,) in day_files(directory, ACCOUNT).items()}


@pytest.fixture
def whole(tmp_path_factory) -> dict[str, list[bytes]]:
    """What an export that nothing disturbed holds."""
    directory = tmp_path_factory.mktemp("whole")
    Life(directory, journal_of(3)).export().end()
    return content(directory)


def test_a_day_is_a_file_and_a_finished_one_is_compressed(tmp_path):
    Life(tmp_path, journal_of(3)).export().end()
    names = sorted(path.name for path in tmp_path.glob("*.jsonl*"))
    assert names == [
        "audit-paper-1970-01-01.jsonl.gz",
        "audit-paper-1970-01-02.jsonl.gz",
        "audit-paper-1970-01-03.jsonl",
    ]


@pytest.mark.parametrize("stop", range(1, 10))
@pytest.mark.parametrize("saves_checkpoint", [True, False])
def test_a_restart_goes_on_exactly_where_it_stopped(tmp_path, whole, stop, saves_checkpoint):
    journal = journal_of(3)
    Life(tmp_path, journal).export(stop, saves_checkpoint=saves_checkpoint).end()
    second = Life(tmp_path, journal)
    assert (second.checkpoint is not None) == saves_checkpoint
    second.export().end()
    assert content(tmp_path) == whole


def test_a_restart_from_an_older_checkpoint_compares_what_came_after_it(tmp_path, whole):
    journal = journal_of(3)
    Life(tmp_path, journal).export(7).end()
    old = (tmp_path / "audit-paper.checkpoint.json.gz").read_bytes()
    Life(tmp_path, journal).export(9).end()
    (tmp_path / "audit-paper.checkpoint.json.gz").write_bytes(old)
    life = Life(tmp_path, journal)
    assert life.trail.place.journal_number == 7
    life.export().end()
    assert content(tmp_path) == whole


@pytest.mark.parametrize("cut", [1, 5, 200, 700])
def test_a_torn_last_line_is_written_anew(tmp_path, whole, cut):
    journal = journal_of(3)
    Life(tmp_path, journal).export().end()
    path = tmp_path / "audit-paper-1970-01-03.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    Life(tmp_path, journal).export().end()
    assert content(tmp_path) == whole


def test_without_its_checkpoint_everything_is_read_and_compared(tmp_path, whole):
    journal = journal_of(3)
    Life(tmp_path, journal).export().end()
    (tmp_path / "audit-paper.checkpoint.json.gz").write_bytes(b"nonsense")
    life = Life(tmp_path, journal)
    assert life.checkpoint is None
    life.export().end()
    assert content(tmp_path) == whole


def test_a_changed_line_is_left_as_it_is_and_named(tmp_path):
    journal = journal_of(3)
    Life(tmp_path, journal).export(saves_checkpoint=False).end()
    path = tmp_path / "audit-paper-1970-01-03.jsonl"
    spoiled = path.read_bytes().replace(b'"wallet_balance":"7"', b'"wallet_balance":"8"')
    path.write_bytes(spoiled)
    life = Life(tmp_path, journal)
    with pytest.raises(AuditSpoiled, match=r"1970-01-03.jsonl line 3 is not what the journal says"):
        life.export()
    life.end()
    assert path.read_bytes() == spoiled


def test_an_export_that_says_more_than_the_journal_is_refused(tmp_path):
    journal = journal_of(3)
    Life(tmp_path, journal).export(saves_checkpoint=False).end()
    life = Life(tmp_path, journal[:8])
    life.export()
    with pytest.raises(AuditSpoiled, match="after the journal's last record"):
        life.files.check_nothing_is_left()
    life.end()


def test_a_file_in_both_forms_keeps_the_packed_one_if_they_are_alike(tmp_path, whole):
    journal = journal_of(3)
    Life(tmp_path, journal).export(7).end()
    plain = tmp_path / "audit-paper-1970-01-02.jsonl"
    packed = plain.with_name(plain.name + ".gz")
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    Life(tmp_path, journal).export().end()
    assert content(tmp_path) == whole
    plain.write_bytes(b"another\n")
    life = Life(tmp_path, journal)
    with pytest.raises(AuditSpoiled, match="differ"):
        life.export()
    life.end()


def test_days_after_their_time_are_deleted_and_the_anchor_tells_what_was_before(tmp_path):
    journal = journal_of(8)
    Life(tmp_path, journal, days_kept=3).export().end()
    days = list(day_files(tmp_path, ACCOUNT))
    assert days == ["1970-01-05", "1970-01-06", "1970-01-07", "1970-01-08"]
    raw = (tmp_path / manifest_name(ACCOUNT)).read_bytes()
    manifest = msgspec.json.decode(raw, type=Manifest)
    assert [one.day for one in manifest.days] == ["1970-01-04", *days[:-1]]
    first = content(tmp_path)["1970-01-05"][0]
    assert f'"prev_hash":"{manifest.days[0].head}"'.encode() in first


def test_a_clock_that_jumps_ahead_deletes_no_more_than_its_day(tmp_path):
    times = (*(day * DAY_NS for day in range(4)), 4_000 * DAY_NS)
    journal = a_journal(*((a_balance(n),) for n in range(5)), at_ns=times)
    Life(tmp_path, journal, days_kept=3).export().end()
    assert len(day_files(tmp_path, ACCOUNT)) == 4


def test_only_one_process_writes_and_the_other_takes_over(tmp_path, whole):
    journal = journal_of(3)
    first = Life(tmp_path, journal).export(4)
    with pytest.raises(AuditHeld):
        Life(tmp_path, journal)
    first.end()
    Life(tmp_path, journal).export().end()
    assert content(tmp_path) == whole


def test_a_file_that_somebody_moves_or_writes_to_meanwhile_is_noticed(tmp_path):
    life = Life(tmp_path, journal_of(3)).export(7)
    path = tmp_path / "audit-paper-1970-01-03.jsonl"
    with path.open("ab") as file:
        file.write(b"a stranger\n")
    with pytest.raises(AuditSpoiled, match="changed or moved"):
        life.export(8)
    path.unlink()
    with pytest.raises(AuditSpoiled, match="changed or moved"):
        life.export(9)
    life.end()


def test_a_directory_that_was_emptied_is_filled_again(tmp_path, whole):
    journal = journal_of(3)
    Life(tmp_path, journal).export().end()
    for path in tmp_path.iterdir():
        path.unlink()
    Life(tmp_path, journal).export().end()
    assert content(tmp_path) == whole


def test_a_packed_file_is_the_same_bytes_whoever_packed_it(tmp_path):
    packed = []
    for name in ("one", "other"):
        Life(tmp_path / name, journal_of(2)).export().end()
        packed.append((tmp_path / name / "audit-paper-1970-01-01.jsonl.gz").read_bytes())
    assert packed[0] == packed[1]
