"""Execution's read model of an account, its commands, and the reconciler's reports."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.messages.envelope import Envelope
from libs.common.messages.limit_events import LimitsChange, LimitsInForce
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState


class PositionView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A position as the journal knows it: signed base units, quote currency.

    Attributes:
        commission: paid in the quote currency; what was paid in others is in no other figure.
        commission_other: paid in other assets, each in its own units.
    """

    symbol: str
    quantity: Decimal
    cost: Decimal
    entry_price: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_other: dict[str, Decimal] = {}


class PnlDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one day brought so far, over all symbols, in the quote currency.

    The day is that of the configured time zone (``day_time_zone``).

    Attributes:
        day_start_ns: the day's first moment, market time.
        realized_pnl: of fills, before commission.
        commission: paid where positive.
        funding, liquidation, other: received where positive; transfers are in none of them.
        commission_other: paid in other assets, each in its own units; not in ``net``.
    """

    day_start_ns: int
    realized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    liquidation: Decimal
    other: Decimal
    commission_other: dict[str, Decimal] = {}

    @property
    def net(self) -> Decimal:
        """What is left of it all."""
        received = self.funding + self.liquidation + self.other
        return self.realized_pnl - self.commission + received


class OrderView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that has not ended, as the journal knows it; a market order has no price."""

    client_order_id: str
    intent_id: str
    symbol: str
    side: Side
    quantity: Decimal
    cumulative_quantity: Decimal
    reduce_only: bool
    status: OrderStatus
    recorded_at_ns: int
    price: Decimal | None = None


class AlgoOrderView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stop or target that has not ended, as the journal knows it.

    Attributes:
        is_ending: its cancel was asked for.
    """

    client_algo_id: str
    intent_id: str
    kind: AlgoKind
    symbol: str
    side: Side
    quantity: Decimal
    trigger_price: Decimal
    status: AlgoStatus
    is_ending: bool
    recorded_at_ns: int


class ExposureView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an entry that asked for a stop filled and may still hold.

    Attributes:
        quantity: base units that a stop is owed for.
        unprotected_since_ns: market time since when no stop over all of it is acknowledged; else 0.
    """

    intent_id: str
    symbol: str
    side: Side
    quantity: Decimal
    unprotected_since_ns: int


class SettingsView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the venue confirmed of a symbol's settings when execution asserted them."""

    symbol: str
    leverage: int
    margin_type: str


class TradesView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest trades of a symbol that the journal holds; up to ``floor_id`` none is told."""

    symbol: str
    floor_id: int
    trade_ids: tuple[int, ...]


class AccountState(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What execution knows of the account. Sent on every change and at least once a second (wall).

    Attributes:
        journal_sequence: the journal record this view was folded up to.
        armed: every arming check passed; while false nothing risk-increasing is sent.
        unarmed_reasons: the checks that have not passed.
        wallet_balance: quote currency, without unrealised profit.
        available_balance: quote currency the venue would let new positions use.
        balance_at_ns: market time of the balance figures; 0 if there are none yet.
        changed_at_ns: market time of the last fill, order or balance change.
        exposures: entries that are owed a stop.
        user_stream_ups: how often in this process's life the user stream came up and its gap was
            closed by REST.
        pnl_day: profit and loss of the day of ``ts_event_ns``; ``None``: not known.
        limits: what people have set of risk's limits.
    """

    account: str
    journal_sequence: int
    trading_state: TradingState
    armed: bool
    unarmed_reasons: tuple[str, ...]
    wallet_balance: Decimal
    available_balance: Decimal
    balance_at_ns: int
    changed_at_ns: int
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    algo_orders: tuple[AlgoOrderView, ...] = ()
    exposures: tuple[ExposureView, ...] = ()
    settings: tuple[SettingsView, ...] = ()
    trades: tuple[TradesView, ...] = ()
    user_stream_ups: int = 0
    pnl_day: PnlDay | None = None
    limits: LimitsInForce = LimitsInForce()


class Verb(StrEnum):
    """What may be asked of execution, in the words of the CLI and of the HTTP doors."""

    HALT = "halt"
    REDUCE = "reduce-only"
    RESUME = "resume"
    CANCEL_ALL = "cancel-all"
    FLATTEN = "flatten"
    UNLOCK = "unlock"
    RECONCILE = "reconcile"
    ADOPT = "adopt"
    CANCEL_ORPHAN = "cancel-orphan"
    ASSERT_SETTINGS = "assert-settings"
    LIMITS = "limits"


class Command(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to execution: who asks, and why. Both are journaled.

    Attributes:
        target: the symbol to flatten (none: all of them) or to adopt (or an order of it, its id
            after a colon), the guard to unlock, with
            its key after a colon where only a part is meant: ``cooldown_symbol:BTCUSDT``, or the
            symbol and client id of an order to cancel that only the venue knows.
        idempotency_key: a command whose key was honoured before changes nothing.
        limits: the limits of risk to set; with the verb of that name alone.
    """

    account: str
    verb: Verb
    actor: str
    reason: str
    target: str = ""
    idempotency_key: str = ""
    limits: LimitsChange | None = None


#: What execution says when it asks for a comparison because it is not reconciled: that may take its
#: time. Whoever says anything else is answered at once.
ASKED_BY_ITSELF = b'{"by":"itself"}'


class DiscrepancyKind(StrEnum):
    """How ours and theirs can differ.

    An orphan is open at the venue and unknown to us, a lost order the other way round; a changed
    one has another price or quantity there. A naked position is owed a stop that the venue does not
    hold. Missed income is on the venue's list and not in the journal; income drifts where the
    journal tells another amount, or a row that the list has not.
    """

    PHANTOM_POSITION = "PHANTOM_POSITION"
    UNTRACKED_POSITION = "UNTRACKED_POSITION"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    SIDE_MISMATCH = "SIDE_MISMATCH"
    ORPHAN_ORDER = "ORPHAN_ORDER"
    LOST_ORDER = "LOST_ORDER"
    ORDER_CHANGED = "ORDER_CHANGED"
    ORPHAN_ALGO_ORDER = "ORPHAN_ALGO_ORDER"
    LOST_ALGO_ORDER = "LOST_ALGO_ORDER"
    MISSED_FILL = "MISSED_FILL"
    NAKED_POSITION = "NAKED_POSITION"
    BALANCE_DRIFT = "BALANCE_DRIFT"
    MISSED_INCOME = "MISSED_INCOME"
    INCOME_DRIFT = "INCOME_DRIFT"
    SETTING_DRIFT = "SETTING_DRIFT"


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One difference: what we believe, what the venue says.

    Attributes:
        subject: the symbol, order, asset or setting it is about.
        is_confirmed: it was seen in two looks in a row, or no second look could show otherwise.
        symbol: where the subject is none but belongs to one.
        policy: what follows from it by the reconciler's configuration: report, adopt, repair...
        is_tolerated: trading need not wait for its end: the policy is only to report an order of
            others, or income that no repair could make equal.
        is_needed: an order that alone guards what is held; no policy repairs it away.
    """

    kind: DiscrepancyKind
    subject: str
    ours: str
    theirs: str
    is_confirmed: bool
    symbol: str = ""
    policy: str = ""
    is_tolerated: bool = False
    is_needed: bool = False


class ReconcileReport(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outcome of one comparison of local truth with the venue's.

    Attributes:
        trigger: why it ran: start, period, reconnect, retry, demand.
        is_clean: nothing differed.
        journal_sequence: the journal record local truth was folded up to.
        duration_ms: wall time it took.
        algo_orders_compared: conditional orders, on either side.
        trades_compared, settings_compared, income_compared: 0 where this comparison did not ask
            for them.
        remedies: the commands it asks execution for.
        in_flight: differences of the last look that had not been there before: too much was under
            way. They are none of ``discrepancies``, and no proof that nothing differs.
    """

    account: str
    cycle: int
    trigger: str
    is_clean: bool
    discrepancies: tuple[Discrepancy, ...]
    positions_compared: int
    orders_compared: int
    balances_compared: int
    journal_sequence: int
    duration_ms: int
    algo_orders_compared: int = 0
    trades_compared: int = 0
    settings_compared: int = 0
    income_compared: int = 0
    remedies: tuple[str, ...] = ()
    in_flight: int = 0


class DeadLetter(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message a service could not read.

    Attributes:
        subject: where it came from.
        reason: what is wrong with it.
        payload: its bytes, as base64, cut to the first 8 KiB.
    """

    subject: str
    reason: str
    payload: str
