"""The spread and the predicted slippage: what an entry may cost beside its price, and no exit."""

from decimal import Decimal

import msgspec
import pytest
from pydantic import ValidationError

from libs.common.messages.intents import ApprovalBody
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.model.verdict import Reason
from services.risk.config import LimitsConfig, RiskConfig, SizingConfig
from services.risk.core import decide
from services.risk.slippage import spread_bps

#: 10 bps of 60,000 wide, and a trifle more.
AT_THE_LIMIT = ("59970", "60030")
TOO_WIDE = ("59970", "60030.01")


def judge(make, *, intent=None, limits=None, sizing=None, **facts):
    return decide(
        limits or LimitsConfig(),
        sizing or SizingConfig(),
        make.facts(**facts),
        intent or make.intent(),
        account="paper",
        now_ns=make.now_ns,
        now_wall_ns=7,
    )


def found(decision, check):
    (verdict,) = [one for one in decision.verdicts if one.check == check]
    return verdict


def thin(make, bid, ask, size):
    quote = make.quote(bid, ask)
    return msgspec.structs.replace(quote, bid_quantity=Decimal(size), ask_quantity=Decimal(size))


@pytest.mark.parametrize(
    ("bid", "ask", "bps"),
    [
        ("60000", "60000", "0"),
        ("59999.95", "60000.05", "0.0167"),
        (*AT_THE_LIMIT, "10"),
        (*TOO_WIDE, "10.0017"),
        ("1", "3", "10000"),
        ("0.0000001", "99999999", "20000"),
    ],
)
def test_the_spread_is_ask_minus_bid_over_their_middle_rounded_up(make, bid, ask, bps):
    assert spread_bps(make.quote(bid, ask)) == Decimal(bps)


def test_a_quote_that_makes_no_sense_has_no_spread(make):
    assert spread_bps(None) is None
    assert spread_bps(make.quote("60001", "60000")) is None
    for bad in ("NaN", "sNaN", "Infinity", "-1", "0", "1e400"):
        assert spread_bps(make.quote(bad, "60000")) is None
        assert spread_bps(make.quote("60000", bad)) is None


def test_an_entry_passes_at_the_limit_of_the_spread_and_is_refused_above_it(make):
    passed = judge(make, quote=make.quote(*AT_THE_LIMIT))
    assert isinstance(passed, ApprovalBody)
    refused = judge(make, quote=make.quote(*TOO_WIDE))
    assert refused.reason is Reason.SPREAD
    verdict = found(refused, "spread")
    assert (verdict.limit, verdict.observed) == ("10 bps", "10.0017 bps")


def test_an_entry_passes_at_the_limit_of_the_slippage_and_is_refused_above_it(make):
    before = make.intent(reference_price=Decimal("59701.5"))
    assert found(judge(make, intent=before), "slippage").observed == "49.9987 bps"
    assert isinstance(judge(make, intent=before), ApprovalBody)
    long_before = make.intent(reference_price=Decimal("59701.4"))
    refused = judge(make, intent=long_before)
    assert refused.reason is Reason.SLIPPAGE
    assert found(refused, "slippage").limit == "50 bps"


def test_what_a_market_moved_in_favour_is_no_slippage(make):
    selling = make.intent(side=Side.SELL, reference_price=Decimal(59_000))
    assert isinstance(judge(make, intent=selling), ApprovalBody)


def test_an_order_that_walks_a_thin_book_too_far_is_refused(make):
    quote = thin(make, "59990", "60000", "0.0001")
    refused = judge(make, quote=quote)
    assert refused.reason is Reason.SLIPPAGE
    assert found(refused, "spread").passed
    limit = make.intent(
        order_type=OrderType.LIMIT, price=Decimal(60_100), time_in_force=TimeInForce.GTC
    )
    assert isinstance(judge(make, intent=limit, quote=quote), ApprovalBody)


def test_an_order_beyond_every_book_is_refused_though_its_slippage_cannot_be_told(make):
    refused = judge(make, quote=thin(make, "59999.99", "60000", "0.00001"))
    assert refused.reason is Reason.SLIPPAGE
    assert found(refused, "slippage").observed == "unknown"


@pytest.mark.parametrize("quote", [None, ("60001", "60000"), ("NaN", "60000"), ("0", "60000")])
def test_without_a_sound_quote_both_refuse_and_tell_that_nothing_is_known(make, quote):
    refused = judge(make, quote=None if quote is None else make.quote(*quote))
    for check in ("spread", "slippage"):
        verdict = found(refused, check)
        assert (verdict.passed, verdict.reason) == (False, Reason.INPUT_STALE)
        assert verdict.observed == "unknown"


@pytest.mark.parametrize("quote", [("50000", "60000"), ("60001", "60000")])
def test_an_exit_leaves_through_any_spread_and_both_are_told_all_the_same(make, quote):
    leaving = make.intent(purpose=Purpose.EXIT, side=Side.SELL, reference_price=Decimal(99_000))
    account = make.account(positions=(make.position("0.01"),))
    decision = judge(make, intent=leaving, account=account, quote=make.quote(*quote))
    for check in ("spread", "slippage"):
        verdict = found(decision, check)
        assert verdict.passed
        assert verdict.limit == "none for an exit"
        assert verdict.observed


def test_both_are_evaluated_whatever_else_refuses(make):
    refused = judge(make, limits=LimitsConfig(symbols_allowed=()), account=None)
    assert refused.reason is Reason.ACCOUNT_STALE
    assert found(refused, "spread").passed
    assert found(refused, "slippage").passed


def test_a_symbol_may_have_limits_of_its_own_and_keeps_the_others(make):
    own = {"BTCUSDT": {"spread_bps_max": "20"}, "ETHUSDT": {"slippage_bps_max": "1"}}
    limits = LimitsConfig.model_validate({"per_symbol": own})
    assert isinstance(judge(make, limits=limits, quote=make.quote(*TOO_WIDE)), ApprovalBody)
    bitcoin, ether = limits.for_symbol("BTCUSDT"), limits.for_symbol("ETHUSDT")
    assert (bitcoin.spread_bps_max, bitcoin.slippage_bps_max) == (20, 50)
    assert (ether.spread_bps_max, ether.slippage_bps_max) == (10, 1)
    assert limits.for_symbol("XRPUSDT") is limits


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-1", "10000", "none"])
@pytest.mark.parametrize("name", ["spread_bps_max", "slippage_bps_max"])
def test_a_limit_that_limits_nothing_is_no_configuration(name, bad):
    for limits in ({name: bad}, {"per_symbol": {"BTCUSDT": {name: bad}}}):
        with pytest.raises(ValidationError, match=name):
            RiskConfig.model_validate({"limits": limits})
