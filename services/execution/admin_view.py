"""What operators are shown of the gate: guards with the time they have left, orders, positions.

Pure: the folded state and what is known besides it, as plain JSON values. Money is text.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages.guard_events import Guard
from libs.common.messages.vouching import HealthSeen, judge_health, limit_text
from libs.common.model.money import plain
from libs.common.model.pnl import Amounts
from services.execution.config import ExecutionConfig
from services.execution.question import NS_PER_MS, MarkSeen
from services.execution.round_trips import figures
from services.execution.state import AlgoOrderState, OrderState, State

NS_PER_S = 1_000_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def guard_rows(limits: ExecutionConfig, state: State, now_ns: int) -> list[dict[str, Any]]:
    """Every guard that can hold, with its limit, what was seen, and the seconds it lasts yet.

    ``unlock`` is what to name to end it before its time; empty where only evidence or a resume can.
    """
    return [
        *_state_rows(state),
        *_hold_rows(limits, state, now_ns),
        *_lock_rows(limits, state, now_ns),
        *_rate_rows(limits, state, now_ns),
    ]


def _row(
    guard: str,
    key: str,
    limit: str,
    observed: str,
    *,
    active: bool,
    until_ns: int = 0,
    now_ns: int = 0,
    unlock: str = "",
) -> dict[str, Any]:
    return {
        "guard": guard,
        "key": key,
        "active": active,
        "remaining_s": round(max(0, until_ns - now_ns) / NS_PER_S, 3),
        "until_ns": until_ns,
        "limit": limit,
        "observed": observed,
        "unlock": unlock,
    }


def _state_rows(state: State) -> Iterator[dict[str, Any]]:
    observed = f"{state.trading_state}: {state.trading_reason} ({state.trading_actor})"
    yield _row("trading_state", "", "ACTIVE", observed, active=str(state.trading_state) != "ACTIVE")
    for order in state.orders.values():
        if order.is_in_doubt:
            observed = f"{order.client_order_id} is {order.status}"
            yield _row("quarantine", order.symbol, "no unknown order", observed, active=True)


def _hold_rows(limits: ExecutionConfig, state: State, now_ns: int) -> Iterator[dict[str, Any]]:
    def hold(guard: Guard, key: str, until_ns: int, limit: str, observed: str) -> dict[str, Any]:
        return _row(
            str(guard),
            key,
            limit,
            observed if until_ns > now_ns else "off",
            active=until_ns > now_ns,
            until_ns=until_ns,
            now_ns=now_ns,
            unlock=f"{guard}:{key}" if key else str(guard),
        )

    refusals = len(state.margin_refusals)
    yield hold(
        Guard.SAFE_MODE,
        "",
        state.safe_mode_until_ns,
        f"{limits.safe_mode_refusals} margin refusals in {limits.safe_mode_window_ms} ms",
        f"{refusals} counted",
    )
    yield hold(
        Guard.COOLDOWN_GLOBAL,
        "",
        state.cooldown_global_until_ns,
        f"{limits.cooldown_margin_ms} ms after a margin refusal",
        state.cooldown_global_cause,
    )
    for symbol, until_ns in sorted(state.cooldown_symbols.items()):
        limit = f"{limits.for_symbol(symbol).cooldown_failed_ms} ms after a failed order"
        yield hold(Guard.COOLDOWN_SYMBOL, symbol, until_ns, limit, "an order failed")
    for symbol, cooldown in sorted(state.cooldown_exits.items()):
        limit = f"{limits.cooldown_failed_exit_ms} ms after a failed exit, growing"
        observed = f"{cooldown.failures} failed in a row"
        yield hold(Guard.COOLDOWN_EXITS, symbol, cooldown.until_ns, limit, observed)
    for kind, until_ns in sorted(state.latches.items()):
        yield hold(Guard.LATCH, str(kind), until_ns, "none", "the venue asked for it")


def _lock_rows(limits: ExecutionConfig, state: State, now_ns: int) -> Iterator[dict[str, Any]]:
    for key, lock in sorted(state.locks.items()):
        active = lock.until_ns > now_ns
        yield _row(
            str(Guard.LOCK),
            key,
            f"{limits.lock_ms} ms at most",
            f"held by {lock.client_order_id}" if active else "over",
            active=active,
            until_ns=lock.until_ns,
            now_ns=now_ns,
            unlock=f"{Guard.LOCK}:{key}",
        )


def _rate_rows(limits: ExecutionConfig, state: State, now_ns: int) -> Iterator[dict[str, Any]]:
    entries = [order for order in state.recent_orders if not order.is_exit]
    window_ns = limits.rate_global_window_ms * NS_PER_MS
    recent = [order.at_ns for order in entries if order.at_ns > now_ns - window_ns]
    full = len(recent) >= limits.rate_global_orders_max
    yield _row(
        "rate_global",
        "",
        f"{limits.rate_global_orders_max} in {limits.rate_global_window_ms} ms",
        f"{len(recent)} recorded",
        active=full,
        until_ns=recent[-limits.rate_global_orders_max] + window_ns if full else 0,
        now_ns=now_ns,
    )
    for symbol in sorted({order.symbol for order in entries}):
        own = limits.for_symbol(symbol)
        window_ns = own.rate_symbol_window_ms * NS_PER_MS
        recent = [
            order.at_ns
            for order in entries
            if order.symbol == symbol and order.at_ns > now_ns - window_ns
        ]
        full = len(recent) >= own.rate_symbol_orders_max
        yield _row(
            "rate_symbol",
            symbol,
            f"{own.rate_symbol_orders_max} in {own.rate_symbol_window_ms} ms",
            f"{len(recent)} recorded",
            active=full,
            until_ns=recent[-own.rate_symbol_orders_max] + window_ns if full else 0,
            now_ns=now_ns,
        )


def health_rows(
    limits: ExecutionConfig, seen: dict[str, HealthSeen | None]
) -> list[dict[str, Any]]:
    """The feed's newest word on each symbol; only a better one ends what it holds back."""
    rows = []
    for symbol, one in sorted(seen.items()):
        silence_ms_max = limits.for_symbol(symbol).health_silence_ms_max
        reason, observed = judge_health(one, silence_ms_max)
        limit = limit_text(silence_ms_max)
        rows.append(_row("market_health", symbol, limit, observed, active=reason is not None))
    return rows


def order_rows(state: State, now_ns: int) -> list[dict[str, Any]]:
    """Orders that have not ended, oldest first."""
    return [_order_row(order, now_ns) for order in state.open_orders()]


def _order_row(order: OrderState, now_ns: int) -> dict[str, Any]:
    request = order.order
    return {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "intent_id": order.intent_id,
        "strategy_id": order.intent.strategy_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": request.order_type,
        "time_in_force": request.time_in_force,
        "quantity": plain(order.quantity),
        "filled": plain(order.cumulative_quantity),
        "price": None if request.price is None else plain(request.price),
        "reduce_only": order.reduce_only,
        "status": order.status,
        "attempt": order.attempt,
        "margin_reserved": plain(order.margin_reserved),
        "cancel_requested": order.cancel_requested,
        "recorded_at_ns": order.recorded_at_ns,
        "age_s": round((now_ns - order.recorded_at_ns) / NS_PER_S, 3),
    }


def algo_order_rows(state: State, now_ns: int) -> list[dict[str, Any]]:
    """Stops and targets that have not ended."""
    return [_algo_order_row(order, now_ns) for order in state.open_algo_orders()]


def _algo_order_row(order: AlgoOrderState, now_ns: int) -> dict[str, Any]:
    return {
        "client_algo_id": order.client_algo_id,
        "algo_id": order.algo_id,
        "intent_id": order.intent_id,
        "kind": order.kind,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": plain(order.quantity),
        "trigger_price": plain(order.trigger_price),
        "status": order.status,
        "attempt": order.attempt,
        "cancel_requested": order.cancel_requested,
        "why": order.why,
        "age_s": round((now_ns - order.recorded_at_ns) / NS_PER_S, 3),
    }


def amounts_text(amounts: Amounts) -> dict[str, str]:
    """Amounts by asset, as text."""
    return {asset: plain(amount) for asset, amount in sorted(amounts.items())}


def pnl_rows(state: State, days_max: int) -> list[dict[str, Any]]:
    """Profit and loss by UTC day, symbol and strategy, the newest day first.

    A row without a day sums up all days before those that are kept apart.
    """
    return [
        {
            "day": "" if day is None else _day_text(day),
            "symbol": row.symbol,
            "strategy_id": row.strategy_id,
            "fills": row.fills,
            "realized_pnl": plain(row.realized_pnl),
            "commission": amounts_text(row.commission),
            "funding": amounts_text(row.funding),
            "liquidation": amounts_text(row.liquidation),
            "other": amounts_text(row.other),
            "net": plain(row.net(state.quote_asset)),
        }
        for day, row in state.pnl.rows(days_max)
    ]


def figure_rows(state: State, since_ns: int) -> list[dict[str, Any]]:
    """How well each strategy traded since a time; null where there is nothing to tell it from."""
    return [
        {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in msgspec.structs.asdict(one).items()
        }
        for one in figures(state.trade_book, state.quote_asset, since_ns)
    ]


def _day_text(day: int) -> str:
    try:
        return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()
    except (ValueError, OverflowError):  # no calendar reaches that far
        return f"day {day}"


def position_rows(state: State, marks: dict[str, MarkSeen], now_ns: int) -> list[dict[str, Any]]:
    """Positions as the journal knows them, valued at the newest mark heard."""
    rows = []
    for position in state.positions.values():
        if not position.quantity:
            continue
        mark = marks.get(position.symbol)
        stops = [
            order.client_algo_id
            for order in state.open_algo_orders()
            if order.symbol == position.symbol and order.kind == "STOP"
        ]
        rows.append(
            {
                "symbol": position.symbol,
                "quantity": plain(position.quantity),
                "entry_price": plain(position.entry_price),
                "mark_price": None if mark is None else plain(mark.price),
                "mark_age_s": None if mark is None else round((now_ns - mark.at_ns) / NS_PER_S, 3),
                "unrealized_pnl": (
                    None if mark is None else plain(position.unrealized_pnl(mark.price))
                ),
                "realized_pnl": plain(position.realized_pnl),
                "commission": amounts_text(position.commissions),
                "stops": stops,
            }
        )
    return rows
