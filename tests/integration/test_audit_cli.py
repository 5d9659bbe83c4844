"""`portcullis audit` as a person uses it: derive, verify, spoil, verify again, report."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from libs.common.messages.journal import BalanceObserved
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.journal import Journal

ROOT = Path(__file__).resolve().parent.parent.parent
DAY_NS = 86_400 * 1_000_000_000


def portcullis(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
async def broker(bus: Bus, nats_server: Broker) -> Broker:
    """A broker with a journal of two days."""
    journal = Journal(bus, "paper", "hash")
    for number in range(20):
        event = BalanceObserved(
            asset="USDT", wallet_balance=Decimal(number), available_balance=None, observed_at_ns=1
        )
        at_ns = number // 10 * DAY_NS + number
        await journal.append([event], causation_id="c", correlation_id="c", ts_event_ns=at_ns)
    return nats_server


async def test_a_trail_is_derived_verified_and_its_damage_named(broker, tmp_path):
    audit, journal = tmp_path / "audit", tmp_path / "journal.jsonl"
    done = portcullis("audit", "export", "--url", broker.url, "--out", audit)
    assert done.returncode == 0, done.stderr
    assert "23 lines of 20 journal records" in done.stdout
    assert portcullis("journal", "export", "--url", broker.url, "--out", journal).returncode == 0
    again = portcullis("audit", "export", "--journal", journal, "--out", audit)
    assert again.returncode == 0, again.stderr
    verified = portcullis("audit", "verify", audit, "--journal", journal)
    assert verified.returncode == 0, verified.stdout
    assert "verified, 2 files, 23 lines, up to journal record 20" in verified.stdout
    assert portcullis("audit", "verify", audit, "--url", broker.url).returncode == 0
    newest = audit / "audit-paper-1970-01-02.jsonl"
    newest.write_bytes(newest.read_bytes().replace(b'balance":"15"', b'balance":"16"'))
    spoiled = portcullis("audit", "verify", audit)
    assert spoiled.returncode == 1
    assert "audit-paper-1970-01-02.jsonl line 7 (event paper-16-0-" in spoiled.stdout
    refused = portcullis("audit", "export", "--journal", journal, "--out", audit)
    assert refused.returncode == 1
    assert "line 7 is not what the journal says" in refused.stderr


async def test_a_report_is_a_table_or_json(broker, tmp_path):
    audit = tmp_path / "audit"
    assert portcullis("audit", "export", "--url", broker.url, "--out", audit).returncode == 0
    table = portcullis("audit", "report", audit)
    assert table.returncode == 0, table.stderr
    assert "rate limit hits" in table.stdout
    report = json.loads(portcullis("audit", "report", audit, "--json").stdout)
    assert report["paper"]["events"]["balance.reported"] == 20


def test_wrong_usage_is_told_in_one_line(tmp_path):
    missing = portcullis("audit", "verify", tmp_path / "nothing")
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)
    both = portcullis("audit", "verify", tmp_path, "--journal", "x", "--url", "nats://127.0.0.1:1")
    assert (both.returncode, "excludes" in both.stderr) == (2, True)
    away = portcullis("audit", "export", "--url", "nats://127.0.0.1:1", "--out", tmp_path / "x")
    assert (away.returncode, "no broker" in away.stderr) == (3, True)
