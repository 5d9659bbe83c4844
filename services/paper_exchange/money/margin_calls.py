"""MARGIN_CALL: the warning that a margin is nearly used up, once each time it comes to that."""

from __future__ import annotations

from collections.abc import Iterable

from services.paper_exchange.money.margins import CROSS, Margin, Stake
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.wire.decimal_text import figure, money, scaled


def warn(state: VenueState, account: Account, margins: Iterable[Margin], now_ns: int) -> None:
    """Warn of the margins whose ratio has passed the threshold since they were last looked at."""
    low = {
        margin.key: margin for margin in margins if margin.is_low(state.limits.margin_call_ratio)
    }
    warned = state.risk.warned.get(account.account_id, {})
    for key, margin in low.items():
        if key not in warned:
            state.tell(account, _margin_call(state, margin, now_ns // NS_PER_MS))
    if low or warned:
        state.risk.warned[account.account_id] = dict.fromkeys(low)


def _margin_call(state: VenueState, margin: Margin, now_ms: int) -> dict[str, object]:
    """The event; the cross wallet is told of the cross margin only."""
    cross = {"cw": money(margin.wallet)} if margin.key == CROSS else {}
    rows = [_row(state, margin, stake) for stake in margin.stakes]
    return {"e": "MARGIN_CALL", "E": now_ms, **cross, "p": rows}


def _row(state: VenueState, margin: Margin, stake: Stake) -> dict[str, object]:
    position = stake.position
    return {
        "s": position.symbol,
        "ps": position.position_side,
        "pa": scaled(position.quantity, state.instruments[position.symbol].quantity_precision),
        "mt": "ISOLATED" if margin.is_isolated else "CROSSED",
        "iw": money(margin.wallet) if margin.is_isolated else "0",
        "mp": figure(stake.mark),
        "up": figure(stake.unrealized),
        "mm": figure(stake.maintenance),
    }
