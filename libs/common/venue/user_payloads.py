"""What the user data stream says: orders, fills, balances, positions, and the end of its key.

Within one event type the order is the venue's; across types it is by `event_ms`. Events before the
socket was open are lost for good, which is why a gap is closed by REST.
"""

from decimal import Decimal

import msgspec
from msgspec import field

from libs.common.model.order import Side
from libs.common.venue.payloads import ZERO, Payload, check_execution
from libs.common.venue.stream_payloads import ControlReply, Frame, Unrecognized, explain


class _Event(Payload, frozen=True, kw_only=True, tag_field="e"):
    event_ms: int = field(name="E")


class OrderUpdate(Payload, frozen=True, kw_only=True):
    """The order of an ORDER_TRADE_UPDATE.

    `execution` is what happened (NEW, TRADE, CANCELED, EXPIRED, CALCULATED, AMENDMENT), `status`
    the state after it. `last_*`, `commission` and `trade_id` speak of the fill, when it is one.
    """

    symbol: str = field(name="s")
    client_order_id: str = field(name="c")
    order_id: int = field(name="i")
    side: Side = field(name="S")
    order_type: str = field(name="o")
    execution: str = field(name="x")
    status: str = field(name="X")
    quantity: Decimal = field(name="q")
    cumulative_quantity: Decimal = field(name="z")
    transaction_ms: int = field(name="T")
    price: Decimal = field(name="p", default=ZERO)
    average_price: Decimal = field(name="ap", default=ZERO)
    stop_price: Decimal = field(name="sp", default=ZERO)
    last_quantity: Decimal = field(name="l", default=ZERO)
    last_price: Decimal = field(name="L", default=ZERO)
    trade_id: int = field(name="t", default=0)
    commission: Decimal = field(name="n", default=ZERO)
    commission_asset: str = field(name="N", default="")
    realized_pnl: Decimal = field(name="rp", default=ZERO)
    is_maker: bool = field(name="m", default=False)
    reduce_only: bool = field(name="R", default=False)
    close_position: bool = field(name="cp", default=False)
    time_in_force: str = field(name="f", default="")
    original_type: str = field(name="ot", default="")
    position_side: str = field(name="ps", default="BOTH")
    expiry_reason: str = field(name="er", default="0")

    def __post_init__(self) -> None:
        """Refuse an execution that the fold of a position could not reckon with."""
        super().__post_init__()
        if self.is_fill:
            check_execution(self.last_quantity, self.last_price)

    @property
    def is_fill(self) -> bool:
        """Whether the event is an execution, liquidation and ADL included."""
        return self.execution in ("TRADE", "CALCULATED") and self.last_quantity > 0


class OrderTradeUpdate(_Event, frozen=True, kw_only=True, tag="ORDER_TRADE_UPDATE"):
    """An order changed or was filled."""

    transaction_ms: int = field(name="T")
    order: OrderUpdate = field(name="o")


class BalanceUpdate(Payload, frozen=True, kw_only=True):
    """One asset that changed. `change` leaves out profit and commission."""

    asset: str = field(name="a")
    wallet_balance: Decimal = field(name="wb")
    cross_wallet_balance: Decimal = field(name="cw")
    change: Decimal = field(name="bc", default=ZERO)


class PositionUpdate(Payload, frozen=True, kw_only=True):
    """One position that changed."""

    symbol: str = field(name="s")
    quantity: Decimal = field(name="pa")
    entry_price: Decimal = field(name="ep")
    unrealized_profit: Decimal = field(name="up", default=ZERO)
    realized_profit: Decimal = field(name="cr", default=ZERO)
    margin_type: str = field(name="mt", default="")
    position_side: str = field(name="ps", default="BOTH")


class AccountChange(Payload, frozen=True, kw_only=True):
    """Why (`reason`: ORDER, FUNDING_FEE, DEPOSIT, ...) and what changed; nothing else is listed."""

    reason: str = field(name="m")
    balances: tuple[BalanceUpdate, ...] = field(name="B", default=())
    positions: tuple[PositionUpdate, ...] = field(name="P", default=())


class AccountUpdate(_Event, frozen=True, kw_only=True, tag="ACCOUNT_UPDATE"):
    """Balances or positions changed."""

    transaction_ms: int = field(name="T")
    change: AccountChange = field(name="a")


class AlgoOrder(Payload, frozen=True, kw_only=True):
    """The order of an ALGO_UPDATE; `order_id` (a text) names the order born by the trigger."""

    client_algo_id: str = field(name="caid")
    algo_id: int = field(name="aid")
    symbol: str = field(name="s")
    side: str = field(name="S")
    order_type: str = field(name="o")
    status: str = field(name="X")
    order_id: str = field(name="ai", default="")
    quantity: Decimal | None = field(name="q", default=None)
    trigger_price: Decimal | None = field(name="tp", default=None)
    average_price: Decimal | None = field(name="ap", default=None)
    executed_quantity: Decimal | None = field(name="aq", default=None)
    reject_reason: str = field(name="rm", default="")


class AlgoUpdate(_Event, frozen=True, kw_only=True, tag="ALGO_UPDATE"):
    """A conditional order changed."""

    transaction_ms: int = field(name="T")
    order: AlgoOrder = field(name="o")


class LeverageChange(Payload, frozen=True, kw_only=True):
    """New leverage of a symbol."""

    symbol: str = field(name="s")
    leverage: int = field(name="l")


class AccountConfigUpdate(_Event, frozen=True, kw_only=True, tag="ACCOUNT_CONFIG_UPDATE"):
    """Leverage of a symbol, or (with `leverage` None) the multi-assets mode was changed."""

    transaction_ms: int = field(name="T")
    leverage: LeverageChange | None = field(name="ac", default=None)


class MarginCall(_Event, frozen=True, kw_only=True, tag="MARGIN_CALL"):
    """The venue warns that positions are close to liquidation."""


class ListenKeyExpired(_Event, frozen=True, kw_only=True, tag="listenKeyExpired"):
    """The stream is dead: make a new key, connect again, reconcile."""


UserEvent = (
    OrderTradeUpdate
    | AccountUpdate
    | AlgoUpdate
    | AccountConfigUpdate
    | MarginCall
    | ListenKeyExpired
)


class _UserEnvelope(msgspec.Struct):
    data: UserEvent


_BARE: msgspec.json.Decoder[UserEvent] = msgspec.json.Decoder(UserEvent)
_ENVELOPED = msgspec.json.Decoder(_UserEnvelope)
_KNOWN = frozenset(kind.__struct_config__.tag for kind in UserEvent.__args__)


def decode_user_frame(frame: Frame) -> UserEvent | ControlReply | Unrecognized:
    """Read one frame of a user stream, bare or enveloped. Raises PayloadError when malformed."""
    try:
        return _BARE.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = error
    try:
        return _ENVELOPED.decode(frame).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return explain(frame, _KNOWN, problem)
