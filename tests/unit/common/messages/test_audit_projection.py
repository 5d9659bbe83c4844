"""The journal as audit lines: the same for everyone, each with its origin, chained over days."""

import typing
from decimal import Decimal

import msgspec
import pytest

from libs.common.messages.algo_events import AlgoOrderRecorded, AlgoOrderUpdated
from libs.common.messages.audit import (
    EVENT_TYPES,
    HASH_LENGTH,
    AuditEvent,
    Origins,
    event_types,
    read_line,
)
from libs.common.messages.audit_events import ApiErrorReported, KillProven, ReadRecovered
from libs.common.messages.audit_trail import AuditTrail, TrailLine, TrailPlace
from libs.common.messages.codec import UndecodableError, encode
from libs.common.messages.journal import (
    GENESIS_HASH,
    BalanceObserved,
    FillReceived,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderUpdated,
    TradingStateChanged,
    record_hash,
)
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import S, a_journal, an_intent, an_order

DAY_NS = 86_400 * S


def follow(records: list[bytes], trail: AuditTrail | None = None) -> list[TrailLine]:
    trail = trail or AuditTrail(TrailPlace(account="paper"))
    lines: list[TrailLine] = []
    for raw in records:
        lines += trail.follow(raw, msgspec.json.decode(raw, type=JournalRecord))
    return lines


def events_of(records: list[bytes]) -> list[AuditEvent]:
    return [read_line(line.raw)[0] for line in follow(records)]


def a_recorded_order() -> OrderRecorded:
    intent = an_intent(model_hash="model-1", parameter_hash="parameters-1")
    return OrderRecorded(
        client_order_id="pc-1",
        attempt=1,
        intent=intent,
        order=an_order(intent),
        reference_price=Decimal(60_000),
        margin_reserved=Decimal(150),
        timestamp_ms=1,
        recv_window_ms=5_000,
        lock_until_ns=1,
        verdicts_risk=(),
        verdicts=(),
    )


def a_balance(text: str = "1") -> BalanceObserved:
    return BalanceObserved(
        asset="USDT", wallet_balance=Decimal(text), available_balance=None, observed_at_ns=1
    )


def an_answer(status: OrderStatus, sent_wall_ns: int = 1) -> OrderAnswered:
    return OrderAnswered(
        client_order_id="pc-1",
        venue_order_id=9,
        status=status,
        cumulative_quantity=Decimal(0),
        sent_wall_ns=sent_wall_ns,
    )


def test_every_event_of_the_journal_has_a_name():
    assert {kind.__name__ for kind in typing.get_args(JournalEvent)} == set(EVENT_TYPES)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (an_answer(OrderStatus.OPEN), "order.placed"),
        (an_answer(OrderStatus.FILLED), "order.placed"),
        (an_answer(OrderStatus.EXPIRED), "order.expired"),
        (an_answer(OrderStatus.FILLED, 0), "order.filled"),
        (OrderNotPlaced(client_order_id="pc-1", evidence="none"), "order.not_placed"),
        (OrderBecameUnknown(client_order_id="pc-1", why="silence"), "order.unknown"),
        (
            OrderUpdated(
                client_order_id="pc-1",
                venue_order_id=9,
                status=OrderStatus.CANCELED,
                cumulative_quantity=Decimal(0),
            ),
            "order.canceled",
        ),
        (
            TradingStateChanged(state=TradingState.HALTED, actor="ann", reason="drill"),
            "trading.halted",
        ),
        (a_balance(), "balance.reported"),
        (AlgoOrderUpdated(client_algo_id="pa-1", status=AlgoStatus.WORKING), "algo_order.working"),
        (ReadRecovered(what="x", attempts=4, succeeded=False, at_ns=1), "retry.gave_up"),
        (
            KillProven(
                verb="flatten",
                orders_canceled=0,
                algo_orders_canceled=0,
                positions_closed=(),
                took_ms=1,
                is_complete=False,
                remaining="one",
            ),
            "kill.incomplete",
        ),
    ],
)
def test_an_event_is_called_what_it_was(event, name):
    assert event_types(event) == (name,)


@pytest.mark.parametrize(
    ("outcome", "reason", "name"),
    [
        ("throttled", "REQUEST_LIMIT", "rate_limit.hit"),
        ("throttled", "ORDER_LIMIT", "rate_limit.hit"),
        ("throttled", "BANNED", "rate_limit.hit"),
        ("throttled", "OVERLOADED", "api.error"),
        ("rejected", "MARGIN_INSUFFICIENT", "api.error"),
        ("unknown", "", "api.error"),
    ],
)
def test_a_limit_that_was_hit_is_told_from_other_errors(outcome, reason, name):
    error = ApiErrorReported(
        method="GET",
        path="/x",
        outcome=outcome,
        reason=reason,
        status=429,
        code=0,
        message="",
        at_ns=1,
    )
    assert event_types(error) == (name,)


def test_leverage_and_margin_type_are_two_lines_of_one_event():
    asserted = LeverageAsserted(symbol="BTCUSDT", leverage=3, margin_type="ISOLATED")
    _, one, other = events_of(a_journal((asserted,)))
    assert (one.event_type, other.event_type) == ("leverage.set", "margin_type.set")
    assert (one.journal_index, other.journal_index, other.journal_events) == (0, 1, 2)
    assert one.symbol == "BTCUSDT"


def test_a_later_word_on_an_order_is_told_with_the_strategy_it_goes_back_to():
    fill = FillReceived(
        symbol="BTCUSDT",
        trade_id=1,
        client_order_id="pc-1",
        venue_order_id=9,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        commission=Decimal(0),
        commission_asset="USDT",
        venue_realized_pnl=Decimal(0),
        is_maker=False,
        ts_trade_ns=1,
    )
    recorded = a_recorded_order()
    stop = AlgoOrderRecorded(
        client_algo_id="pa-1",
        intent_id=recorded.intent.intent_id,
        kind=AlgoKind.STOP,
        symbol="BTCUSDT",
        side=Side.SELL,
        quantity=Decimal(1),
        trigger_price=Decimal(1),
        attempt=1,
        timestamp_ms=1,
        recv_window_ms=1,
        writer="",
    )
    working = AlgoOrderUpdated(client_algo_id="pa-1", status=AlgoStatus.WORKING)
    journal = a_journal((recorded,), (an_answer(OrderStatus.FILLED),), (fill,), (stop,), (working,))
    told = events_of(journal)[1:]
    assert {event.intent_id for event in told} == {recorded.intent.intent_id}
    assert {event.strategy_id for event in told} == {"ema_cross"}
    assert {event.parameter_hash for event in told} == {"parameters-1"}
    assert {event.model_hash for event in told} == {"model-1"}
    assert {event.symbol for event in told} == {"BTCUSDT"}
    assert told[2].venue_order_id == 9


def test_a_line_holds_who_when_why_and_the_event_byte_for_byte():
    halted = TradingStateChanged(state=TradingState.HALTED, actor="ann", reason="drill")
    (raw,) = a_journal((halted,))
    _, event = events_of([raw])
    assert (event.actor, event.reason) == ("ann", "drill")
    assert (event.app_version, event.config_hash) == ("1.2.3", "c0ffee")
    assert (event.journal_number, event.journal_hash) == (1, record_hash(raw))
    assert event.event_id.startswith("paper-1-0-")
    assert bytes(event.payload) == encode(halted)
    assert bytes(event.payload) in raw


def test_the_same_journal_gives_the_same_bytes_also_when_taken_up_in_between():
    batches = [(a_recorded_order(),), (an_answer(OrderStatus.OPEN),), (a_balance(),)]
    journal = a_journal(*batches)
    whole = follow(journal)
    trail = AuditTrail(TrailPlace(account="paper"))
    first = follow(journal[:1], trail)
    saved = msgspec.json.encode(trail.place)
    taken_up = AuditTrail(msgspec.json.decode(saved, type=TrailPlace))
    assert first + follow(journal[1:], taken_up) == whole


def test_a_day_begins_with_an_anchor_and_ends_with_a_seal():
    journal = a_journal(
        (a_balance("1"),), (a_balance("2"),), at_ns=(10 * DAY_NS - 1, 10 * DAY_NS + 1)
    )
    lines = follow(journal)
    types = [read_line(line.raw)[0].event_type for line in lines]
    assert types == [
        "audit.anchor", "balance.reported", "audit.seal", "audit.anchor", "balance.reported",
    ]  # fmt: skip
    assert [line.day for line in lines] == ["1970-01-10"] * 3 + ["1970-01-11"] * 2
    seal, anchor = read_line(lines[2].raw)[0], read_line(lines[3].raw)[0]
    assert msgspec.json.decode(seal.payload) == {"day": "1970-01-10", "lines": 2}
    assert anchor.prev_hash == lines[2].hash
    assert (anchor.journal_number, anchor.journal_hash) == (1, record_hash(journal[0]))


def test_days_never_go_back_and_a_mad_clock_ends_nothing():
    times = (10 * DAY_NS, 9 * DAY_NS, -1, 10**21)
    journal = a_journal(*([(a_balance(str(n)),) for n in range(4)]), at_ns=times)
    days = [line.day for line in follow(journal)]
    assert days == ["1970-01-11"] * 5 + ["9999-12-31"] * 2


def test_each_line_names_the_one_before():
    lines = follow(a_journal(*([(a_balance(str(n)),) for n in range(5)])))
    previous = GENESIS_HASH
    for line in lines:
        event, own = read_line(line.raw)
        assert (event.prev_hash, own) == (previous, line.hash)
        previous = line.hash


def test_any_changed_byte_of_a_line_is_noticed():
    (_, line) = follow(a_journal((a_balance(),)))
    for at in range(len(line.raw)):
        spoiled = bytearray(line.raw)
        spoiled[at] ^= 1
        with pytest.raises(UndecodableError):
            read_line(bytes(spoiled))
    assert len(line.hash) == HASH_LENGTH


def test_only_so_many_origins_are_remembered_and_the_forgotten_are_the_longest_unspoken(
    monkeypatch,
):
    monkeypatch.setattr("libs.common.messages.audit.ORIGINS_MAX", 4)
    origins = Origins()
    for n in range(3):
        recorded = msgspec.structs.replace(
            a_recorded_order(), client_order_id=f"pc-{n}", intent=an_intent(candle_id=f"{n}")
        )
        origins.learn(recorded)
    assert len(origins.known) == 4
    assert origins.learn(an_answer(OrderStatus.OPEN)).intent_id
    forgotten = msgspec.structs.replace(an_answer(OrderStatus.OPEN), client_order_id="pc-0")
    assert origins.learn(forgotten).intent_id == ""
