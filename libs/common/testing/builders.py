"""Ordinary facts, one call each; a test names only what it is about."""

from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages.codec import encode
from libs.common.messages.intents import ApprovalBody, ApprovedIntent, sign_approval
from libs.common.messages.journal import (
    GENESIS_HASH,
    JournalEvent,
    JournalRecord,
    record_hash,
)
from libs.common.model.ids import derive_intent_id
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderRequest, OrderType, Side

NOW_NS = 1_700_000_000_000_000_000
S = 1_000_000_000
APPROVAL_KEY = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


def a_record(*events: JournalEvent, now_ns: int = NOW_NS) -> JournalRecord:
    """A journal record of these events; its place in the chain is of no interest."""
    return JournalRecord(
        account="paper",
        number=1,
        prev_hash="",
        causation_id="",
        correlation_id="",
        ts_event_ns=now_ns,
        ts_wall_ns=0,
        app_version="",
        config_hash="",
        events=events,
    )


def a_journal(*batches: tuple[JournalEvent, ...], at_ns: tuple[int, ...] = ()) -> list[bytes]:
    """The raw records of a journal, one for each batch of events, chained."""
    raw, head = [], GENESIS_HASH
    for number, events in enumerate(batches, 1):
        record = JournalRecord(
            account="paper",
            number=number,
            prev_hash=head,
            causation_id="cause",
            correlation_id="correlation",
            ts_event_ns=at_ns[number - 1] if at_ns else NOW_NS + number,
            ts_wall_ns=7,
            app_version="1.2.3",
            config_hash="c0ffee",
            events=events,
        )
        raw.append(encode(record))
        head = record_hash(raw[-1])
    return raw


def an_instrument(**changes: Any) -> Instrument:
    """BTCUSDT with the venue's real filters."""
    instrument = Instrument(
        symbol="BTCUSDT",
        status="TRADING",
        price_precision=2,
        quantity_precision=3,
        price_tick=Decimal("0.10"),
        price_min=Decimal("556.80"),
        price_max=Decimal(4529764),
        quantity_step=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(1000),
        market_quantity_step=Decimal("0.001"),
        market_quantity_min=Decimal("0.001"),
        market_quantity_max=Decimal(120),
        notional_min=Decimal(50),
        price_multiplier_up=Decimal("1.05"),
        price_multiplier_down=Decimal("0.95"),
        market_take_bound=Decimal("0.05"),
    )
    return msgspec.structs.replace(instrument, **changes)


def an_intent(**changes: Any) -> Intent:
    """A strategy wants to buy BTCUSDT at the market; it lives for five seconds."""
    candle_id = str(changes.get("candle_id", "BTCUSDT-1s-1"))
    symbol = str(changes.get("symbol", "BTCUSDT"))
    intent = Intent(
        intent_id=derive_intent_id("ema_cross", "0", symbol, candle_id),
        strategy_id="ema_cross",
        parameter_hash="0",
        symbol=symbol,
        side=Side.BUY,
        purpose=Purpose.ENTER,
        order_type=OrderType.MARKET,
        reference_price=Decimal("60000.00"),
        candle_id=candle_id,
        created_at_ns=NOW_NS,
        expires_at_ns=NOW_NS + 5 * S,
    )
    return msgspec.structs.replace(intent, **changes)


def an_order(intent: Intent, **changes: Any) -> OrderRequest:
    """The order that executes an intent: 0.020 at the market."""
    order = OrderRequest(
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        quantity=Decimal("0.020"),
        price=intent.price,
        time_in_force=intent.time_in_force,
        reduce_only=intent.reduce_only,
    )
    return msgspec.structs.replace(order, **changes)


def an_approval(
    intent: Intent | None = None, order: OrderRequest | None = None, account: str = "paper"
) -> ApprovedIntent:
    """Risk approved the intent and signed it."""
    intent = intent or an_intent()
    body = ApprovalBody(
        account=account,
        intent=intent,
        order=order or an_order(intent),
        reference_price=intent.reference_price,
        verdicts=(),
        decided_at_ns=intent.created_at_ns,
        decided_wall_ns=0,
        expires_at_ns=intent.expires_at_ns,
    )
    return ApprovedIntent(
        message_id=f"approved-{intent.intent_id}",
        causation_id=f"proposed-{intent.intent_id}",
        correlation_id=intent.intent_id,
        ts_event_ns=intent.created_at_ns,
        ts_published_ns=0,
        source="risk",
        body=body,
        mac=sign_approval(APPROVAL_KEY, body),
    )
