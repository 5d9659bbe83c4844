"""What risk decides: each check by itself, all of them always, and the order that comes of it."""

from decimal import Decimal

import pytest

from libs.common.messages.intents import ApprovalBody
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, OrderType, Side, TimeInForce
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from services.risk.checks import CHECKS
from services.risk.config import LimitsConfig, RiskConfig, SizingConfig
from services.risk.core import Board, Refusal, decide

MS = 1_000_000
NAN = "NaN"


def judge(make, *, intent=None, facts=None, limits=None, sizing=None):
    return decide(
        limits or LimitsConfig(),
        sizing or SizingConfig(),
        make.facts() if facts is None else facts,
        intent or make.intent(),
        account="paper",
        now_ns=make.now_ns,
        now_wall_ns=7,
    )


def assert_refused(decision, reason, check):
    """The reason is the first; the named check is among those that failed."""
    assert isinstance(decision, Refusal)
    assert decision.reason is reason
    assert check in [verdict.check for verdict in decision.verdicts if not verdict.passed]
    assert len(decision.verdicts) == len(CHECKS)
    assert all((item.reason is None) == item.passed for item in decision.verdicts)


def test_an_entry_in_a_sound_world_becomes_a_market_order_of_the_fixed_notional(make):
    body = judge(make)
    assert isinstance(body, ApprovalBody)
    assert body.order.quantity == Decimal("0.01666666")
    assert (body.order.side, body.order.order_type) == (Side.BUY, OrderType.MARKET)
    assert not body.order.reduce_only
    assert body.reference_price == 60_000
    assert body.expires_at_ns == body.intent.expires_at_ns
    assert (body.decided_at_ns, body.decided_wall_ns) == (make.now_ns, 7)
    assert [item.check for item in body.verdicts] == [check.__name__ for check in CHECKS]
    assert all(item.passed and item.limit and item.observed for item in body.verdicts)


def test_an_exit_is_a_reduce_only_order_over_the_whole_position(make):
    intent = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    account = make.account(positions=(make.position("0.5"),))
    body = judge(make, intent=intent, facts=make.facts(account=account))
    assert isinstance(body, ApprovalBody)
    assert body.order.quantity == Decimal("0.5")
    assert body.order.reduce_only


def test_an_exit_gives_back_no_more_than_is_held(make):
    intent = make.intent(purpose=Purpose.EXIT, side=Side.BUY, quantity=Decimal(9))
    account = make.account(positions=(make.position("-0.5"),))
    assert judge(make, intent=intent, facts=make.facts(account=account)).order.quantity == Decimal(
        "0.5"
    )


def test_a_limit_intent_keeps_its_price_and_time_in_force(make):
    intent = make.intent(
        order_type=OrderType.LIMIT, price=Decimal(59_000), time_in_force=TimeInForce.GTC
    )
    order = judge(make, intent=intent).order
    assert (order.price, order.time_in_force) == (Decimal(59_000), TimeInForce.GTC)


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        ({"trading_state": TradingState.HALTED}, Reason.TRADING_HALTED),
        ({"trading_state": TradingState.REDUCING}, Reason.REDUCE_ONLY),
        ({"armed": False, "unarmed_reasons": ("clock",)}, Reason.TRADING_HALTED),
    ],
)
def test_an_entry_needs_an_active_and_armed_account(make, account, reason):
    facts = make.facts(account=make.account(**account))
    assert_refused(judge(make, facts=facts), reason, "trading_state")


@pytest.mark.parametrize("state", [TradingState.ACTIVE, TradingState.REDUCING])
@pytest.mark.parametrize("armed", [True, False])
def test_an_exit_passes_while_reducing_or_unarmed(make, state, armed):
    account = make.account(trading_state=state, armed=armed, positions=(make.position(1),))
    intent = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    assert isinstance(judge(make, intent=intent, facts=make.facts(account=account)), ApprovalBody)


def test_an_exit_does_not_pass_while_halted(make):
    account = make.account(
        trading_state=TradingState.HALTED, positions=(make.position(1),), armed=True
    )
    intent = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    decision = judge(make, intent=intent, facts=make.facts(account=account))
    assert_refused(decision, Reason.TRADING_HALTED, "trading_state")


@pytest.mark.parametrize("past_ns", [0, 1, 10**9])
def test_an_expired_intent_is_refused(make, past_ns):
    intent = make.intent(expires_at_ns=make.now_ns - past_ns)
    assert_refused(judge(make, intent=intent), Reason.INTENT_EXPIRED, "intent_expiry")


@pytest.mark.parametrize(
    "times",
    [
        {"expires_at_ns": 120_000 * MS},
        {"created_at_ns": 30_000 * MS, "expires_at_ns": 31_000 * MS},
    ],
)
def test_an_intent_from_the_future_or_for_too_long_is_invalid(make, times):
    intent = make.intent(**{name: make.now_ns + ns for name, ns in times.items()})
    assert_refused(judge(make, intent=intent), Reason.INTENT_INVALID, "intent_lifetime")


SELL, EXIT = {"side": Side.SELL}, {"purpose": Purpose.EXIT, "side": Side.SELL}
LIMIT = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
#: Changes of an intent at 60,000, and what is wrong with its stop or target.
MISPLACED = [
    ({"stop_price": Decimal(60_000)}, "stop_price 60000 is not below 60000"),
    ({"stop_price": Decimal(60_001)}, "stop_price 60001 is not below 60000"),
    ({"target_price": Decimal(59_999)}, "target_price 59999 is not above 60000"),
    (SELL | {"stop_price": Decimal(59_000)}, "stop_price 59000 is not above 60000"),
    (SELL | {"target_price": Decimal(61_000)}, "target_price 61000 is not below 60000"),
    (EXIT | {"stop_price": Decimal(59_000)}, "an exit carries no stop_price"),
    (EXIT | {"target_price": Decimal(61_000)}, "an exit carries no target_price"),
    ({"stop_price": Decimal("NaN")}, "stop_price or the price is no number"),
    (
        LIMIT | {"price": Decimal(58_000), "stop_price": Decimal(59_000)},
        "stop_price 59000 is not below 58000",
    ),
]


@pytest.mark.parametrize(("changes", "fault"), MISPLACED)
def test_a_stop_or_target_on_the_wrong_side_is_refused(make, changes, fault):
    account = make.account(positions=(make.position(1),))
    refusal = judge(make, intent=make.intent(**changes), facts=make.facts(account=account))
    found = next(item for item in refusal.verdicts if item.check == "intent_protection")
    assert (found.reason, found.observed) == (Reason.INTENT_INVALID, fault)


def test_a_stop_that_the_mark_price_has_passed_already_is_refused(make):
    facts = make.facts(marks={"BTCUSDT": make.mark("58000")})
    refusal = judge(make, intent=make.intent(stop_price=Decimal(59_000)), facts=facts)
    found = next(item for item in refusal.verdicts if item.check == "intent_protection")
    assert found.observed == "stop_price 59000 is not below 58000"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_price": Decimal(59_000), "target_price": Decimal(61_000)},
        SELL | {"stop_price": Decimal(61_000), "target_price": Decimal(59_000)},
        LIMIT | {"price": Decimal(58_000), "target_price": Decimal(59_000)},
    ],
)
def test_a_stop_and_target_on_their_sides_pass(make, changes):
    body = judge(make, intent=make.intent(**changes))
    assert isinstance(body, ApprovalBody)
    assert body.intent.stop_price == changes.get("stop_price")


@pytest.mark.parametrize(
    ("quote", "check"),
    [
        (None, "quote_age"),
        ({"age_ms": 10_001}, "quote_age"),
        ({"age_ms": -10_001}, "quote_age"),
        ({"bid": NAN}, "quote_age"),
        ({"ask": NAN}, "quote_age"),
        ({"ask": "sNaN"}, "quote_age"),
        ({"ask": "Infinity"}, "quote_age"),
        ({"bid": "0"}, "quote_age"),
        ({"bid": "60001"}, "quote_age"),
    ],
)
def test_a_missing_stale_or_absurd_quote_is_refused(make, quote, check):
    facts = make.facts(quote=None if quote is None else make.quote(**quote))
    assert_refused(judge(make, facts=facts), Reason.INPUT_STALE, check)


@pytest.mark.parametrize(
    "marks",
    [None, {"age_ms": 10_001}, {"age_ms": -10_001}, {"price": NAN}, {"price": "-1"}],
)
def test_a_missing_stale_or_absurd_mark_is_refused(make, marks):
    facts = make.facts(marks={} if marks is None else {"BTCUSDT": make.mark(**marks)})
    assert_refused(judge(make, facts=facts), Reason.INPUT_STALE, "mark_age")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_an_unknown_account_is_refused(make, purpose):
    decision = judge(make, intent=make.intent(purpose=purpose), facts=make.facts(account=None))
    assert_refused(decision, Reason.ACCOUNT_STALE, "account_silence")


@pytest.mark.parametrize("silence_ms", [None, 5_001, -1])
def test_an_account_that_fell_silent_is_refused(make, silence_ms):
    decision = judge(make, facts=make.facts(account_silence_ms=silence_ms))
    assert_refused(decision, Reason.ACCOUNT_STALE, "account_silence")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (None, Reason.INPUT_STALE),
        ({"silence_ms": 5_001}, Reason.INPUT_STALE),
        ({"silence_ms": -1}, Reason.INPUT_STALE),
        ({"is_stale": True}, Reason.INPUT_STALE),
        ({"refusal": "our clock is off"}, Reason.INPUT_STALE),
        ({"status": "SETTLING", "refusal": "x"}, Reason.FILTER_STATUS),
        ({"status": "UNREADABLE", "refusal": "x"}, Reason.FILTER_STATUS),
        ({"status": "UNKNOWN"}, Reason.FILTER_STATUS),
    ],
)
def test_a_symbol_that_the_feed_does_not_vouch_for_is_not_entered_but_can_be_left(
    make, said, reason
):
    health = None if said is None else make.seen(**said)
    assert_refused(judge(make, facts=make.facts(health=health)), reason, "symbol_trades")
    account = make.account(positions=(make.position("0.1"),))
    leaving = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    facts = make.facts(account=account, health=health)
    assert isinstance(judge(make, intent=leaving, facts=facts), ApprovalBody)


@pytest.mark.parametrize("allowed", [(), ("ETHUSDT",)])
def test_a_symbol_that_is_not_on_the_list_is_refused(make, allowed):
    decision = judge(make, limits=LimitsConfig(symbols_allowed=allowed))
    assert_refused(decision, Reason.SYMBOL_NOT_ALLOWED, "symbol_allowed")


def test_an_order_over_the_largest_notional_is_refused(make):
    intent = make.intent(quantity=Decimal("0.08333334"))
    assert_refused(judge(make, intent=intent), Reason.ORDER_NOTIONAL, "order_notional")
    at_limit = judge(make, intent=make.intent(quantity=Decimal("0.08333333")))
    assert isinstance(at_limit, ApprovalBody)


def test_a_position_that_would_grow_too_large_is_refused(make):
    account = make.account(positions=(make.position("-0.2"),))
    decision = judge(
        make,
        intent=make.intent(quantity=Decimal("0.08")),
        facts=make.facts(account=account),
        limits=LimitsConfig(position_notional_max=Decimal(7_000)),
    )
    assert_refused(decision, Reason.POSITION_NOTIONAL, "position_notional")


def test_one_symbol_too_many_is_refused(make):
    account = make.account(positions=(make.position(1, symbol="ETHUSDT"),))
    decision = judge(make, facts=make.facts(account=account), limits=LimitsConfig(positions_max=1))
    assert_refused(decision, Reason.POSITIONS_MAX, "positions_count")


@pytest.mark.parametrize(
    ("account", "approved"),
    [
        ({"orders": "open"}, ()),
        ({"orders": "unknown"}, ()),
        ({"orders": "exit"}, ()),
        ({"positions": "1"}, ()),
        ({}, ("BTCUSDT",)),
    ],
)
def test_an_entry_that_repeats_itself_is_refused(make, account, approved):
    parts = {
        "open": (make.order(),),
        "unknown": (make.order(status=OrderStatus.UNKNOWN),),
        "exit": (make.order(reduce_only=True),),
        "1": (make.position("0.001"),),
    }
    changed = make.account(**{name: parts[key] for name, key in account.items()})
    facts = make.facts(account=changed, symbols_approved=frozenset(approved))
    assert_refused(judge(make, facts=facts), Reason.POSITION_DUPLICATE, "position_duplicate")


def test_an_order_on_another_symbol_is_no_duplicate(make):
    account = make.account(orders=(make.order(symbol="ETHUSDT"),))
    assert isinstance(judge(make, facts=make.facts(account=account)), ApprovalBody)


@pytest.mark.parametrize(("held", "side"), [("0", "SELL"), ("1", "BUY"), ("-1", "SELL")])
def test_an_exit_that_would_reduce_nothing_is_refused(make, held, side):
    account = make.account(positions=(make.position(held),))
    intent = make.intent(purpose=Purpose.EXIT, side=Side(side))
    decision = judge(make, intent=intent, facts=make.facts(account=account))
    assert_refused(decision, Reason.POSITION_ABSENT, "exit_position")


def test_limits_on_what_may_be_held_do_not_trap_a_position(make):
    account = make.account(positions=(make.position(50), make.position(1, symbol="ETHUSDT")))
    limits = LimitsConfig(positions_max=0, position_notional_max=1, order_notional_max=1)
    intent = make.intent(purpose=Purpose.EXIT, side=Side.SELL)
    body = judge(make, intent=intent, facts=make.facts(account=account), limits=limits)
    assert isinstance(body, ApprovalBody)


def test_every_check_is_evaluated_and_the_first_that_fails_gives_the_reason(make):
    decision = judge(
        make,
        intent=make.intent(expires_at_ns=make.now_ns, quantity=Decimal(100)),
        facts=make.facts(quote=None),
        limits=LimitsConfig(symbols_allowed=()),
    )
    assert decision.reason is Reason.INTENT_EXPIRED
    assert [item.check for item in decision.verdicts if not item.passed] == [
        "intent_expiry",
        "quote_age",
        "symbol_allowed",
        "order_notional",
        "position_notional",
        "spread",
        "slippage",
    ]


def test_an_approved_entry_counts_until_it_expires(make):
    board = Board()
    board.remember(judge(make))
    expires_at_ns = make.intent().expires_at_ns
    before = board.facts("BTCUSDT", now_ns=expires_at_ns - 1, heard_now_ns=0)
    after = board.facts("BTCUSDT", now_ns=expires_at_ns, heard_now_ns=0)
    assert before.symbols_approved == {"BTCUSDT"}
    assert after.symbols_approved == frozenset()


def test_the_board_keeps_the_newest_and_refuses_the_absurd(make):
    board = Board()
    newest = make.quote(age_ms=1)
    assert board.hear_quote(newest)
    assert board.hear_quote(make.quote(age_ms=100))
    assert not board.hear_quote(make.quote(bid=NAN, age_ms=0))
    assert not board.hear_mark(make.mark(price="0"))
    assert board.hear_account(make.account(journal_sequence=5), 10)
    assert board.hear_account(make.account(journal_sequence=4), 20)
    assert not board.hear_account(make.account(wallet_balance=Decimal(NAN)), 30)
    facts = board.facts("BTCUSDT", now_ns=make.now_ns, heard_now_ns=3_000_010)
    assert facts.quote is newest
    assert facts.marks == {}
    assert facts.account is not None
    assert facts.account.journal_sequence == 5
    assert facts.account_silence_ms == 3


def test_the_defaults_name_their_symbols():
    assert RiskConfig().limits.symbols_allowed == ("BTCUSDT", "ETHUSDT")
