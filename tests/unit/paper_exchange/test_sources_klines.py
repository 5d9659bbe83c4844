"""Kline files: played as a market that adds up to the rows, exactly."""

import itertools
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from services.paper_exchange.market.instruments import UnknownSymbolError, select_instruments
from services.paper_exchange.market.market import Market, Step
from services.paper_exchange.sources.event import ClosedBar, DepthUpdate, Quote, SourceError, Trade
from services.paper_exchange.sources.klines import QUOTE_PERIOD_MS, KlineSource

DATA = Path(__file__).parents[4] / "shared" / "data" / "klines"
needs_klines = pytest.mark.skipif(
    bool(os.environ.get("CI")) or not DATA.is_dir(),
    reason="the recorded klines are not part of the repository",
)
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)
START_MS = 1_670_889_600_000
RISING = ("0.3067", "0.3070", "0.3060", "0.3068", "274004")


def _row(minute: int, values: tuple[str, ...] = RISING) -> str:
    open_ms = START_MS + minute * 60_000
    return f"{open_ms},{','.join(values)},{open_ms + 59_999},0,0,0,0,0\n"


def _write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "ADAUSDT-1m-2022-12-13.csv"
    path.write_text(header + "".join(rows))
    return path


def _trades(source: KlineSource) -> list[Trade]:
    return [event for event in source.events() if isinstance(event, Trade)]


def test_a_rising_candle_goes_down_before_it_goes_up(tmp_path: Path) -> None:
    prices = [str(trade.price) for trade in _trades(KlineSource([_write(tmp_path, _row(0))]))]
    assert prices[0] == "0.3067"
    assert prices[-1] == "0.3068"
    assert prices.index("0.3060") < prices.index("0.3070")


def test_trades_add_up_to_the_volume_exactly_and_stay_within_the_candle(tmp_path: Path) -> None:
    trades = _trades(KlineSource([_write(tmp_path, _row(0), header="")]))
    assert sum(trade.quantity for trade in trades) == 274_004
    assert max(trade.price for trade in trades) == Decimal("0.3070")
    assert min(trade.price for trade in trades) == Decimal("0.3060")
    assert all(START_MS <= trade.transaction_ms < START_MS + 60_000 for trade in trades)
    assert len({trade.trade_id for trade in trades}) == len(trades)


def test_quotes_are_one_tick_wide_and_trades_happen_at_them(tmp_path: Path) -> None:
    quote: Quote | None = None
    for event in KlineSource([_write(tmp_path, _row(0), _row(1))]).events():
        if isinstance(event, Quote):
            quote = event
            assert Decimal(quote.ask_price) - Decimal(quote.bid_price) == Decimal("0.0001")
        elif isinstance(event, Trade):
            assert quote is not None
            hit = quote.bid_price if event.is_buyer_maker else quote.ask_price
            assert Decimal(hit) == event.price


def test_update_ids_are_unbroken(tmp_path: Path) -> None:
    previous = None
    for event in KlineSource([_write(tmp_path, *map(_row, range(5)))]).events():
        if isinstance(event, DepthUpdate):
            assert previous in (None, event.previous_update_id)
            assert event.first_update_id == event.previous_update_id + 1
            previous = event.final_update_id


def test_the_same_file_gives_the_same_market(tmp_path: Path) -> None:
    path = _write(tmp_path, _row(0), _row(1))
    assert list(KlineSource([path]).events()) == list(KlineSource([path]).events())


def test_a_candle_without_volume_has_quotes_and_a_close_but_no_trade(tmp_path: Path) -> None:
    flat = ("0.3067", "0.3067", "0.3067", "0.3067", "0")
    events = list(KlineSource([_write(tmp_path, _row(0, flat))]).events())
    assert not [event for event in events if isinstance(event, Trade)]
    assert [event for event in events if isinstance(event, Quote)]
    assert isinstance(events[-1], ClosedBar)


def test_quotes_never_stop_while_there_are_candles(tmp_path: Path) -> None:
    still = ("0.3067", "0.3067", "0.3067", "0.3067", "4")
    rows = [_row(minute, still if minute % 2 else RISING) for minute in range(6)]
    quotes = [e for e in KlineSource([_write(tmp_path, *rows)]).events() if isinstance(e, Quote)]
    moments = [START_MS, *(quote.transaction_ms for quote in quotes), START_MS + 6 * 60_000]
    waits_ms = [after - before for before, after in itertools.pairwise(moments)]
    assert max(waits_ms) <= QUOTE_PERIOD_MS
    for before, after in itertools.pairwise(quotes):
        assert (before.bid_price, before.bid_quantity) != (after.bid_price, after.bid_quantity)


def test_a_volume_of_two_units_is_two_trades_and_still_the_whole_candle(tmp_path: Path) -> None:
    path = _write(tmp_path, _row(0, (*RISING[:4], "2")))
    source = KlineSource([path])
    trades = _trades(source)
    assert [trade.quantity for trade in trades] == [1, 1]
    market = Market(select_instruments(source.symbols), source.start_ns)
    for event in KlineSource([path]).events():
        market.apply(event)
    (candle,) = market.symbols["ADAUSDT"].candles.closed("1m")
    assert (str(candle.high), str(candle.low), candle.volume) == ("0.3070", "0.3060", 2)


def test_gaps_are_reported(tmp_path: Path) -> None:
    source = KlineSource([_write(tmp_path, _row(0), _row(3))])
    list(source.events())
    (gap,) = source.gaps
    assert (gap.from_ms, gap.to_ms) == (START_MS + 60_000, START_MS + 180_000)


def test_numbers_bent_by_floating_point_are_straightened_and_counted(tmp_path: Path) -> None:
    bent = ("0.3067", "0.30700000000000005", "0.3060", "0.3068", "274004")
    source = KlineSource([_write(tmp_path, _row(0, bent))])
    bar = list(source.events())[-1]
    assert isinstance(bar, ClosedBar)
    assert str(bar.high) == "0.307"
    files = source.facts()["files"]
    assert isinstance(files, list)
    assert files[0]["cells_repaired"] == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,2,3\n", "3 columns"),
        (_row(1, ("0.3067", "high", "0.3060", "0.3068", "1")), "not a number"),
        (_row(1, ("0.3067", "NaN", "0.3060", "0.3068", "1")), "not a finite number"),
        (_row(1, ("0.3067", "0.3061", "0.3060", "0.3068", "1")), "do not make a candle"),
        (_row(1, (*RISING[:4], "-1")), "do not make a candle"),
        (_row(1, ("0.30671234567891", "0.3070", "0.3060", "0.3068", "1")), "finer than"),
        (_row(1).replace(str(START_MS + 119_999), "5"), "do not make a candle of 1m"),
        (_row(0), "before the one before has ended"),
    ],
)
def test_a_bad_row_is_named_with_file_and_number(tmp_path: Path, row: str, reason: str) -> None:
    path = _write(tmp_path, _row(0), row)
    with pytest.raises(SourceError, match=reason) as caught:
        list(KlineSource([path]).events())
    assert caught.value.line == 3


def test_files_are_checked_at_the_door(tmp_path: Path) -> None:
    for name in ("prices.csv", "ADAUSDT-7m-2022.csv", "ADAUSDT-1s-2022.csv"):
        with pytest.raises(SourceError, match="name must be like"):
            KlineSource([tmp_path / name])
    with pytest.raises(UnknownSymbolError, match="NOPEUSDT"):
        KlineSource([tmp_path / "NOPEUSDT-1m-2022.csv"])
    with pytest.raises(SourceError, match="cannot be read"):
        KlineSource([tmp_path / "ADAUSDT-1m-2022.csv"])
    with pytest.raises(SourceError, match="no candles"):
        KlineSource([_write(tmp_path)])


def test_the_zip_it_is_published_in_is_read_as_it_is(tmp_path: Path) -> None:
    csv = _write(tmp_path, _row(0))
    path = tmp_path / "ADAUSDT-1m-2022-12-13.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(csv, csv.name)
    assert list(KlineSource([path]).events()) == list(KlineSource([csv]).events())
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SourceError, match="corrupt zip"):
        KlineSource([path])


@needs_klines
@pytest.mark.parametrize(
    ("name", "interval", "rows"),
    [("ADAUSDT-1m-2022-12-13.csv", "1m", 1_440), ("XRPUSDT-5m-2021-11.csv", "5m", 200)],
)
def test_closed_candles_equal_the_rows_of_the_recorded_file(
    tmp_path: Path, name: str, interval: str, rows: int
) -> None:
    lines = (DATA / name).read_text().splitlines(keepends=True)[: rows + 1]
    path = tmp_path / name
    path.write_text("".join(lines))
    source = KlineSource([path])
    market = Market(select_instruments(source.symbols), source.start_ns)
    stream = f"{source.symbols[0].lower()}@kline_{interval}"
    closed: list[dict[str, object]] = []

    def publish(step: Step) -> None:
        for published, payload in step.messages:
            if published == stream:
                kline = (payload() if callable(payload) else payload)["k"]
                assert isinstance(kline, dict)
                if kline["x"]:
                    closed.append(kline)

    for event in source.events():
        while market.next_due_ns <= event.ts_ns:
            for step in market.advance(market.next_due_ns):
                publish(step)
        publish(market.apply(event))
    assert len(closed) == rows
    for kline, line in zip(closed, lines[1:], strict=True):
        cells = line.split(",")
        assert (kline["t"], kline["T"]) == (int(cells[0]), int(cells[6]))
        for key, cell in zip("ohlcv", cells[1:6], strict=True):
            assert Decimal(str(kline[key])) == round(Decimal(cell), 8)
