"""The replay decides with the code that trades: same bytes each time, and a chain that verifies."""

import json
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from cli.journal_file import check_file
from libs.common.messages.codec import decode_struct
from libs.common.messages.journal import FillReceived, JournalRecord, OrderRecorded
from libs.common.model.position import Position
from sim.__main__ import main

MINUTE_MS = 60_000
START_MS = 1_670_889_600_000


@pytest.fixture
def klines(tmp_path: Path) -> Path:
    """Hours of a seeded walk in the layout of the public data."""
    dice, price, rows = Random(3), Decimal("0.3000"), []
    for n in range(500):
        opened, open_ms = price, START_MS + n * MINUTE_MS
        price += Decimal(dice.randint(-6, 6)) / 10_000
        high, low = max(opened, price), min(opened, price)
        volume = dice.randint(1_000, 90_000)
        end_ms = open_ms + MINUTE_MS - 1
        rows.append(f"{open_ms},{opened},{high},{low},{price},{volume},{end_ms},0,0,0,0,0")
    path = tmp_path / "ADAUSDT-1m-2022-12-13.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_replay_gives_the_same_journal_each_time_and_it_verifies(
    klines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for out in outs:
        assert main(["--klines", str(klines), "--out", str(out)]) == 0
    first, second = (out.read_bytes() for out in outs)
    assert first == second
    assert check_file(first).is_whole
    told = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert told["candles"] == 500
    assert told["fills"] > 5


def test_no_order_is_recorded_twice_and_the_result_is_what_its_fills_add_up_to(
    klines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "journal.jsonl"
    main(["--klines", str(klines), "--out", str(out)])
    told = json.loads(capsys.readouterr().out)
    records = [decode_struct(raw, JournalRecord) for raw in out.read_bytes().splitlines()[:-1]]
    events = [event for record in records for event in record.events]
    ids = [event.client_order_id for event in events if isinstance(event, OrderRecorded)]
    assert len(ids) == len(set(ids))
    position = Position(symbol="ADAUSDT")
    for event in events:
        if isinstance(event, FillReceived):
            position = position.with_fill(
                event.side, event.quantity, event.price, event.commission, event.commission_asset
            )
    assert told["realized_pnl"] == str(position.realized_pnl)


def test_a_row_that_cannot_be_read_is_named(
    klines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    klines.write_text(klines.read_text().replace("\n", "\nnonsense\n", 1))
    assert main(["--klines", str(klines)]) == 2
    assert "line 2" in capsys.readouterr().err
