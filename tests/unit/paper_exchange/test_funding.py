"""Funding: its rate follows the premium, and at its time longs and shorts settle it."""

from decimal import Decimal

import msgspec
import pytest

from services.paper_exchange.market.funding_rates import FUNDINGS_KEPT_MAX, FundingRates
from services.paper_exchange.market.instruments import INSTRUMENTS

HOUR_S = 3_600
HOUR_MS = HOUR_S * 1_000
SECOND_NS = 1_000_000_000
BTC = {"BTCUSDT": INSTRUMENTS["BTCUSDT"]}


def seconds_to_funding(venue) -> int:
    now_s = venue.now_ns // SECOND_NS
    return 8 * HOUR_S - now_s % (8 * HOUR_S)


def pass_funding(venue):
    venue.exchange.advance(venue.now_ns)
    venue.sleep(seconds_to_funding(venue))


def funding_rows(venue):
    return venue.get("/fapi/v1/income", incomeType="FUNDING_FEE")


def test_a_mark_at_the_index_leaves_the_interest_rate():
    rates = FundingRates(BTC)
    rates.sample("BTCUSDT", Decimal(50_000), Decimal(50_000), SECOND_NS)
    assert rates.rate("BTCUSDT") == Decimal("0.0001")


@pytest.mark.parametrize(
    ("mark", "rate"),
    [
        ("50010", "0.0001"),
        ("50100", "0.0015"),
        ("49900", "-0.0015"),
        ("60000", "0.003"),
        ("40000", "-0.003"),
    ],
)
def test_the_rate_is_the_premium_pulled_by_interest_and_capped(mark, rate):
    rates = FundingRates(BTC)
    for second in range(1, 5):
        rates.sample("BTCUSDT", Decimal(mark), Decimal(50_000), second * SECOND_NS)
    assert rates.rate("BTCUSDT") == Decimal(rate)


def test_late_premiums_weigh_more_than_early_ones():
    rates = FundingRates(BTC)
    rates.sample("BTCUSDT", Decimal(50_075), Decimal(50_000), SECOND_NS)
    rates.sample("BTCUSDT", Decimal(50_150), Decimal(50_000), 2 * SECOND_NS)
    assert rates.rate("BTCUSDT") == Decimal("0.002")


def test_a_second_sample_of_one_second_changes_nothing():
    rates = FundingRates(BTC)
    rates.sample("BTCUSDT", Decimal(50_100), Decimal(50_000), SECOND_NS)
    rates.sample("BTCUSDT", Decimal(90_000), Decimal(50_000), SECOND_NS + 5)
    assert rates.rate("BTCUSDT") == Decimal("0.0015")


def test_the_history_of_fundings_is_bounded_and_samples_start_afresh():
    rates = FundingRates(BTC)
    rates.sample("BTCUSDT", Decimal(50_100), Decimal(50_000), SECOND_NS)
    for number in range(FUNDINGS_KEPT_MAX + 5):
        rates.settle("BTCUSDT", number * 8 * HOUR_MS, Decimal(50_000))
    found = rates.history("BTCUSDT")
    assert len(found) == FUNDINGS_KEPT_MAX
    assert found[-1].rate == Decimal("0.0001")


def test_the_fundings_of_the_time_before_the_start_are_known():
    rates = FundingRates(INSTRUMENTS)
    hours = (11, 12, 15, 16, 17)
    for hour in hours:
        rates.seed("BTCUSDT", hour * HOUR_MS, Decimal(50_000 + hour))
    rows = [(row.funding_ms // HOUR_MS, row.mark_price) for row in rates.history("BTCUSDT")]
    assert rows == [(8, Decimal(50_011)), (16, Decimal(50_016))]
    assert {row.rate for row in rates.history("BTCUSDT")} == {Decimal("0.0001")}


def test_a_long_pays_at_the_funding_time_and_never_before(venue):
    venue.order("BUY", "0.100")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.exchange.advance(venue.now_ns)
    venue.sleep(seconds_to_funding(venue) - 1)
    assert funding_rows(venue) == []
    before = venue.exchange.wallet_of(venue.account)
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    venue.sleep(1)
    (row,) = funding_rows(venue)
    assert row["income"] == "-0.50000000"
    assert (row["symbol"], row["asset"], row["tradeId"]) == ("BTCUSDT", "USDT", "")
    assert row["time"] % (8 * HOUR_MS) == 0
    assert venue.exchange.wallet_of(venue.account) == before - Decimal("0.5")
    assert venue.exchange.ledger.balance("funding") == Decimal("0.5")
    assert venue.exchange.ledger.total() == 0
    (event,) = venue.events()
    assert event["e"] == "ACCOUNT_UPDATE"
    change = event["a"]
    assert (change["m"], change["S"], change["P"]) == ("FUNDING_FEE", "BTCUSDT", [])
    assert change["B"][0]["bc"] == "-0.50000000"


def test_a_short_receives_and_the_break_even_price_moves(venue):
    venue.order("SELL", "0.100")
    before = venue.account.position("BTCUSDT").break_even_price
    pass_funding(venue)
    (row,) = funding_rows(venue)
    assert row["income"] == "0.50000000"
    assert venue.account.position("BTCUSDT").break_even_price == before + 5


def test_an_isolated_position_pays_from_its_own_wallet_and_says_so(venue):
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    venue.order("BUY", "0.100")
    own = venue.exchange.isolated_wallet_of(venue.account, "BTCUSDT", "BOTH")
    venue.exchange.advance(venue.now_ns)
    venue.sleep(seconds_to_funding(venue) - 1)
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    venue.sleep(1)
    found = venue.exchange.isolated_wallet_of(venue.account, "BTCUSDT", "BOTH")
    assert found == own - Decimal("0.5")
    (event,) = venue.events()
    (position,) = event["a"]["P"]
    assert (position["s"], position["mt"]) == ("BTCUSDT", "isolated")


def test_a_dictated_rate_is_what_is_paid_and_remembered(venue):
    venue.exchange.funding_rates.overrides["BTCUSDT"] = Decimal("-0.03")
    venue.order("BUY", "0.100")
    pass_funding(venue)
    (row,) = funding_rows(venue)
    assert row["income"] == "150.00000000"
    (funding,) = venue.exchange.funding_rates.history("BTCUSDT")
    assert (funding.rate, funding.mark_price) == (Decimal("-0.03"), Decimal("50000.00"))


def test_nobody_pays_without_a_position_but_the_funding_is_known(venue):
    pass_funding(venue)
    assert funding_rows(venue) == []
    assert len(venue.exchange.funding_rates.history("ETHUSDT")) == 1


def test_every_funding_time_of_a_long_silence_is_settled(venue):
    venue.order("BUY", "0.100")
    venue.exchange.advance(venue.now_ns)
    venue.sleep(24 * HOUR_S)
    assert [row["income"] for row in funding_rows(venue)] == ["-0.50000000"] * 3


def test_a_shorter_interval_has_more_fundings_at_a_smaller_rate(venue):
    listed = msgspec.structs.replace(INSTRUMENTS["BTCUSDT"], funding_interval_hours=4)
    instruments = {**venue.exchange.instruments, "BTCUSDT": listed}
    venue.exchange.instruments = instruments
    venue.exchange.funding_rates = FundingRates(instruments)
    venue.order("BUY", "0.100")
    venue.order("BUY", "1.000", symbol="ETHUSDT")
    venue.exchange.advance(venue.now_ns)
    venue.sleep(24 * HOUR_S)
    rows = [(row["symbol"], row["income"]) for row in funding_rows(venue)]
    assert rows.count(("BTCUSDT", "-0.25000000")) == 6
    assert rows.count(("ETHUSDT", "-0.30000000")) == 3
    times = [funding.funding_ms for funding in venue.exchange.funding_rates.history("BTCUSDT")]
    assert all(time_ms % (4 * HOUR_MS) == 0 for time_ms in times)
