"""Candles through the cores of signal, risk and execution, one decision after the other.

What is simulated is only the world: quote and mark stand at the candle's close, and an order fills
there at once, at the taker's commission. Every decision is made by the code that trades.
"""

from collections.abc import Iterable
from decimal import Decimal

from libs.common import __version__
from libs.common.messages.codec import encode
from libs.common.messages.intents import ApprovalBody, ApprovedIntent
from libs.common.messages.journal import (
    GENESIS_HASH,
    BalanceObserved,
    FillReceived,
    InstrumentsLoaded,
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderRecorded,
    TradingStateChanged,
    record_hash,
)
from libs.common.messages.market import Candle, Mark, Quote
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent
from libs.common.model.money import ZERO, round_money
from libs.common.model.order import OrderStatus
from libs.common.model.position import Position
from libs.common.model.trading_state import TradingState
from services.execution.config import ExecutionConfig
from services.execution.core import Facts, decide_approval
from services.execution.fold import apply
from services.execution.question import NS_PER_MS, MarkSeen
from services.execution.state import State
from services.execution.view import account_view
from services.risk.config import RiskConfig
from services.risk.core import Board, Refusal, decide
from services.signal.core import Series, fold
from sim.vouching import vouch_for, vouched

ACCOUNT = "replay"
ASSET = "USDT"
BALANCE = Decimal(10_000)
TAKER_RATE = Decimal("0.0005")
#: Base units at the close: whatever is ordered fills there, and risk must expect it to.
DEEP = Decimal(10) ** 12
RECV_WINDOW_MS = 5_000


class Replay:
    """One account's world; ``journal`` holds the raw records, ``refused`` counts risk's reasons."""

    def __init__(
        self,
        series: dict[tuple[str, str], Series],
        instruments: Iterable[Instrument],
        risk: RiskConfig,
        execution: ExecutionConfig,
    ) -> None:
        self._series = series
        self._instruments = tuple(instruments)
        self._risk = risk
        self._execution = execution
        self._board = Board()
        self._trade_id = 0
        self.state = State()
        self.journal: list[bytes] = []
        self.candles = 0
        self.refused: dict[str, int] = {}

    def run(self, candles: Iterable[Candle]) -> None:
        """Fold the candles, in order, and decide on what they lead to."""
        for candle in candles:
            if not self.journal:
                self._open(candle.open_ns)
            self.candles += 1
            self._look(candle)
            for intent in fold(self._series, candle).intents:
                self._judge(intent, candle)

    def _open(self, now_ns: int) -> None:
        leverage = self._execution.leverage
        settings = (
            LeverageAsserted(symbol=item.symbol, leverage=leverage, margin_type="CROSSED")
            for item in self._instruments
        )
        self._append(
            now_ns,
            TradingStateChanged(state=TradingState.ACTIVE, actor="replay", reason="begins"),
            InstrumentsLoaded(instruments=self._instruments, loaded_at_ns=now_ns),
            *settings,
            self._balance(now_ns),
        )

    def _append(self, now_ns: int, *events: JournalEvent) -> None:
        record = JournalRecord(
            account=ACCOUNT,
            number=len(self.journal) + 1,
            prev_hash=record_hash(self.journal[-1]) if self.journal else GENESIS_HASH,
            causation_id="replay",
            correlation_id="replay",
            ts_event_ns=now_ns,
            ts_wall_ns=0,
            app_version=__version__,
            config_hash="",
            events=events,
        )
        self.journal.append(encode(record))
        apply(self.state, record)

    def _look(self, candle: Candle) -> None:
        """Quote, mark and account as they stand when the candle closes."""
        now_ns, price = candle.close_ns, candle.close
        self._board.hear_quote(
            Quote(
                message_id="",
                causation_id="",
                correlation_id="",
                ts_event_ns=now_ns,
                ts_published_ns=0,
                source="replay",
                symbol=candle.symbol,
                bid_price=price,
                bid_quantity=DEEP,
                ask_price=price,
                ask_quantity=DEEP,
                update_id=self.candles,
            )
        )
        self._board.hear_mark(
            Mark(
                message_id="",
                causation_id="",
                correlation_id="",
                ts_event_ns=now_ns,
                ts_published_ns=0,
                source="replay",
                symbol=candle.symbol,
                mark_price=price,
                index_price=price,
                funding_rate=ZERO,
                next_funding_ns=0,
            )
        )

    def _judge(self, intent: Intent, candle: Candle) -> None:
        now_ns = candle.close_ns
        self._board.hear_health(vouch_for((intent.symbol,), now_ns), 0)
        view = account_view(
            self.state,
            account=ACCOUNT,
            journal_sequence=len(self.journal),
            unarmed=(),
            now_ns=now_ns,
            published_ns=0,
        )
        self._board.hear_account(view, 0)
        decision = decide(
            self._risk.limits,
            self._risk.sizing,
            self._board.facts(intent.symbol, now_ns=now_ns, heard_now_ns=0),
            intent,
            account=ACCOUNT,
            now_ns=now_ns,
            now_wall_ns=0,
        )
        if isinstance(decision, Refusal):
            self.refused[decision.reason] = self.refused.get(decision.reason, 0) + 1
        else:
            self._pass_the_gate(decision, candle)

    def _pass_the_gate(self, body: ApprovalBody, candle: Candle) -> None:
        now_ns = candle.close_ns
        self._append(now_ns, *self._figures(candle))
        approved = ApprovedIntent(
            message_id=f"approved-{body.intent.intent_id}",
            causation_id=body.intent.candle_id,
            correlation_id=body.intent.intent_id,
            ts_event_ns=now_ns,
            ts_published_ns=0,
            source="replay",
            body=body,
            mac="",
        )
        facts = Facts(
            now_ns=now_ns,
            venue_timestamp_ms=now_ns // NS_PER_MS,
            recv_window_ms=RECV_WINDOW_MS,
            mark=MarkSeen(price=candle.close, at_ns=now_ns),
            health=vouched(body.order.symbol),
            unarmed=(),
            account=ACCOUNT,
            writer="replay",
        )
        for event in decide_approval(self._execution, self.state, approved, facts).events:
            self._append(now_ns, event)
            if isinstance(event, OrderRecorded):
                self._fill(event, candle)

    def _figures(self, candle: Candle) -> list[JournalEvent]:
        """What execution would have asked the venue for lately."""
        figures: list[JournalEvent] = [self._balance(candle.close_ns)]
        age_ms = (candle.close_ns - self.state.instruments_at_ns) // NS_PER_MS
        if age_ms >= self._execution.filters_refresh_ms:
            now_ns = candle.close_ns
            figures.append(InstrumentsLoaded(instruments=self._instruments, loaded_at_ns=now_ns))
        return figures

    def _balance(self, now_ns: int) -> BalanceObserved:
        """What a venue would state: wallet, less the margin of what is open."""
        positions = self.state.positions.values()
        wallet = BALANCE + sum(
            (item.realized_pnl - item.commissions.get(ASSET, ZERO) for item in positions), ZERO
        )
        margin = sum((abs(item.cost) for item in positions), ZERO) / self._execution.leverage
        return BalanceObserved(
            asset=ASSET,
            wallet_balance=wallet,
            available_balance=round_money(wallet - margin),
            observed_at_ns=now_ns,
        )

    def _fill(self, recorded: OrderRecorded, candle: Candle) -> None:
        order = recorded.order
        self._trade_id += 1
        before = self.state.positions.get(order.symbol) or Position(symbol=order.symbol)
        after = before.with_fill(order.side, order.quantity, candle.close)
        self._append(
            candle.close_ns,
            OrderAnswered(
                client_order_id=recorded.client_order_id,
                venue_order_id=self._trade_id,
                status=OrderStatus.FILLED,
                cumulative_quantity=order.quantity,
            ),
            FillReceived(
                symbol=order.symbol,
                trade_id=self._trade_id,
                client_order_id=recorded.client_order_id,
                venue_order_id=self._trade_id,
                side=order.side,
                quantity=order.quantity,
                price=candle.close,
                commission=round_money(order.quantity * candle.close * TAKER_RATE),
                commission_asset=ASSET,
                venue_realized_pnl=after.realized_pnl - before.realized_pnl,
                is_maker=False,
                ts_trade_ns=candle.close_ns,
            ),
        )


def gate_refusals(events: Iterable[JournalEvent]) -> dict[str, int]:
    """How often the gate refused, by reason."""
    counts: dict[str, int] = {}
    for event in events:
        if isinstance(event, IntentRefusedByGate):
            counts[event.reason] = counts.get(event.reason, 0) + 1
    return counts
