"""Intents and facts for the tests of risk: a world in which everything is well, to be changed."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from libs.common.messages.account import AccountState, OrderView, PnlDay, PositionView
from libs.common.messages.market import Mark, Quote, SymbolHealth
from libs.common.messages.vouching import HealthSeen
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderStatus, OrderType, Side
from libs.common.model.trading_state import TradingState
from services.risk.facts import Facts

NOW_NS = 1_723_161_300 * 10**9
MS = 1_000_000
ENVELOPE = {
    "message_id": "m",
    "causation_id": "m",
    "correlation_id": "m",
    "ts_published_ns": 1,
    "source": "test",
}


def make_intent(**changes):
    fields = {
        "intent_id": "intent-1",
        "strategy_id": "rsi",
        "parameter_hash": "abc",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "purpose": Purpose.ENTER,
        "order_type": OrderType.MARKET,
        "reference_price": Decimal(60_000),
        "candle_id": "BTCUSDT-1s-1",
        "created_at_ns": NOW_NS - 100 * MS,
        "expires_at_ns": NOW_NS + 4_900 * MS,
    }
    return Intent(**{**fields, **changes})


def make_quote(bid="59999", ask="60000", *, age_ms=10, symbol="BTCUSDT"):
    return Quote(
        **ENVELOPE,
        ts_event_ns=NOW_NS - age_ms * MS,
        symbol=symbol,
        bid_price=Decimal(bid),
        bid_quantity=Decimal(1),
        ask_price=Decimal(ask),
        ask_quantity=Decimal(1),
        update_id=1,
    )


def make_mark(price="60000", *, age_ms=500, symbol="BTCUSDT"):
    return Mark(
        **ENVELOPE,
        ts_event_ns=NOW_NS - age_ms * MS,
        symbol=symbol,
        mark_price=Decimal(price),
        index_price=Decimal(price),
        funding_rate=Decimal(0),
        next_funding_ns=0,
    )


def make_position(quantity, *, symbol="BTCUSDT", price="60000"):
    return PositionView(
        symbol=symbol,
        quantity=Decimal(quantity),
        cost=Decimal(quantity) * Decimal(price),
        entry_price=Decimal(price),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
    )


def make_order(*, symbol="BTCUSDT", status=OrderStatus.OPEN, reduce_only=False):
    return OrderView(
        client_order_id="pc-1",
        intent_id="other",
        symbol=symbol,
        side=Side.BUY,
        quantity=Decimal(1),
        cumulative_quantity=Decimal(0),
        reduce_only=reduce_only,
        status=status,
        recorded_at_ns=NOW_NS,
    )


def make_day(**changes):
    figures = ("realized_pnl", "commission", "funding", "liquidation", "other")
    told = {**dict.fromkeys(figures, Decimal(0)), **changes}
    return PnlDay(day_start_ns=NOW_NS // 86_400_000_000_000 * 86_400_000_000_000, **told)


def make_account(**changes):
    fields = {
        "ts_event_ns": NOW_NS,
        "account": "paper",
        "journal_sequence": 1,
        "trading_state": TradingState.ACTIVE,
        "armed": True,
        "unarmed_reasons": (),
        "wallet_balance": Decimal(10_000),
        "available_balance": Decimal(10_000),
        "balance_at_ns": NOW_NS,
        "changed_at_ns": NOW_NS,
        "positions": (),
        "orders": (),
        "pnl_day": make_day(),
    }
    return AccountState(**ENVELOPE, **{**fields, **changes})


def make_health(**changes):
    ages = dict.fromkeys(("quote_age_ms", "mark_age_ms", "trade_age_ms"), 10)
    sound = {
        "symbol": "BTCUSDT",
        **ages,
        "is_stale": False,
        "status": "TRADING",
        "refusal": "",
    }
    return SymbolHealth(**{**sound, **changes})


def make_seen(silence_ms=300, **changes):
    return HealthSeen(health=make_health(**changes), silence_ms=silence_ms)


def make_facts(**changes):
    fields = {
        "quote": make_quote(),
        "marks": {"BTCUSDT": make_mark()},
        "account": make_account(),
        "account_silence_ms": 200,
        "health": make_seen(),
    }
    return Facts(**{**fields, **changes})


@pytest.fixture(scope="session")
def make():
    """Return the makers of everything a decision looks at."""
    return SimpleNamespace(
        intent=make_intent,
        quote=make_quote,
        mark=make_mark,
        position=make_position,
        order=make_order,
        account=make_account,
        day=make_day,
        health=make_health,
        seen=make_seen,
        facts=make_facts,
        now_ns=NOW_NS,
    )
