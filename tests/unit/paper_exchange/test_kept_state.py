"""A venue that is killed comes back as its clients knew it."""

import pickle

import pytest

from services.paper_exchange.config import Settings
from services.paper_exchange.kept_state import KeptState, KeptStateError, keeper

READS = (
    "/fapi/v3/account",
    "/fapi/v3/positionRisk",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/allOrders",
    "/fapi/v1/userTrades",
    "/fapi/v1/income",
)


def busy(make_venue):
    """A venue with a position, a resting order, a stop, fills, income and a listen key."""
    venue = make_venue()
    assert venue.call("POST", "/fapi/v1/listenKey").status == 200
    assert venue.order("BUY", "0.010").status == 200
    assert venue.order("BUY", "0.010", "49000", newClientOrderId="resting").status == 200
    stop = venue.call(
        "POST",
        "/fapi/v1/algoOrder",
        algoType="CONDITIONAL",
        symbol="BTCUSDT",
        side="SELL",
        type="STOP_MARKET",
        triggerPrice="48000",
        closePosition="true",
    )
    assert stop.status == 200, stop
    return venue


def seen(venue):
    """All that its customer can ask for."""
    return [
        venue.get(path, **({} if path.endswith(("account", "income")) else {"symbol": "BTCUSDT"}))
        for path in READS
    ]


def reborn(make_venue, path, now_ns):
    """A process that begins with the file of another."""
    venue = make_venue()
    venue.now_ns = now_ns
    KeptState(path).restore(venue.exchange, now_ns)
    venue.account = venue.exchange.accounts["one"]
    return venue


def test_a_customer_sees_the_same_before_and_after_a_restart(make_venue, tmp_path):
    venue = busy(make_venue)
    path = tmp_path / "state"
    KeptState(path).keep(venue.exchange, venue.now_ns, is_certain=True)
    assert seen(reborn(make_venue, path, venue.now_ns)) == seen(venue)


def test_trading_goes_on_with_new_ids_and_the_orders_that_rest(make_venue, tmp_path):
    venue = busy(make_venue)
    path = tmp_path / "state"
    KeptState(path).keep(venue.exchange, venue.now_ns, is_certain=True)
    later = reborn(make_venue, path, venue.now_ns)
    before = {trade["id"] for trade in later.get("/fapi/v1/userTrades", symbol="BTCUSDT")}
    later.trade("BTCUSDT", "48900", "5", is_buyer_maker=True)
    trades = later.get("/fapi/v1/userTrades", symbol="BTCUSDT")
    assert {trade["id"] for trade in trades} > before
    order = later.get("/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="resting")
    assert order["status"] == "FILLED"
    assert later.exchange.ledger.total() == 0
    # The stop watches as before: it goes off and closes what there is.
    later.depth("BTCUSDT", [("47900", "1000")], [("47900.10", "1000")], mark="47900")
    later.trade("BTCUSDT", "47900", "1", is_buyer_maker=True)
    (position,) = later.get("/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert float(position["positionAmt"]) == 0


def test_a_fill_that_no_request_caused_is_kept_and_nothing_new_is_not_written(make_venue, tmp_path):
    venue = busy(make_venue)
    path = tmp_path / "state"
    keep = keeper(KeptState(path), venue.exchange, lambda: venue.now_ns)
    keep(False)
    first = path.read_bytes()
    path.unlink()
    keep(False)
    assert not path.exists()
    venue.trade("BTCUSDT", "48900", "5", is_buyer_maker=True)
    keep(False)
    assert path.read_bytes() != first
    assert seen(reborn(make_venue, path, venue.now_ns)) == seen(venue)


def test_without_a_file_a_venue_starts_as_it_is(make_venue, tmp_path):
    venue = make_venue()
    assert KeptState(tmp_path / "none").restore(venue.exchange, venue.now_ns) == venue.now_ns


class _Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps(_Evil()), pickle.dumps({})])
def test_a_file_that_is_no_state_is_refused_and_runs_no_code(content, make_venue, tmp_path, capsys):
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(KeptStateError, match="is no state of a venue"):
        KeptState(path).restore(make_venue().exchange, 1)
    assert "run" not in capsys.readouterr().out


def test_only_a_market_whose_time_never_goes_back_may_be_kept(tmp_path):
    for other in ({"speed": 2}, {"hold": True}):
        with pytest.raises(ValueError, match="elsewhere time goes back"):
            Settings(state=tmp_path / "state", **other)
