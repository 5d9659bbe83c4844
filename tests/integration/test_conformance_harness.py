"""The harness that judges by clients of others: what it makes of drivers that do well, or die."""

import sys
from pathlib import Path

import pytest

from conformance.capabilities import CAPABILITIES
from conformance.environments import LOCKS
from conformance.judge import judge
from conformance.report import show
from conformance.roster import CLIENTS, Client

DRIVER = """
import asyncio, os, sys, time
from conformance.driver import capability, equal, refused, run, skip

class Refusal(Exception):
    code = -1121

@capability("market.ping")
def ping():
    equal(1, 1)

@capability("market.time")
async def clock():
    await asyncio.sleep(0)
    equal("0.1", "0.2", "the price")

@capability("market.depth")
def depth():
    skip("the client knows no books")

@capability("market.trades", timeout_s=0.2)
def hangs():
    time.sleep(30)

@capability("market.klines", timeout_s=0.2)
async def hangs_too():
    await asyncio.sleep(30)

@capability("error.invalid_symbol")
def invalid_symbol():
    with refused(Refusal, -1121):
        raise Refusal("no such symbol")

@capability("error.wrong_secret")
def wrong_secret():
    with refused(Refusal, -1022):
        raise Refusal("another code")

@capability("error.read_only_key")
def served():
    with refused(Refusal, -2015):
        pass

@capability("header.order_count")
def dies():
    os._exit(3)

sys.stdout.write("a client's own chatter\\n")
sys.exit(run({"order.cancel": "the client cancels nothing"}))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict:
    driver = tmp_path_factory.mktemp("drivers") / "drive_somebody.py"
    driver.write_text(DRIVER)
    client = Client("somebody", "no lock", str(driver))
    rows = judge(client, Path(sys.executable), "http://127.0.0.1:9", {"api_key": "k"})
    return {row.capability: row for row in rows}


def test_every_capability_has_an_outcome(outcomes):
    assert list(outcomes) == list(CAPABILITIES)


def test_what_holds_passes_and_what_does_not_fails_with_what_was_seen(outcomes):
    assert outcomes["market.ping"].outcome == "pass"
    failed = outcomes["market.time"]
    assert failed.outcome == "fail"
    assert "the price: got '0.1', wanted '0.2'" in failed.reason
    assert "drive_somebody.py" in failed.detail


def test_what_a_client_cannot_do_is_told_with_its_reason(outcomes):
    skipped, absent = outcomes["market.depth"], outcomes["order.cancel"]
    assert (skipped.outcome, skipped.reason) == ("skip", "the client knows no books")
    assert (absent.outcome, absent.reason) == ("absent", "the client cancels nothing")


def test_a_check_that_hangs_fails_and_the_next_one_runs(outcomes):
    for name in ("market.trades", "market.klines"):
        assert outcomes[name].outcome == "fail"
        assert "TimeoutError" in outcomes[name].reason


def test_a_refusal_must_come_and_carry_the_code(outcomes):
    assert outcomes["error.invalid_symbol"].outcome == "pass"
    assert "wanted code -1022" in outcomes["error.wrong_secret"].reason
    assert "was served" in outcomes["error.read_only_key"].reason


def test_what_is_neither_checked_nor_absent_fails_and_so_does_what_a_dead_driver_left(outcomes):
    assert outcomes["order.modify"].outcome == "fail"
    assert "neither checked nor listed as absent" in outcomes["order.modify"].reason
    assert "ended with 3" in outcomes["header.order_count"].reason


def test_the_table_names_the_client_and_every_reason(outcomes, capsys):
    show(list(outcomes.values()))
    said = capsys.readouterr().out
    for words in ("somebody", "market.ping", "the client cancels nothing", "wanted '0.2'"):
        assert words in said


def test_every_client_of_the_roster_has_a_driver_and_a_lock_with_hashes_and_no_address():
    for client in CLIENTS:
        assert client.path.is_file()
        lock = (LOCKS / f"{client.lock}.lock").read_text()
        assert "--hash=sha256:" in lock
        assert "://" not in lock
