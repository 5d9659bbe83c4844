"""The audit export beside a real broker: complete, the same for all, and never in the way."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from libs.common.messages import subjects
from libs.common.messages.audit import read_line
from libs.common.messages.journal import BalanceObserved
from libs.common.runtime.bus import Bus
from libs.common.runtime.health import Level
from libs.common.runtime.journal import Journal
from services.execution import audit_export
from services.execution.audit_export import AuditExport
from services.execution.audit_files import Manifest, day_files, manifest_name, read_lines

ACCOUNT = "paper"
DAY_NS = 86_400 * 1_000_000_000
WAIT_S = 30


class Told:
    """What an export said of itself."""

    def __init__(self) -> None:
        self.words: list[tuple[Level, str]] = []

    def __call__(self, level: Level, words: str) -> None:
        self.words.append((level, words))

    async def until(self, level: Level, words: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while not any(one is level and words in said for one, said in self.words[-1:]):
                await asyncio.sleep(0.01)


class Ledger:
    """A writer of the journal that says how much it wrote."""

    def __init__(self, bus: Bus) -> None:
        self.journal = Journal(bus, ACCOUNT, "hash")

    async def write(self, count: int, day: int = 0) -> None:
        for _ in range(count):
            number = self.journal.number + 1
            event = BalanceObserved(
                asset="USDT",
                wallet_balance=Decimal(number),
                available_balance=None,
                observed_at_ns=1,
            )
            await self.journal.append(
                [event], causation_id="c", correlation_id="c", ts_event_ns=day * DAY_NS + number
            )


class Exporting:
    """An export that runs until the end of its block."""

    def __init__(self, bus: Bus, directory: Path) -> None:
        self.told = Told()
        self.export = AuditExport(bus, ACCOUNT, directory, 30, 20, self.told)

    async def __aenter__(self) -> Told:
        self.task = asyncio.create_task(self.export.run())
        return self.told

    async def __aexit__(self, *_: object) -> None:
        await self.export.finish()
        await self.task

    async def die(self) -> None:
        """End as a killed process does: without a word."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def numbers_of(directory: Path) -> list[int]:
    """The balances told, in order, over all files."""
    found = []
    for paths in day_files(directory, ACCOUNT).values():
        for raw in read_lines(paths[0]):
            event, _ = read_line(raw)
            if event.event_type == "balance.reported":
                found.append(int(msgspec.json.decode(event.payload)["wallet_balance"]))
    return found


async def test_everything_the_journal_says_is_exported_over_days_and_restarts(
    bus: Bus, tmp_path: Path
) -> None:
    ledger = Ledger(bus)
    await ledger.write(300)
    async with Exporting(bus, tmp_path) as told:
        await told.until(Level.PASS, "record 300")
        await ledger.write(20, day=1)
        await told.until(Level.PASS, "record 320")
    await ledger.write(10, day=2)
    killed = Exporting(bus, tmp_path)
    await killed.__aenter__()
    await killed.told.until(Level.PASS, "record 330")
    await killed.die()
    await ledger.write(10, day=3)
    async with Exporting(bus, tmp_path):
        pass
    assert numbers_of(tmp_path) == list(range(1, 341))
    packed = [path.suffix == ".gz" for (path,) in day_files(tmp_path, ACCOUNT).values()]
    assert packed == [True, True, True, False]
    raw = (tmp_path / manifest_name(ACCOUNT)).read_bytes()
    assert msgspec.json.decode(raw, type=Manifest).journal_number == 340


async def test_two_directories_hold_the_same_bytes(bus: Bus, tmp_path: Path) -> None:
    ledger = Ledger(bus)
    async with Exporting(bus, tmp_path / "one") as told:
        await ledger.write(7)
        await told.until(Level.PASS, "record 7")
        await ledger.write(5, day=1)
    async with Exporting(bus, tmp_path / "other"):
        pass
    for path in (tmp_path / "one").glob("*.jsonl*"):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


async def test_of_two_processes_one_writes_and_the_other_takes_over(
    bus: Bus, tmp_path: Path
) -> None:
    ledger = Ledger(bus)
    await ledger.write(5)
    first = Exporting(bus, tmp_path)
    await first.__aenter__()
    await first.told.until(Level.PASS, "record 5")
    async with Exporting(bus, tmp_path) as told:
        await told.until(Level.PASS, "standing by")
        await first.die()
        await ledger.write(5)
        await told.until(Level.PASS, "record 10")
    assert numbers_of(tmp_path) == list(range(1, 11))


async def test_a_directory_that_cannot_be_written_warns_and_is_filled_once_it_can(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "RETRY_WAIT_S", 0.02)
    ledger = Ledger(bus)
    await ledger.write(5)
    blocked = tmp_path / "audit"
    blocked.write_text("a file where the directory should be")
    async with Exporting(bus, blocked) as told:
        await told.until(Level.WARN, "File exists")
        blocked.unlink()
        await told.until(Level.PASS, "record 5")
    assert numbers_of(blocked) == list(range(1, 6))


async def test_a_full_disk_warns_and_nothing_is_missing_or_twice_after_it(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may not grow past a size that falls in the middle of a line, as on a full disk."""
    import resource
    import signal

    monkeypatch.setattr(audit_export, "RETRY_WAIT_S", 0.02)
    ledger = Ledger(bus)
    await ledger.write(20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        async with Exporting(bus, tmp_path) as told:
            await told.until(Level.PASS, "record 20")
            (path,) = day_files(tmp_path, ACCOUNT)["1970-01-01"]
            limit = path.stat().st_size + 1_500
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            await ledger.write(20)
            await told.until(Level.WARN, "File too large")
            assert path.stat().st_size <= limit
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            await told.until(Level.PASS, "record 40")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert numbers_of(tmp_path) == list(range(1, 41))


async def test_a_spoiled_line_is_told_and_left_until_somebody_moves_the_file(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "RETRY_WAIT_S", 0.02)
    ledger = Ledger(bus)
    await ledger.write(5)
    async with Exporting(bus, tmp_path):
        pass
    (path,) = day_files(tmp_path, ACCOUNT)["1970-01-01"]
    path.write_bytes(path.read_bytes().replace(b'"wallet_balance":"5"', b'"wallet_balance":"6"'))
    (tmp_path / f"audit-{ACCOUNT}.checkpoint.json.gz").unlink()
    async with Exporting(bus, tmp_path) as told:
        await told.until(Level.WARN, "line 6 is not what the journal says")
        path.rename(tmp_path / "evidence")
        await told.until(Level.PASS, "record 5")
    assert numbers_of(tmp_path) == list(range(1, 6))


async def test_a_damaged_journal_is_told_and_what_was_exported_stays(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "RETRY_WAIT_S", 0.02)
    ledger = Ledger(bus)
    await ledger.write(3)
    async with Exporting(bus, tmp_path) as told:
        await told.until(Level.PASS, "record 3")
        await bus.publish_stored(subjects.journal(ACCOUNT), b"no record", message_id="x")
        await told.until(Level.WARN, "sequence 4")
    assert numbers_of(tmp_path) == [1, 2, 3]
