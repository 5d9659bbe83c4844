"""Whatever is done to an audit trail is found, and named with file, line, event and record."""

import gzip
import random
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from cli.audit_check import AuditCheck, check_trail
from cli.audit_files import find_trails
from cli.exits import CommandFailed
from libs.common.messages.audit_trail import AuditTrail, TrailPlace
from libs.common.messages.journal import BalanceObserved, JournalRecord, LeverageAsserted
from libs.common.testing.builders import S, a_journal
from services.execution.audit_files import AuditFiles

DAY_NS = 86_400 * S
RECORDS_A_DAY, DAYS = 6, 3
MUTATIONS = 1_000
NEWEST = "audit-paper-1970-01-03.jsonl"


def a_balance(number: int) -> BalanceObserved:
    return BalanceObserved(
        asset="USDT", wallet_balance=Decimal(number), available_balance=None, observed_at_ns=1
    )


def make_journal() -> list[bytes]:
    """Some records have several events, and one event makes two lines."""
    batches, times = [], []
    for number in range(DAYS * RECORDS_A_DAY):
        leverage = LeverageAsserted(symbol="BTCUSDT", leverage=number + 1, margin_type="CROSSED")
        batches.append((a_balance(number), leverage) if number % 3 == 1 else (a_balance(number),))
        times.append(number // RECORDS_A_DAY * DAY_NS + number)
    return a_journal(*batches, at_ns=tuple(times))


JOURNAL = make_journal()


def export(directory: Path, journal: list[bytes], days_kept: int = 30) -> None:
    files, trail = (
        AuditFiles(directory, "paper", days_kept),
        AuditTrail(TrailPlace(account="paper")),
    )
    files.open()
    for raw in journal:
        files.write(trail.follow(raw, msgspec.json.decode(raw, type=JournalRecord)))
    files.save(trail.place, None)
    files.close()


@pytest.fixture
def trail(tmp_path) -> Path:
    """An export of three days, unpacked so that a test may spoil it, with its manifest."""
    directory = tmp_path / "audit"
    export(directory, JOURNAL)
    for path in directory.glob("*.jsonl.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return directory


def check(directory: Path, journal: list[bytes] | None = None) -> AuditCheck:
    (found,) = find_trails([directory])
    return check_trail(found, journal)


def spoil(path: Path, change) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def test_an_untouched_trail_is_whole(trail):
    found = check(trail, JOURNAL)
    assert (found.fault, found.files, found.journal_number) == ("", 3, len(JOURNAL))
    assert found.lines == sum(len(path.read_bytes().splitlines()) for path in trail.glob("*.jsonl"))


def test_packed_files_are_read_as_they_are(tmp_path):
    export(tmp_path, JOURNAL)
    assert len(list(tmp_path.glob("*.gz"))) == 2
    assert check(tmp_path, JOURNAL).is_whole


def test_a_changed_line_is_named(trail):
    path = trail / "audit-paper-1970-01-02.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"wallet_balance":"8"', b'"wallet_balance":"9"'))
    fault = check(trail).fault
    assert "audit-paper-1970-01-02.jsonl line 6" in fault
    assert "event paper-9-0-" in fault
    assert "journal record 9" in fault
    assert "was changed" in fault


def test_a_missing_line_is_named_by_its_neighbors(trail):
    spoil(trail / NEWEST, lambda lines: lines.pop(3))
    fault = check(trail).fault
    assert f"{NEWEST} line 4" in fault
    assert "is missing before it" in fault
    assert "journal record 14" in fault


def test_a_line_told_twice_is_named(trail):
    spoil(trail / NEWEST, lambda lines: lines.insert(4, lines[2]))
    assert f"{NEWEST} line 5" in check(trail).fault
    assert "told twice, first on line 3" in check(trail).fault


def test_exchanged_lines_are_named(trail):
    def swap(lines):
        lines[2], lines[3] = lines[3], lines[2]

    spoil(trail / NEWEST, swap)
    fault = check(trail).fault
    assert f"{NEWEST} line 3" in fault
    assert "out of order" in fault
    assert "is on line 4" in fault


def test_a_finished_file_whose_end_is_gone_lacks_its_seal(trail):
    spoil(trail / "audit-paper-1970-01-01.jsonl", lambda lines: lines.pop())
    assert "1970-01-01.jsonl was cut off after line" in check(trail).fault
    assert "does not end with its seal" in check(trail).fault


def test_the_newest_lines_cut_off_are_known_to_the_manifest_and_to_the_journal(trail):
    spoil(trail / NEWEST, lambda lines: lines.pop())
    assert f"{NEWEST} was cut off after line" in check(trail).fault
    assert "journal record 18" in check(trail).fault
    (trail / "audit-paper.manifest.json").unlink()
    assert check(trail).is_whole
    assert "cannot be seen" in check(trail).notes[0]
    assert "the journal goes on after the trail's last line" in check(trail, JOURNAL).fault


def test_a_file_that_is_gone_is_missed(trail):
    (trail / "audit-paper-1970-01-02.jsonl").unlink()
    assert "files are missing before audit-paper-1970-01-03.jsonl" in check(trail).fault
    assert "journal records 7 to 12" in check(trail).fault
    (trail / NEWEST).unlink()
    assert "the file of 1970-01-02 is missing" in check(trail).fault


def test_a_damaged_gzip_is_named_with_the_line_it_reached(tmp_path):
    export(tmp_path, JOURNAL)
    path = tmp_path / "audit-paper-1970-01-01.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-40])
    assert path.name in check(tmp_path).fault
    assert "no whole gzip" in check(tmp_path).fault or "was cut off" in check(tmp_path).fault


def test_a_trail_written_anew_by_somebody_holds_by_itself_and_not_against_the_journal(tmp_path):
    forged = list(make_journal())
    changed = msgspec.json.decode(forged[7], type=JournalRecord)
    changed = msgspec.structs.replace(changed, events=(a_balance(1_000_000),))
    batches = [msgspec.json.decode(raw, type=JournalRecord) for raw in forged]
    batches[7] = changed
    journal = a_journal(
        *(one.events for one in batches), at_ns=tuple(one.ts_event_ns for one in batches)
    )
    export(tmp_path, journal)
    assert check(tmp_path).is_whole
    assert "the journal says something else in its record 8" in check(tmp_path, JOURNAL).fault


def test_after_old_days_were_deleted_the_anchor_is_held_against_manifest_and_journal(tmp_path):
    export(tmp_path, JOURNAL, days_kept=1)
    found = check(tmp_path, JOURNAL)
    assert (found.fault, found.files) == ("", 2)
    assert any("begins on 1970-01-02, after journal record 6" in note for note in found.notes)
    manifest = tmp_path / "audit-paper.manifest.json"
    spoiled = msgspec.json.decode(manifest.read_bytes())
    spoiled["days"][0]["head"] = "f" * 64
    manifest.write_bytes(msgspec.json.encode(spoiled))
    assert "does not follow the end of 1970-01-01" in check(tmp_path).fault


def test_lines_newer_than_the_journal_given_are_counted_and_not_called_wrong(trail):
    found = check(trail, JOURNAL[:-2])
    assert found.is_whole
    assert any("newer than that journal" in note for note in found.notes)


def test_a_line_that_is_being_written_is_not_called_cut_off(trail):
    with (trail / NEWEST).open("ab") as file:
        file.write(b'{"account":"pap')
    assert check(trail).is_whole
    assert any("is being written" in note for note in check(trail).notes)


def test_paths_that_hold_no_trail_are_refused(tmp_path):
    with pytest.raises(CommandFailed, match="no audit trail"):
        find_trails([tmp_path])
    with pytest.raises(CommandFailed, match="no such file"):
        find_trails([tmp_path / "nothing"])
    (tmp_path / "report.jsonl").write_bytes(b"")
    with pytest.raises(CommandFailed, match="not called audit-ACCOUNT-DAY"):
        find_trails([tmp_path / "report.jsonl"])


# -- a thousand ways to tamper -------------------------------------------------------------------


def flip(dice: random.Random, path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    path.write_bytes(raw)


def drop(dice: random.Random, path: Path) -> None:
    spoil(path, lambda lines: lines.pop(dice.randrange(len(lines))))


def duplicate(dice: random.Random, path: Path) -> None:
    spoil(path, lambda lines: lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines)))


def swap(dice: random.Random, path: Path) -> None:
    def change(lines):
        one, other = dice.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]

    spoil(path, change)


def truncate(dice: random.Random, path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: dice.randrange(len(raw))])


def cut_tail(dice: random.Random, path: Path) -> None:
    spoil(path, lambda lines: lines.__delitem__(slice(dice.randrange(len(lines)), None)))


def test_of_a_thousand_random_mutations_a_thousand_are_detected(trail):
    """A cut tail of the newest file is betrayed by the manifest, or by the journal: take turns."""
    dice = random.Random("tamper")
    manifest = trail / "audit-paper.manifest.json"
    whole = {path: path.read_bytes() for path in (*sorted(trail.glob("*.jsonl")), manifest)}
    missed, unnamed = [], []
    for number in range(MUTATIONS):
        for path, content in whole.items():
            path.write_bytes(content)
        has_manifest = number % 2 == 0
        if not has_manifest:
            manifest.unlink()
        mutation = dice.choice((flip, drop, duplicate, swap, truncate, cut_tail))
        path = dice.choice([one for one in whole if one != manifest])
        mutation(dice, path)
        found = check(trail, None if has_manifest else JOURNAL)
        if found.is_whole:
            missed.append((number, mutation.__name__, path.name))
        elif "audit-paper-" not in found.fault and "the journal goes on" not in found.fault:
            unnamed.append((number, mutation.__name__, found.fault))
    assert missed == []
    assert unnamed == []
