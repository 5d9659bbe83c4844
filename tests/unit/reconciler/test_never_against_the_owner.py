"""No remedy ever trades: whatever differs, nothing is asked for that could open or turn a position.

What is asked for is carried out by execution elsewhere; here it is shown that nothing else is ever
asked for, and that the repairs have no way to place an order.
"""

import ast
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages.account import OrderView, SettingsView, TradesView, Verb
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.ids import derive_client_algo_id, derive_client_order_id, is_derived_id
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from services.reconciler.core import compare, confirmed
from services.reconciler.remedies import CHOICES, Policies, Policy, decide_remedies, policy_of
from services.reconciler.snapshots import SettingsSeen, TradeSeen, VenueOrderSeen
from tests.unit.reconciler import snapshot_cases as cases

SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: Of all that execution can be asked for, what changes no position and opens no order.
HARMLESS = {Verb.HALT, Verb.REDUCE, Verb.ADOPT, Verb.CANCEL_ORPHAN, Verb.ASSERT_SETTINGS}
TIGHTENS = {Verb.HALT: Policy.HALT, Verb.REDUCE: Policy.REDUCE}
NAMES = (
    derive_client_order_id("paper", "a", 1), derive_client_order_id("paper", "b", 1), "web_1",
    "ios_2",
)  # fmt: skip
STOPS = (derive_client_algo_id("paper", "a", "STOP", 1), "web_stop")

quantities = st.sampled_from([Decimal(text) for text in ("-2", "-0.5", "0", "0.5", "2")])
positions = st.dictionaries(st.sampled_from(SYMBOLS), quantities)
prices = st.sampled_from([Decimal(90), Decimal(100)])


def our_order(name, quantity, price, status):
    return OrderView(
        client_order_id=name, intent_id="i", symbol="BTCUSDT", side=Side.BUY,
        quantity=quantity, cumulative_quantity=Decimal(0), reduce_only=False, status=status,
        recorded_at_ns=1, price=price,
    )  # fmt: skip


def venue_order(name, quantity, price):
    return VenueOrderSeen(
        client_order_id=name, symbol="BTCUSDT", side="BUY", quantity=quantity, price=price
    )


sizes = st.sampled_from([Decimal(1), Decimal(2)])
our_orders = st.lists(
    st.builds(
        our_order,
        st.sampled_from(NAMES[:2]),
        sizes,
        st.none() | prices,
        st.sampled_from([OrderStatus.OPEN, OrderStatus.UNKNOWN]),
    ),
    max_size=2,
)
venue_orders = st.lists(st.builds(venue_order, st.sampled_from(NAMES), sizes, prices), max_size=4)
our_stops = st.lists(
    st.builds(cases.our_stop, st.sampled_from(STOPS[:1]), st.just(AlgoStatus.WORKING)), max_size=1
)
venue_stops = st.lists(st.builds(cases.venue_stop, st.sampled_from(STOPS)), max_size=2)
exposures = st.lists(st.builds(cases.exposure, st.sampled_from(["0.5", "1"])), max_size=2)
leverages = st.integers(min_value=9, max_value=10)
traded = st.lists(
    st.builds(
        TradeSeen,
        trade_id=st.integers(min_value=1, max_value=3),
        at_ns=st.just(1),
        side=st.just("BUY"),
        quantity=sizes,
    ),
    max_size=2,
)


@st.composite
def pairs(draw):
    """Two snapshots of one account, however much they differ."""
    ours = cases.state(
        {name: str(held) for name, held in draw(positions).items()},
        orders=tuple(draw(our_orders)),
        algo_orders=tuple(draw(our_stops)),
        exposures=tuple(draw(exposures)),
        settings=(SettingsView(symbol="BTCUSDT", leverage=10, margin_type="CROSSED"),),
        trades=(TradesView(symbol="BTCUSDT", floor_id=0, trade_ids=(1,)),),
        wallet_balance=draw(sizes),
    )
    theirs = cases.venue(
        {name: str(held) for name, held in draw(positions).items() if held},
        orders=tuple(draw(venue_orders)),
        algo_orders=tuple(draw(venue_stops)),
        trades={"BTCUSDT": tuple(draw(traded))},
        wallet_balance=draw(sizes),
        settings=SettingsSeen(
            symbols={"BTCUSDT": (draw(leverages), draw(st.sampled_from(["CROSSED", "ISOLATED"])))},
            is_hedge_mode=draw(st.booleans()),
        ),
    )
    return ours, theirs


def found_in(pair):
    """What differs, seen as often as it needs to be."""
    ours, theirs = pair
    limits = {
        "asset": "USDT", "balance_tolerance": Decimal(0), "fill_lag_ns": 1, "naked_grace_ns": 1
    }  # fmt: skip
    first = compare(ours, theirs, **limits)
    return compare(ours, theirs, **limits, seen_before=first.keys).discrepancies


any_policies = st.fixed_dictionaries(
    {kind.lower(): st.sampled_from(choices) for kind, choices in CHOICES.items()}
).map(lambda chosen: Policies(**chosen))


@settings(max_examples=200, deadline=None)
@given(
    pair=pairs(), policies=st.just(Policies()) | any_policies, state=st.sampled_from(TradingState)
)
def test_nothing_is_asked_for_that_could_open_or_turn_or_close_a_position(pair, policies, state):
    found = found_in(pair)
    wishes = decide_remedies(policies, found, before=confirmed(found), trading_state=state)
    chosen = {policy_of(policies, one) for one in found}
    for wish in wishes:
        assert wish.verb in HARMLESS
        if wish.verb in TIGHTENS:
            assert TIGHTENS[wish.verb] in chosen
            assert wish.target == ""
        if wish.verb is Verb.CANCEL_ORPHAN:
            assert is_derived_id(wish.target.partition(":")[2])


@settings(max_examples=100, deadline=None)
@given(pair=pairs())
def test_by_default_a_position_of_the_owner_leads_to_a_halt_at_most(pair):
    found = [one for one in found_in(pair) if one.subject in SYMBOLS]
    wishes = decide_remedies(
        Policies(), found, before=confirmed(found), trading_state=TradingState.ACTIVE
    )
    assert {wish.verb for wish in wishes} <= {Verb.HALT, Verb.REDUCE}


@settings(max_examples=100, deadline=None)
@given(pair=pairs())
def test_at_first_sight_only_hard_facts_are_acted_on(pair):
    found = found_in(pair)
    wishes = decide_remedies(
        Policies(), found, before=frozenset(), trading_state=TradingState.ACTIVE
    )
    assert {wish.verb for wish in wishes} <= {Verb.ASSERT_SETTINGS}


def test_the_repairs_have_no_way_to_place_an_order():
    source = Path(__file__).parents[3] / "services" / "execution" / "repair.py"
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    orders = {"place_order", "place_algo_order", "modify_order", "submit", "_call"}
    assert not called & orders
    assert {"cancel_order", "cancel_algo_order"} <= called
