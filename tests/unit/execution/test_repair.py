"""What may be repaired by command, by whom, and what is folded of it."""

from decimal import Decimal

import msgspec
import pytest

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import OperatorActed, PositionAdopted
from libs.common.messages.journal import OrderForgotten
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.ids import derive_client_algo_id, derive_client_order_id, is_derived_id
from libs.common.model.order import OrderStatus, OrderType
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import NOW_NS
from libs.common.venue.payloads import VenueOrder
from services.execution.admin_core import decide_command, fault_of
from services.execution.answers import decide_forgotten
from services.execution.core import NOTHING
from services.execution.repair import decide_adoption, decide_terms, is_orphan
from services.execution.trading import decide_trading_state
from tests.unit.execution.gate_cases import a_ready_state, fold
from tests.unit.execution.protection_cases import Protected

OURS = derive_client_order_id("paper", "intent", 1)


def command(verb, target="", source="reconciler"):
    return Command(
        message_id="m", causation_id="m", correlation_id="m", ts_event_ns=NOW_NS,
        ts_published_ns=1, source=source, account="paper", verb=verb, actor="reconciler",
        reason="they differ", target=target,
    )  # fmt: skip


def adopted(quantity, price="60000", symbol="BTCUSDT", before=None):
    return PositionAdopted(
        symbol=symbol, quantity=Decimal(quantity), entry_price=Decimal(price), actor="reconciler",
        why="they differ", observed_at_ns=NOW_NS, quantity_before=before,
    )  # fmt: skip


# -- what may be asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("client_id", [OURS, derive_client_algo_id("a", "i", "STOP", 9_999)])
def test_an_id_of_ours_is_known_by_its_shape(client_id):
    assert is_derived_id(client_id)


@pytest.mark.parametrize(
    "client_id", ["", "web_1", "pc-1", OURS.upper(), OURS + "x", "x" + OURS, OURS[:-1] + "0"]
)
def test_an_id_of_others_is_none_of_ours(client_id):
    assert not is_derived_id(client_id)


@pytest.mark.parametrize(
    ("verb", "target", "is_sound"),
    [
        (Verb.CANCEL_ORPHAN, f"BTCUSDT:{OURS}", True),
        (Verb.CANCEL_ORPHAN, "BTCUSDT:web_1", False),
        (Verb.CANCEL_ORPHAN, OURS, False),
        (Verb.CANCEL_ORPHAN, "", False),
        (Verb.ADOPT, "BTCUSDT", True),
        (Verb.ADOPT, "", False),
        (Verb.ADOPT, "btc usdt", False),
        (Verb.ADOPT, f"BTCUSDT:{OURS}", True),
        (Verb.ADOPT, "BTCUSDT:web_1", False),
        (Verb.ASSERT_SETTINGS, "", True),
        (Verb.ASSERT_SETTINGS, "BTCUSDT", False),
    ],
)
def test_a_repair_names_exactly_what_it_repairs(verb, target, is_sound):
    assert (fault_of(command(verb, target)) == "") is is_sound


@pytest.mark.parametrize("verb", [Verb.REDUCE, Verb.RESUME])
def test_a_service_never_loosens_a_halt(verb):
    state = fold(a_ready_state(), *decide_trading_state(
        a_ready_state(), TradingState.HALTED, "a person", "enough").events)  # fmt: skip
    assert decide_command(state, command(verb), 7) == NOTHING
    assert decide_command(state, command(verb, source="http"), 7).events


def test_a_service_may_reduce_what_is_active():
    (event,) = decide_command(a_ready_state(), command(Verb.REDUCE), 7).events
    assert event.state is TradingState.REDUCING


def test_a_repair_is_journaled_with_who_asked_and_changes_nothing_by_itself():
    state = a_ready_state()
    (event,) = decide_command(state, command(Verb.ADOPT, "BTCUSDT"), 7).events
    assert isinstance(event, OperatorActed)
    assert (event.verb, event.target, event.actor) == ("adopt", "BTCUSDT", "reconciler")
    assert fold(state, event).positions == {}


def test_asking_for_repairs_again_and_again_does_not_prolong_the_time_to_place_a_stop():
    protected = Protected()
    protected.filled()
    since_ns = protected.order.unprotected_since_ns
    protected.wait(1_000)
    protected.fold(*decide_command(protected.state, command(Verb.ASSERT_SETTINGS), 7).events)
    assert protected.order.unprotected_since_ns == since_ns


# -- adopting -------------------------------------------------------------------------------------


def test_an_adopted_position_is_the_venues_and_keeps_what_was_earned():
    protected = Protected()
    protected.filled()
    protected.fold(adopted("-0.5", "61000.5"))
    position = protected.state.positions["BTCUSDT"]
    assert (position.quantity, position.entry_price) == (Decimal("-0.5"), Decimal("61000.5"))
    assert (position.realized_pnl, position.commissions) == (Decimal(0), {})


def test_a_phantom_that_is_adopted_away_is_owed_no_stop_and_its_stop_is_canceled():
    protected = Protected()
    protected.filled()
    protected.decide()
    stop = protected.newest(AlgoKind.STOP).client_algo_id
    protected.algo(stop, AlgoStatus.WORKING, algo_id=1)
    protected.fold(adopted("0", "0"))
    assert protected.order.exposure == Decimal(0)
    protected.decide()
    assert protected.state.algo_orders[stop].cancel_requested


def test_what_is_so_already_is_not_adopted():
    protected = Protected()
    protected.filled()
    held = protected.state.position_quantity("BTCUSDT")
    assert decide_adoption(protected.state, adopted(str(held)), [1]) == NOTHING


def test_a_trade_that_came_while_the_venue_was_asked_stops_the_adoption():
    protected = Protected()
    protected.filled()
    assert decide_adoption(protected.state, adopted("1"), []) == NOTHING
    held = protected.state.position_quantity("BTCUSDT")
    (event,) = decide_adoption(protected.state, adopted("1"), [1]).events
    assert held
    assert event == adopted("1", before=held)


def test_nothing_is_adopted_while_an_order_of_the_symbol_is_in_flight():
    state = Protected().state
    assert decide_adoption(state, adopted("1"), []) == NOTHING
    assert decide_adoption(state, adopted("1", symbol="ETHUSDT"), []).events


# -- orphans and forgotten orders -----------------------------------------------------------------


def test_an_order_that_we_count_on_is_no_orphan_and_one_that_ended_is():
    protected = Protected()
    mine = protected.entry.client_order_id
    assert not is_orphan(protected.state, mine)
    protected.told(OrderStatus.CANCELED)
    assert is_orphan(protected.state, mine)
    assert is_orphan(protected.state, OURS)


def test_a_stop_that_works_is_no_orphan():
    protected = Protected()
    protected.filled()
    protected.decide()
    assert not is_orphan(protected.state, protected.newest(AlgoKind.STOP).client_algo_id)


def test_an_open_order_the_venue_has_forgotten_ends_and_gives_its_margin_back():
    protected = Protected()
    protected.told(OrderStatus.OPEN)
    forgotten = OrderForgotten(
        client_order_id=protected.entry.client_order_id, evidence="listed nowhere"
    )
    protected.fold(*decide_forgotten(protected.state, forgotten).events)
    assert protected.order.status is OrderStatus.CANCELED
    assert protected.state.margin_reserved() == Decimal(0)
    assert protected.state.open_orders() == []
    assert decide_forgotten(protected.state, forgotten) == NOTHING


def test_an_order_in_doubt_is_not_forgotten_but_asked_after():
    protected = Protected()
    forgotten = OrderForgotten(client_order_id=protected.entry.client_order_id, evidence="none")
    assert decide_forgotten(protected.state, forgotten) == NOTHING


# -- the terms of an order ------------------------------------------------------------------------


def as_found(client_order_id, quantity, price):
    return VenueOrder(
        symbol="BTCUSDT", order_id=7, client_order_id=client_order_id, status="NEW", side="BUY",
        order_type="LIMIT", quantity=Decimal(quantity), cumulative_quantity=Decimal(0),
        price=Decimal(price),
    )  # fmt: skip


def test_price_and_quantity_changed_by_hand_are_adopted_once_and_only_of_an_open_limit_order():
    protected = Protected()
    protected.told(OrderStatus.OPEN)
    order, name = protected.order, protected.entry.client_order_id
    found = as_found(name, "0.030", "58000")
    assert decide_terms(protected.state, found) == NOTHING  # it goes at the market
    order.order = msgspec.structs.replace(
        order.order, order_type=OrderType.LIMIT, price=Decimal(59_000)
    )
    decision = decide_terms(protected.state, found)
    assert len(decision.events) == 1
    protected.fold(*decision.events)
    assert (order.quantity, order.order.price) == (Decimal("0.030"), Decimal(58_000))
    assert decide_terms(protected.state, found) == NOTHING
    assert decide_terms(protected.state, as_found("web_1", "1", "1")) == NOTHING
    protected.told(OrderStatus.CANCELED)
    assert decide_terms(protected.state, as_found(name, "1", "1")) == NOTHING
