"""Every limit, quirk and setting of the paper exchange, with units, parsed once and frozen."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DAY_NS = 86_400_000_000_000


class Limits(BaseModel):
    """What the venue allows; values are those of Binance USD-M Futures in late 2026."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recv_window_ms_default: int = 5_000
    recv_window_ms_max: int = 60_000
    timestamp_ahead_ms_max: int = 1_000
    maker_rate: Decimal = Decimal("0.0002")
    taker_rate: Decimal = Decimal("0.0005")
    rpi_rate: Decimal = Field(
        default=Decimal("0.00005"), description="commission of retail price improvement orders"
    )
    insurance_fund: Decimal = Field(
        default=Decimal(1_000_000_000), ge=0, description="USDT in the insurance fund at the start"
    )
    margin_call_ratio: Decimal = Field(
        default=Decimal("0.8"), gt=0, description="maintenance over margin that is warned of"
    )
    leverage_default: int = 20
    open_orders_per_symbol_max: int = 200
    algo_orders_max: int = Field(default=200, description="conditional orders waiting per account")
    weight_per_minute_max: int = Field(default=2_400, description="request weight per address")
    refusals_before_ban_max: int = Field(
        default=20, description="answers 429 in a minute before an address is banned"
    )
    ban_ms_min: int = Field(default=120_000, description="the first ban; each further one doubles")
    ban_ms_max: int = 3 * 86_400_000
    addresses_max: int = Field(default=10_000, description="addresses whose weight is counted")
    orders_per_10_seconds_max: int = 300
    orders_per_minute_max: int = 1_200
    order_history_max: int = Field(default=100_000, description="closed orders kept per account")
    trade_history_max: int = Field(default=200_000, description="fills kept per account")
    income_history_max: int = Field(default=200_000, description="income rows kept per account")
    unfilled_order_retention_ns: int = 3 * DAY_NS
    order_retention_ns: int = 90 * DAY_NS
    history_window_ms_max: int = 7 * 86_400_000
    income_lookback_ms_max: int = 90 * 86_400_000
    list_rows_max: int = 1_000
    list_rows_default: int = 500
    listen_key_valid_ms: int = 3_600_000
    good_till_date_ahead_ms_min: int = 600_000
    market_assuming_price_margin: Decimal = Decimal("0.0005")
    request_body_bytes_max: int = 65_536
    accounts_max: int = 10_000
    fault_rules_max: int = 1_000
    request_log_rows_max: int = 200_000
    user_events_max: int = Field(default=100_000, description="undelivered user events kept")

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: object) -> object:
        """Refuse counts and times below zero; a rate below zero is a rebate."""
        if isinstance(value, int) and value < 0:
            raise ValueError("a limit is zero or more")
        return value


DEFAULT_LIMITS: Final = Limits()


class Quirks(BaseModel):
    """Where the venue differs from what its documentation leads one to expect.

    As on the venue where nobody says otherwise; a switch is there to tell which of them a client
    stumbles over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algo_read_lag_ms: int = Field(
        default=1_200,
        ge=0,
        le=600_000,
        description="market ms for which GET algoOrder trails what was placed or canceled",
    )
    exponent_format: bool = Field(
        default=True, description="openAlgoOrders writes decimals as Java doubles, such as 7.0E-4"
    )
    code_as_string: bool = Field(
        default=True, description='DELETE algoOrder answers with the code "200", a string'
    )
    retention: bool = Field(
        default=True, description="orders are forgotten after 3 days (unfilled) or 90 days"
    )
    client_order_id_unique_among_open_only: bool = Field(
        default=True, description="a client order id may be used again once its order has ended"
    )
    silent_wrong_routes: bool = Field(
        default=True, description="a stream subscribed at the wrong route is acknowledged and mute"
    )
    accept_decoded_signatures: bool = Field(
        default=False, description="a signature over the percent-decoded request is valid, too"
    )


DEFAULT_QUIRKS: Final = Quirks()
IMMEDIATE_QUIRKS: Final = Quirks(algo_read_lag_ms=0)
"""The venue's quirks but for its lag, for whoever drives an exchange without a clock."""


class Moods(BaseModel):
    """How a generated market behaves: its regimes, its jumps and its gaps.

    All chance comes from the seed. As it stands the market is lively, without surprises.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regime_seconds: int = Field(
        default=0, ge=0, le=86_400,
        description="mean length of calm, volatile and trending regimes; 0 for none",
    )  # fmt: skip
    volatility_percent: int = Field(
        default=100, ge=1, le=2_000, description="size of all price moves, 100 as it stands"
    )
    correlation_percent: int = Field(
        default=55, ge=0, le=100, description="share of the shocks that all symbols have in common"
    )
    jumps_per_hour: int = Field(default=0, ge=0, le=3_600, description="sudden moves of one symbol")
    jump_basis_points: int = Field(
        default=100, ge=1, le=3_000, description="largest size of a jump"
    )
    gaps_per_hour: int = Field(default=0, ge=0, le=360, description="times when nothing is told")
    gap_seconds: int = Field(default=5, ge=1, le=600, description="longest silence of a gap")


DEFAULT_MOODS: Final = Moods()


class Settings(BaseModel):
    """How one paper exchange process is started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535, description="0 takes any free port")
    source: Literal["generator", "tape", "klines"] = "generator"
    paths: tuple[Path, ...] = ()
    speed: Decimal = Field(default=Decimal(1), gt=0, description="market seconds per wall second")
    hold: bool = False
    seed: int = 1
    symbols: tuple[str, ...] = ()
    demo_balance: Decimal = Decimal(10_000)
    loop: bool = Field(default=False, description="start files over at their end")
    scenario: str | None = Field(default=None, description="one that ships, or a YAML file")
    state: Path | None = Field(default=None, description="file that survives a restart")
    moods: Moods = DEFAULT_MOODS
    limits: Limits = DEFAULT_LIMITS
    quirks: Quirks = DEFAULT_QUIRKS

    @model_validator(mode="after")
    def _source_has_its_files(self) -> Settings:
        if self.source == "generator" and self.paths:
            raise ValueError("--path is for --source tape or klines; the generator reads no file")
        if self.source != "generator" and not self.paths:
            raise ValueError(f"--source {self.source} needs at least one --path FILE")
        if self.state is not None and (self.source != "generator" or self.speed != 1 or self.hold):
            raise ValueError("--state goes with the generator at speed 1: elsewhere time goes back")
        return self
