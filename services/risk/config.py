"""Every limit of risk, by name and unit. Pure, so that the checks may read it."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from libs.common.model.agreement import Kind, Relation
from libs.common.model.settings import Section, ServiceConfig

#: Keeps every product of two figures exact within the precision that sizing works in.
MONEY_MAX = Decimal(10) ** 12
#: The whole price: no limit on what it may cost to trade is as wide.
BPS_MAX = Decimal(10_000)


RELATIONS = (
    Relation(
        "risk.limits.order_notional_max",
        Kind.AT_MOST,
        "risk.limits.position_notional_max",
        "one order of the size allowed would be more than a position may be",
    ),
    Relation(
        "risk.sizing.notional",
        Kind.AT_MOST,
        "risk.limits.order_notional_max",
        "every entry would be sized above what one order may be, and refused",
        only_if=("risk.sizing.method", "fixed_notional"),
    ),
    Relation(
        "risk.sizing.equity_fraction",
        Kind.AT_MOST,
        "execution.leverage",
        "an entry would need more margin than there is equity, and be refused",
        only_if=("risk.sizing.method", "equity_fraction"),
    ),
    Relation(
        "risk.limits.symbols_allowed",
        Kind.WITHIN,
        "symbols",
        "nothing is known of a symbol that is not there",
    ),
    Relation(
        "risk.limits.per_symbol",
        Kind.WITHIN,
        "symbols",
        "limits of a symbol that is not traded hold for nothing",
    ),
    Relation(
        "signal.strategies.*.intent_ttl_ms",
        Kind.AT_MOST,
        "risk.limits.intent_ttl_ms_max",
        "risk would refuse every intent of the strategy for living too long",
    ),
    Relation(
        "execution.state_interval_wall_ms",
        Kind.BELOW,
        "risk.limits.account_silence_ms_max",
        "entries would be refused between two words of execution",
    ),
    Relation(
        "feed.health_interval_ms",
        Kind.BELOW,
        "risk.limits.health_silence_ms_max",
        "entries would be refused between two words of the feed",
    ),
    Relation(
        "feed.quote_publish_interval_ms_min",
        Kind.BELOW,
        "risk.limits.quote_age_ms_max",
        "every quote would be too old before the next one is told",
    ),
    Relation(
        "feed.quote_publish_interval_ms_min",
        Kind.BELOW,
        "risk.limits.mark_age_ms_max",
        "every mark price would be too old before the next one is told",
    ),
)


class SizingMethod(StrEnum):
    """How an ENTER without a quantity is sized."""

    FIXED_NOTIONAL = "fixed_notional"
    EQUITY_FRACTION = "equity_fraction"


class SizingConfig(Section):
    """How large an order is where the intent does not say.

    Attributes:
        notional: quote currency per order, for ``fixed_notional``.
        equity_fraction: share of wallet balance plus unrealised profit, for ``equity_fraction``.
    """

    method: SizingMethod = SizingMethod.FIXED_NOTIONAL
    notional: Decimal = Field(Decimal(1_000), gt=0, lt=MONEY_MAX, allow_inf_nan=False)
    equity_fraction: Decimal = Field(Decimal("0.1"), gt=0, le=10, allow_inf_nan=False)


class SymbolLimits(Section):
    """Limits that may differ for one symbol; what is not named stays as it is for all."""

    spread_bps_max: Decimal | None = Field(None, ge=0, lt=BPS_MAX, allow_inf_nan=False)
    slippage_bps_max: Decimal | None = Field(None, ge=0, lt=BPS_MAX, allow_inf_nan=False)


class LimitsConfig(Section):
    """What an intent is held against.

    The ages of market data are market time, from the event to the decision. The account's view is
    repeated by the wall clock whatever the speed of market time, so its silence is wall time.

    Attributes:
        symbols_allowed: nothing else is entered; an empty list allows nothing.
        quote_age_ms_max, mark_age_ms_max: older market data decides nothing.
        event_lead_ms_max: market data or an intent further ahead of our clock is not believed.
        account_silence_ms_max: wall time since execution last said how the account stands.
        health_silence_ms_max: wall time since the feed last said which symbols it vouches for.
        intent_ttl_ms_max: an intent may not live longer than this from its creation.
        order_notional_max: quote currency of one order that takes new risk.
        position_notional_max: quote currency of the position after the order.
        daily_loss_max: quote currency that a day of ``day_time_zone`` may cost, open positions
            apart. From there on nothing is entered that day, and execution is asked once to reduce
            until resumed.
        positions_max: symbols with a position, an open entry or an approved entry.
        spread_bps_max: ask minus bid over their middle, in basis points, where something is
            entered. Liquid contracts stand below 1; what is wider is thin, or something is wrong.
        slippage_bps_max: basis points by which an entry is expected to fill worse than the price
            its strategy decided on: what the market has moved since, half the spread, the book.
        per_symbol: overrides by symbol.
    """

    symbols_allowed: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    quote_age_ms_max: int = Field(10_000, ge=1)
    mark_age_ms_max: int = Field(10_000, ge=1)
    event_lead_ms_max: int = Field(10_000, ge=0)
    account_silence_ms_max: int = Field(5_000, ge=1)
    health_silence_ms_max: int = Field(5_000, ge=1)
    intent_ttl_ms_max: int = Field(60_000, ge=1)
    order_notional_max: Decimal = Field(Decimal(5_000), gt=0, lt=MONEY_MAX, allow_inf_nan=False)
    position_notional_max: Decimal = Field(Decimal(10_000), gt=0, lt=MONEY_MAX, allow_inf_nan=False)
    daily_loss_max: Decimal = Field(Decimal(500), gt=0, lt=MONEY_MAX, allow_inf_nan=False)
    positions_max: int = Field(5, ge=0)
    spread_bps_max: Decimal = Field(Decimal(10), ge=0, lt=BPS_MAX, allow_inf_nan=False)
    slippage_bps_max: Decimal = Field(Decimal(50), ge=0, lt=BPS_MAX, allow_inf_nan=False)
    per_symbol: dict[str, SymbolLimits] = {}

    def for_symbol(self, symbol: str) -> "LimitsConfig":
        """The limits as they hold for one symbol."""
        overrides = self.per_symbol.get(symbol)
        if overrides is None:
            return self
        return self.model_copy(update=overrides.model_dump(exclude_none=True))


class RiskConfig(ServiceConfig):
    """Settings of risk.

    Attributes:
        intent_bytes_max: a longer message is no intent.
    """

    title: ClassVar[str] = "risk"
    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    http_port: int = 8103
    sizing: SizingConfig = SizingConfig()
    limits: LimitsConfig = LimitsConfig()
    intent_bytes_max: int = Field(65_536, ge=1_024, le=1_000_000)
