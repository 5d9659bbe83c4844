"""One readable line for each thing that happens, on the terminal of whoever runs it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from cli.ear import Heard
from libs.common.messages.account import AccountState, DeadLetter, ReconcileReport
from libs.common.messages.intents import ApprovedIntent, ProposedIntent, RefusedIntent
from libs.common.messages.journal import (
    FillReceived,
    JournalEvent,
    JournalRecord,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    TradingStateChanged,
)
from libs.common.model.money import plain

NS_PER_S = 1_000_000_000
LABELS = {
    "proposed": "cyan",
    "approved": "blue",
    "refused": "yellow",
    "recorded": "blue",
    "sent": "blue",
    "filled": "green",
    "rejected": "red",
    "unknown": "red",
    "not placed": "yellow",
    "trading": "magenta",
    "reconciled": "green",
    "drift": "red",
    "unreadable": "red",
    "runner": "white",
}
RESET = "\x1b[0m"
COLORS = {
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
    "blue": "\x1b[34m",
    "magenta": "\x1b[35m",
    "cyan": "\x1b[36m",
    "white": "\x1b[1m",
}


class Narrator:
    """Turns messages into lines.

    Args:
        write: takes one line.
        has_colors: whether the terminal shows them.
    """

    def __init__(self, write: Callable[[str], None], *, has_colors: bool) -> None:
        self._write = write
        self._has_colors = has_colors
        self._market_ns = 0
        self._symbols: dict[str, str] = {}
        self._trading_state = ""
        self._was_clean: bool | None = None

    def say(self, text: str) -> None:
        """A line about the run itself."""
        self._line("runner", text)

    def tell(self, heard: Heard) -> None:
        """A line, or none, about something heard."""
        match heard:
            case ProposedIntent():
                self._proposed(heard)
            case ApprovedIntent():
                order = heard.body.order
                text = f"{order.symbol} {order.side} {plain(order.quantity)}"
                self._at(heard.ts_event_ns, "approved", text)
            case RefusedIntent():
                text = f"{heard.symbol} by {heard.stage.lower()}: {heard.reason}"
                failed = [verdict for verdict in heard.verdicts if not verdict.passed]
                if failed and failed[0].observed:
                    text += f" ({failed[0].observed}, limit {failed[0].limit})"
                self._at(heard.ts_event_ns, "refused", text)
            case JournalRecord():
                self._market_ns = heard.ts_event_ns
                for event in heard.events:
                    self._journaled(event)
            case AccountState():
                self._state(heard)
            case ReconcileReport():
                self._reconciled(heard)
            case DeadLetter():
                self._at(heard.ts_event_ns, "unreadable", f"{heard.subject}: {heard.reason}")

    def _proposed(self, message: ProposedIntent) -> None:
        intent = message.intent
        self._at(
            message.ts_event_ns,
            "proposed",
            f"{intent.symbol} {intent.purpose.lower()} {intent.side} at"
            f" {plain(intent.reference_price)} by {intent.strategy_id}",
        )

    def _journaled(self, event: JournalEvent) -> None:
        match event:
            case OrderRecorded():
                self._symbols[event.client_order_id] = event.order.symbol
            case OrderAnswered() if event.sent_wall_ns:
                took_ms = (event.answered_wall_ns - event.sent_wall_ns) / 1_000_000
                self._order(event.client_order_id, "sent", f"{event.status} in {took_ms:.1f} ms")
            case OrderRejected():
                self._order(event.client_order_id, "rejected", f"{event.code} {event.message}")
            case OrderBecameUnknown():
                self._order(event.client_order_id, "unknown", event.why)
            case OrderNotPlaced():
                self._order(event.client_order_id, "not placed", event.evidence)
            case FillReceived():
                text = (
                    f"{event.symbol} {event.side} {plain(event.quantity)} at {plain(event.price)}"
                )
                if event.venue_realized_pnl:
                    text += f", realized {signed(event.venue_realized_pnl)}"
                text += f", commission {plain(event.commission)} {event.commission_asset}"
                self._at(self._market_ns, "filled", text)
            case TradingStateChanged():
                self._trading_state = event.state
                text = f"{event.state} by {event.actor}: {event.reason}"
                self._at(self._market_ns, "trading", text)
            case _:
                pass

    def _order(self, client_order_id: str, label: str, text: str) -> None:
        symbol = self._symbols.get(client_order_id, "")
        self._at(self._market_ns, label, f"{symbol} {client_order_id}: {text}".lstrip())

    def _state(self, state: AccountState) -> None:
        words = state.trading_state if state.armed else f"{state.trading_state}, not armed"
        if words == self._trading_state:
            return
        self._trading_state = words
        why = "" if state.armed else ": " + ", ".join(state.unarmed_reasons)
        balance = f"; balance {plain(state.wallet_balance)}" if state.balance_at_ns else ""
        self._at(state.ts_event_ns, "trading", f"{words}{why}{balance}")

    def _reconciled(self, report: ReconcileReport) -> None:
        if report.is_clean:
            text = (
                f"clean ({report.trigger}): {report.positions_compared} positions,"
                f" {report.orders_compared} orders, {report.balances_compared} balances"
            )
            self._at(report.ts_event_ns, "reconciled", text)
        for found in report.discrepancies:
            seen = "confirmed" if found.is_confirmed else "first seen"
            text = f"{found.kind} {found.subject}: ours {found.ours}, venue {found.theirs} ({seen})"
            self._at(report.ts_event_ns, "drift", text)

    def _at(self, market_ns: int, label: str, text: str) -> None:
        moment = datetime.fromtimestamp(market_ns // NS_PER_S, tz=UTC)
        milliseconds = market_ns % NS_PER_S // 1_000_000
        self._line(label, text, f"{moment:%H:%M:%S}.{milliseconds:03d}")

    def _line(self, label: str, text: str, stamp: str = "") -> None:
        name = f"{label:<10}"
        if self._has_colors:
            name = f"{COLORS[LABELS[label]]}{name}{RESET}"
        self._write(f"{stamp:<12} {name} {text}")


def signed(value: Decimal) -> str:
    """A profit with its sign always shown."""
    return f"+{plain(value)}" if value > 0 else plain(value)
