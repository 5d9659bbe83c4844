"""What the venue tells of an account's settings and of its key, as frozen structs.

Numbers come as JSON numbers here, not as strings; both are read exactly.
"""

from decimal import Decimal

from msgspec import field

from libs.common.venue.payloads import Payload


class LeverageBracket(Payload, frozen=True, kw_only=True):
    """One tier: from `notional_floor` to `notional_cap` at most `leverage_max`.

    Maintenance margin of a notional in it: notional x `maintenance_ratio` - `cumulative`.
    """

    bracket: int
    leverage_max: int = field(name="initialLeverage")
    notional_cap: Decimal = field(name="notionalCap")
    notional_floor: Decimal = field(name="notionalFloor")
    maintenance_ratio: Decimal = field(name="maintMarginRatio")
    cumulative: Decimal = field(name="cum")


class SymbolBrackets(Payload, frozen=True, kw_only=True):
    """The tiers of one symbol; `notional_coefficient` multiplies floors and caps, where told."""

    symbol: str
    brackets: tuple[LeverageBracket, ...]
    notional_coefficient: Decimal | None = field(name="notionalCoef", default=None)


class AccountConfig(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/accountConfig."""

    can_trade: bool = field(name="canTrade")
    can_withdraw: bool = field(name="canWithdraw", default=False)
    hedge_mode: bool = field(name="dualSidePosition")
    multi_assets_margin: bool = field(name="multiAssetsMargin")


class SymbolSettings(Payload, frozen=True, kw_only=True):
    """One symbol of GET /fapi/v1/symbolConfig; the margin type is upper case: CROSSED, ISOLATED."""

    symbol: str
    leverage: int
    margin_type: str = field(name="marginType")


class PositionMode(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/positionSide/dual: hedge mode, or one-way."""

    hedge_mode: bool = field(name="dualSidePosition")


class ApiRestrictions(Payload, frozen=True, kw_only=True):
    """GET /sapi/v1/account/apiRestrictions: what the key may do.

    A key that may withdraw has no business in a trading process.
    """

    ip_restricted: bool = field(name="ipRestrict")
    may_read: bool = field(name="enableReading")
    may_trade_futures: bool = field(name="enableFutures")
    may_withdraw: bool = field(name="enableWithdrawals")
    may_transfer: bool = field(name="enableInternalTransfer", default=False)
    may_transfer_universally: bool = field(name="permitsUniversalTransfer", default=False)
