"""Two snapshots that agree, to be changed where a test wants them to differ."""

from decimal import Decimal

from libs.common.messages.account import (
    AccountState,
    AlgoOrderView,
    ExposureView,
    PositionView,
)
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.order import Side
from libs.common.model.trading_state import TradingState
from services.reconciler.core import compare
from services.reconciler.snapshots import VenueAlgoOrderSeen, VenueSnapshot

NOW_NS = 1_000_000_000_000
SECOND_NS = 1_000_000_000


def state(positions=None, **changes) -> AccountState:
    fields = {
        "message_id": "m", "causation_id": "m", "correlation_id": "m", "ts_event_ns": NOW_NS,
        "ts_published_ns": 1, "source": "execution", "account": "paper", "journal_sequence": 1,
        "trading_state": TradingState.ACTIVE, "armed": True, "unarmed_reasons": (),
        "wallet_balance": Decimal(100), "available_balance": Decimal(100), "balance_at_ns": 1,
        "changed_at_ns": 1, "orders": (),
        "positions": tuple(
            PositionView(
                symbol=symbol, quantity=Decimal(quantity), cost=Decimal(0), entry_price=Decimal(0),
                realized_pnl=Decimal(0), commission=Decimal(0),
            )
            for symbol, quantity in (positions or {}).items()
        ),
    }  # fmt: skip
    return AccountState(**{**fields, **changes})


def venue(positions=None, **changes) -> VenueSnapshot:
    fields = {
        "positions": {symbol: Decimal(text) for symbol, text in (positions or {}).items()},
        "orders": (),
        "wallet_balance": Decimal(100),
        "algo_orders": (),
    }
    return VenueSnapshot(**{**fields, **changes})


def our_stop(name="pa-1", status=AlgoStatus.WORKING, quantity="1", is_ending=False):
    return AlgoOrderView(
        client_algo_id=name, intent_id="i", kind=AlgoKind.STOP, symbol="BTCUSDT", side=Side.SELL,
        quantity=Decimal(quantity), trigger_price=Decimal(1), status=status, is_ending=is_ending,
        recorded_at_ns=1,
    )  # fmt: skip


def venue_stop(name="pa-1", quantity="1", **changes):
    fields = {
        "client_algo_id": name, "symbol": "BTCUSDT", "side": "SELL", "quantity": Decimal(quantity),
        "is_stop": True,
    }  # fmt: skip
    return VenueAlgoOrderSeen(**{**fields, **changes})


def exposure(quantity="1", side=Side.BUY, unprotected_since_ns=0):
    return ExposureView(
        intent_id="i", symbol="BTCUSDT", side=side, quantity=Decimal(quantity),
        unprotected_since_ns=unprotected_since_ns,
    )  # fmt: skip


def look(ours, theirs, **arguments):
    limits = {
        "asset": "USDT", "balance_tolerance": Decimal(0), "fill_lag_ns": 3 * SECOND_NS,
        "event_lag_ns": 3 * SECOND_NS,
        "naked_grace_ns": 15 * SECOND_NS,
    }  # fmt: skip
    return compare(ours, theirs, **{**limits, **arguments})


def found(ours, theirs, **arguments):
    discrepancies = look(ours, theirs, **arguments).discrepancies
    return [(one.kind, one.subject) for one in discrepancies]
