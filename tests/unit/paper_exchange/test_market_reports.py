"""What the public reports say, asked without a server."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.market.reports import MARKET_ENDPOINTS, MarketView
from services.paper_exchange.sources.event import ClosedBar, Trade
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

START_MS = 1_700_000_040_000
"""A whole minute."""
MINUTE_MS = 60_000
NS = 1_000_000


class Reports:
    """A market that trades when it is told to, and its reports."""

    def __init__(self) -> None:
        self.market = Market(select_instruments(["BTCUSDT", "ETHUSDT"]), START_MS * NS)
        self.view = MarketView(self.market)
        self.now_ms = START_MS
        self.trades = 0

    def reach(self, ms: int) -> None:
        """Let the market reach a moment after the start."""
        self.now_ms = START_MS + ms
        while self.market.next_due_ns <= self.now_ms * NS:
            self.market.advance(self.market.next_due_ns)

    def trade(self, ms: int, price: str = "100", execution: str = "MARKET") -> None:
        """One trade of BTCUSDT so long after the start."""
        self.reach(ms)
        self.trades += 1
        self.market.apply(
            Trade(
                self.now_ms * NS, "BTCUSDT", self.now_ms, self.trades, Decimal(price),
                Decimal("0.010"), False, execution,
            )
        )  # fmt: skip

    def get(self, path: str, **query: object) -> Any:
        """The report of a path under /fapi/v1/."""
        endpoint = MARKET_ENDPOINTS["GET", f"/fapi/v1/{path}"]
        sent = Parameters(urlencode(query).encode())
        return endpoint.report(self.view, sent, self.now_ms * NS)

    def refused(self, path: str, **query: object) -> tuple[int, str]:
        """Code and text of a refusal."""
        with pytest.raises(RefusalError) as raised:
            self.get(path, **query)
        return raised.value.code, raised.value.text


@pytest.fixture
def reports() -> Reports:
    return Reports()


def test_older_trades_come_a_hundred_at_a_time_and_never_more_than_500(reports: Reports) -> None:
    for number in range(600):
        reports.trade(number)
    asked = "historicalTrades"
    assert [row["id"] for row in reports.get(asked, symbol="BTCUSDT")] == [*range(501, 601)]
    assert len(reports.get(asked, symbol="BTCUSDT", fromId=1)) == 100
    assert len(reports.get(asked, symbol="BTCUSDT", fromId=1, limit=500)) == 500
    assert reports.refused(asked, symbol="BTCUSDT", limit=501)[0] == -1130
    assert len(reports.get("trades", symbol="BTCUSDT")) == 500


@pytest.mark.parametrize("path", ["trades", "historicalTrades"])
def test_trades_of_the_insurance_fund_are_not_told_and_take_nobody_s_place(
    reports: Reports, path: str
) -> None:
    for number in range(6):
        reports.trade(number, execution="INSURANCE_FUND" if number % 2 else "MARKET")
    assert [row["id"] for row in reports.get(path, symbol="BTCUSDT", limit=3)] == [1, 3, 5]


def _minutes(rows: list[list[Any]]) -> list[tuple[int, str, int]]:
    """Minutes since the start, close and number of trades of each row."""
    return [((row[0] - START_MS) // MINUTE_MS, row[4], row[8]) for row in rows]


@pytest.fixture
def quiet(reports: Reports) -> Reports:
    """Trades in minutes 0, 3 and 4 only."""
    for minute, price in ((0, "100"), (3, "103"), (4, "104")):
        reports.trade(minute * MINUTE_MS + 1, price)
    return reports


def test_klines_leave_no_minute_out(quiet: Reports) -> None:
    rows = quiet.get("klines", symbol="BTCUSDT", interval="1m")
    assert _minutes(rows) == [
        (0, "100.00", 1),
        (1, "100.00", 0),
        (2, "100.00", 0),
        (3, "103.00", 1),
        (4, "104.00", 1),
    ]
    assert rows[1][1:6] == ["100.00", "100.00", "100.00", "100.00", "0.000"]
    assert rows[1][6] == START_MS + 2 * MINUTE_MS - 1
    assert rows[1][7:] == ["0.00000", 0, "0.000", "0.00000", "0"]
    pair = {"pair": "BTCUSDT", "contractType": "PERPETUAL"}
    sparse = quiet.get("continuousKlines", interval="1m", **pair)
    assert [minute for minute, _, _ in _minutes(sparse)] == [0, 3, 4]


@pytest.mark.parametrize(
    ("first", "last", "limit", "minutes"),
    [
        (None, None, 2, [3, 4]),
        (None, None, 4, [1, 2, 3, 4]),
        (None, 2, 2, [1, 2]),
        (None, 1, 9, [0, 1]),
        (1, None, 2, [1, 2]),
        (1, 3, 9, [1, 2, 3]),
        (2, 2, 9, [2]),
        (5, None, 9, []),
    ],
)
def test_a_window_of_klines_may_begin_and_end_where_nobody_traded(
    quiet: Reports, first: int | None, last: int | None, limit: int, minutes: list[int]
) -> None:
    window = {"startTime": first, "endTime": last}
    asked = {k: START_MS + v * MINUTE_MS for k, v in window.items() if v is not None}
    rows = quiet.get("klines", symbol="BTCUSDT", interval="1m", limit=limit, **asked)
    assert [minute for minute, _, _ in _minutes(rows)] == minutes


def test_years_of_silence_cost_no_more_than_what_is_asked_for(reports: Reports) -> None:
    candles = reports.market.symbols["BTCUSDT"].candles
    for years in (0, 40):
        bar = ClosedBar(
            0, "BTCUSDT", "1m", START_MS + years * 365 * 1_440 * MINUTE_MS, *[Decimal(9)] * 4,
            Decimal(1),
        )  # fmt: skip
        candles.close_due(bar.open_ms)
        candles.close_bar(bar)
    assert len(reports.get("klines", symbol="BTCUSDT", interval="1m", limit=1_500)) == 1_500
    opened = [row[0] for row in reports.get("klines", symbol="BTCUSDT", interval="1M")]
    assert len(opened) == 481, "months have no one length"
    assert opened == sorted(opened)


def test_an_aggregate_older_than_two_days_may_not_be_asked_for_by_its_id(reports: Reports) -> None:
    reports.trade(0)
    reports.trade(1_000)
    reports.reach(2_000)
    assert [row["a"] for row in reports.get("aggTrades", symbol="BTCUSDT", fromId=1)] == [1, 2]
    reports.now_ms = START_MS + 48 * 3_600_000 + 1
    code, text = reports.refused("aggTrades", symbol="BTCUSDT", fromId=1)
    assert (code, text) == (-4166, "Search window is restricted to recent 2 days only.")
    assert [row["a"] for row in reports.get("aggTrades", symbol="BTCUSDT", fromId=2)] == [2]


def test_the_newest_200_fundings_come_unasked_and_100_of_a_window(reports: Reports) -> None:
    rates = reports.market.funding_rates
    for number in range(250):
        rates.settle("BTCUSDT", START_MS + number, Decimal(100))
    assert len(reports.get("fundingRate", symbol="BTCUSDT")) == 200
    window = reports.get("fundingRate", symbol="BTCUSDT", startTime=START_MS)
    assert [row["fundingTime"] - START_MS for row in window] == [*range(100)]
    assert len(reports.get("fundingRate", symbol="BTCUSDT", limit=250)) == 250


def test_the_only_margin_asset_is_worth_a_dollar(reports: Reports) -> None:
    row = reports.get("assetIndex", symbol="USDTUSD")
    assert list(row) == [
        "symbol", "time", "index", "bidBuffer", "askBuffer", "bidRate", "askRate",
        "autoExchangeBidBuffer", "autoExchangeAskBuffer", "autoExchangeBidRate",
        "autoExchangeAskRate",
    ]  # fmt: skip
    assert (row["index"], row["bidBuffer"], row["askRate"]) == (
        "1.00000000",
        "0.00000000",
        "1.00000000",
    )
    assert reports.get("assetIndex") == [row]
    assert reports.refused("assetIndex", symbol="ADAUSD") == (-1121, "Invalid symbol.")


def test_the_streams_of_margin_assets_speak_every_second(reports: Reports) -> None:
    heard: list[Any] = []
    reports.market.is_heard = lambda stream: "assetIndex" in stream
    for _ in range(2):
        due_ns = reports.market.next_due_ns
        for step in reports.market.advance(due_ns):
            heard += [(due_ns // NS - START_MS, *message) for message in step.messages]
    assert [(ms, stream) for ms, stream, _ in heard] == [
        (ms, stream)
        for ms in (1_000, 2_000)
        for stream in ("usdtusd@assetIndex", "!assetIndex@arr")
    ]
    told = heard[0][2]
    assert list(told) == ["e", "E", "s", *"ibaBAqgQG"]
    assert (told["e"], told["s"], told["i"]) == ("assetIndexUpdate", "USDTUSD", "1.00000000")
    assert heard[1][2] == [told]


def test_no_composite_index_is_listed(reports: Reports) -> None:
    assert reports.get("indexInfo") == reports.get("indexInfo", symbol="BTCUSDT") == []
    assert reports.refused("indexInfo", symbol="DEFIUSDT")[0] == -1121
