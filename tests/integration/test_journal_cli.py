"""`portcullis journal` and `provision` against a real broker and its store."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from cli.run_directory import create_run_directory
from libs.common.messages.journal import BalanceObserved
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.journal import Journal
from libs.common.runtime.provisioning import provision
from tests.integration.patience import patient

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDS = 130


def portcullis(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


async def write_journal(broker: Broker, records: int, account: str = "paper") -> None:
    settings = patient(broker.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, account, settings)
    await fill(Journal(bus, account, "hash"), records)
    await bus.close()


async def fill(journal: Journal, records: int) -> None:
    for number in range(records):
        event = BalanceObserved(
            asset="USDT", wallet_balance=Decimal(number), available_balance=None, observed_at_ns=1
        )
        await journal.append([event], causation_id="c", correlation_id="c", ts_event_ns=number)


@pytest.fixture
async def run_with_journal(tmp_path):
    """A run's directory whose broker has ended, as after a kill of everything."""
    run = create_run_directory(tmp_path, 1)
    broker = Broker(run.broker)
    await broker.start()
    try:
        await write_journal(broker, RECORDS)
    finally:
        await broker.kill()
    return run


async def test_a_journal_is_exported_from_the_store_of_a_killed_run(run_with_journal, tmp_path):
    out = tmp_path / "journal.jsonl"
    done = portcullis("journal", "export", "--data-dir", tmp_path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"{RECORDS} records" in done.stdout
    verified = portcullis("journal", "verify", out)
    assert verified.returncode == 0, verified.stdout
    assert f"{RECORDS} records" in verified.stdout


async def test_a_spoiled_export_is_refused_with_the_record(run_with_journal, tmp_path):
    out = tmp_path / "journal.jsonl"
    assert portcullis("journal", "export", "--data-dir", tmp_path, "--out", out).returncode == 0
    out.write_bytes(out.read_bytes().replace(b'"wallet_balance":"77"', b'"wallet_balance":"78"'))
    verified = portcullis("journal", "verify", out)
    assert verified.returncode == 1
    assert "record 78 was changed" in verified.stdout


async def test_a_journal_is_exported_from_a_running_broker(tmp_path):
    broker = Broker(tmp_path / "broker")
    url = await broker.start()
    try:
        assert (
            portcullis("journal", "export", "--url", url, "--out", tmp_path / "x").returncode == 0
        )
        await write_journal(broker, 3)
        done = portcullis("journal", "export", "--url", url, "--out", tmp_path / "journal.jsonl")
    finally:
        await broker.stop()
    assert "3 records" in done.stdout


async def test_the_journal_of_the_configured_account_is_exported(tmp_path, monkeypatch):
    broker = Broker(tmp_path / "broker")
    url = await broker.start()
    monkeypatch.setenv("PORTCULLIS_ACCOUNT", "main")
    try:
        await write_journal(broker, 3, "main")
        done = portcullis("journal", "export", "--url", url, "--out", tmp_path / "journal.jsonl")
    finally:
        await broker.stop()
    assert "3 records" in done.stdout


def test_without_a_broker_the_export_ends_with_a_clear_message(tmp_path):
    done = portcullis("journal", "export", "--url", "nats://127.0.0.1:1", "--out", tmp_path / "x")
    assert done.returncode == 3
    assert "no broker at nats://127.0.0.1:1" in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = portcullis("journal", "verify", tmp_path / "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr


async def test_an_export_is_restored_into_a_broker_that_has_no_journal_and_into_no_other(
    run_with_journal, tmp_path, monkeypatch
):
    out, again = tmp_path / "journal.jsonl", tmp_path / "again.jsonl"
    assert portcullis("journal", "export", "--data-dir", tmp_path, "--out", out).returncode == 0
    broker = Broker(tmp_path / "new")
    url = await broker.start()
    monkeypatch.setenv("PORTCULLIS_BUS__URL", url)
    monkeypatch.setenv("PORTCULLIS_EXECUTION__HALT_FILE", str(tmp_path / "halt"))
    try:
        lost = portcullis("journal", "restore", out)
        assert lost.returncode == 3, "nobody has made the streams"
        bus = await Bus.connect(patient(url), "provision", lambda: None)
        await provision(bus, "paper", patient(url))
        await bus.close()
        done = portcullis("journal", "restore", out)
        assert (done.returncode, f"restored {RECORDS} records" in done.stdout) == (0, True)
        assert portcullis("journal", "export", "--url", url, "--out", again).returncode == 0
        assert again.read_bytes() == out.read_bytes()
        twice = portcullis("journal", "restore", out)
        assert (twice.returncode, "moved on" in twice.stderr) == (1, True)
    finally:
        await broker.stop()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace(b'"77"', b'"78"'), "record 78 was changed"),
        (lambda text: b"\n".join(text.split(b"\n")[:-2]) + b"\n", "it has no footer"),
        (lambda text: b"", "no records"),
    ],
)
async def test_what_is_not_whole_is_not_restored(run_with_journal, tmp_path, change, reason):
    out = tmp_path / "journal.jsonl"
    assert portcullis("journal", "export", "--data-dir", tmp_path, "--out", out).returncode == 0
    out.write_bytes(change(out.read_bytes()))
    refused = portcullis("journal", "restore", out)
    assert refused.returncode == 2
    assert reason in refused.stderr


async def test_a_journal_of_another_account_is_not_restored(
    run_with_journal, tmp_path, monkeypatch
):
    out = tmp_path / "journal.jsonl"
    assert portcullis("journal", "export", "--data-dir", tmp_path, "--out", out).returncode == 0
    monkeypatch.setenv("PORTCULLIS_ACCOUNT", "main")
    refused = portcullis("journal", "restore", out)
    assert refused.returncode == 2
    assert "is of account paper, not main" in refused.stderr


async def test_an_identity_that_is_not_there_is_named(run_with_journal, tmp_path, monkeypatch):
    out, lost = tmp_path / "journal.jsonl", tmp_path / "lost"
    assert portcullis("journal", "export", "--data-dir", tmp_path, "--out", out).returncode == 0
    monkeypatch.setenv("PORTCULLIS_BUS__IDENTITY_FILE", str(lost))
    for refused in (portcullis("journal", "restore", out), portcullis("provision")):
        assert refused.returncode == 2
        assert str(lost) in refused.stderr
        assert "Traceback" not in refused.stderr
