"""Every limit of risk, by name and unit. Pure, so that the checks may read it."""

from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from libs.common.model.settings import Section, ServiceConfig

#: Keeps every product of two figures exact within the precision that sizing works in.
MONEY_MAX = Decimal(10) ** 12
#: The whole price: no limit on what it may cost to trade is as wide.
BPS_MAX = Decimal(10_000)


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
        symbols_allowed: nothing else is traded; an empty list allows nothing.
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

    http_port: int = 8103
    sizing: SizingConfig = SizingConfig()
    limits: LimitsConfig = LimitsConfig()
    intent_bytes_max: int = Field(65_536, ge=1_024, le=1_000_000)
