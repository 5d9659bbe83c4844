"""The account as others see it: a read model of the folded state."""

from datetime import UTC, tzinfo

from libs.common.messages.account import (
    AccountState,
    AlgoOrderView,
    ExposureView,
    OrderView,
    PnlDay,
    PositionView,
    SettingsView,
    TradesView,
)
from libs.common.model.money import ZERO
from libs.common.model.pnl import Amounts
from libs.common.model.position import Position
from services.execution.state import SeenTrades, State
from services.execution.trading_day import day_start_ns

#: Trades of a symbol that are told; the reconciler asks the venue for as many.
TRADES_TOLD_MAX = 20


def account_view(
    state: State,
    *,
    account: str,
    journal_sequence: int,
    unarmed: tuple[str, ...],
    now_ns: int,
    published_ns: int,
    user_stream_ups: int = 0,
    zone: tzinfo = UTC,
    income_is_known: bool = True,
) -> AccountState:
    """The read model after ``journal_sequence`` records.

    Args:
        zone: where the day of ``pnl_day`` begins and ends.
        income_is_known: false while the venue's list of income was not read; no day is told then.
    """
    identity = f"{account}-{journal_sequence}"
    return AccountState(
        message_id=identity,
        causation_id=identity,
        correlation_id=identity,
        ts_event_ns=now_ns,
        ts_published_ns=published_ns,
        source="execution",
        account=account,
        journal_sequence=journal_sequence,
        trading_state=state.trading_state,
        armed=not unarmed,
        unarmed_reasons=unarmed,
        wallet_balance=state.wallet_balance,
        available_balance=state.available_balance,
        balance_at_ns=state.balance_at_ns,
        changed_at_ns=state.changed_at_ns,
        positions=tuple(
            _position_view(state, position)
            for position in state.positions.values()
            if position.quantity != ZERO or position.realized_pnl != ZERO
        ),
        orders=tuple(
            OrderView(
                client_order_id=order.client_order_id,
                intent_id=order.intent_id,
                symbol=order.symbol,
                side=order.side,
                quantity=order.quantity,
                cumulative_quantity=order.cumulative_quantity,
                reduce_only=order.reduce_only,
                status=order.status,
                recorded_at_ns=order.recorded_at_ns,
                price=order.order.price,
            )
            for order in state.open_orders()
        ),
        algo_orders=_algo_orders(state),
        exposures=_exposures(state),
        user_stream_ups=user_stream_ups,
        settings=tuple(
            SettingsView(symbol=symbol, leverage=leverage, margin_type=state.margin_types[symbol])
            for symbol, leverage in sorted(state.leverage.items())
            if symbol in state.margin_types
        ),
        trades=tuple(_trades(symbol, seen) for symbol, seen in sorted(state.trades.items())),
        pnl_day=pnl_day(state, now_ns, zone) if income_is_known else None,
        limits=state.limits,
    )


def _algo_orders(state: State) -> tuple[AlgoOrderView, ...]:
    return tuple(
        AlgoOrderView(
            client_algo_id=algo.client_algo_id,
            intent_id=algo.intent_id,
            kind=algo.kind,
            symbol=algo.symbol,
            side=algo.side,
            quantity=algo.quantity,
            trigger_price=algo.trigger_price,
            status=algo.status,
            is_ending=algo.cancel_requested,
            recorded_at_ns=algo.recorded_at_ns,
        )
        for algo in state.open_algo_orders()
    )


def _exposures(state: State) -> tuple[ExposureView, ...]:
    return tuple(
        ExposureView(
            intent_id=order.intent_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.exposure,
            unprotected_since_ns=order.unprotected_since_ns,
        )
        for order in state.orders.values()
        if order.wants_protection and order.intent.stop_price is not None and order.exposure > ZERO
    )


def _trades(symbol: str, seen: SeenTrades) -> TradesView:
    told = seen.ids[-TRADES_TOLD_MAX:]
    hidden = seen.ids[: -len(told)] if told else []
    return TradesView(
        symbol=symbol, floor_id=hidden[-1] if hidden else seen.floor, trade_ids=tuple(told)
    )


def _position_view(state: State, position: Position) -> PositionView:
    return PositionView(
        symbol=position.symbol,
        quantity=position.quantity,
        cost=position.cost,
        entry_price=position.entry_price,
        realized_pnl=position.realized_pnl,
        commission=position.commissions.get(state.quote_asset, ZERO),
        commission_other=without(position.commissions, state.quote_asset),
    )


def pnl_day(state: State, now_ns: int, zone: tzinfo = UTC) -> PnlDay | None:
    """What a zone's day brought so far; ``None`` before the quote currency is known."""
    asset = state.quote_asset
    if not asset:
        return None
    start_ns = day_start_ns(zone, now_ns)
    total = state.pnl.since(start_ns)
    return PnlDay(
        day_start_ns=start_ns,
        realized_pnl=total.realized_pnl,
        commission=total.commission.get(asset, ZERO),
        funding=total.funding.get(asset, ZERO),
        liquidation=total.liquidation.get(asset, ZERO),
        other=total.other.get(asset, ZERO),
        commission_other=without(total.commission, asset),
    )


def without(amounts: Amounts, asset: str) -> Amounts:
    """The amounts of all other assets."""
    return {name: amount for name, amount in amounts.items() if name != asset}
