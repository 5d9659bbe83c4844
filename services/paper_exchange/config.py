"""Every limit and setting of the paper exchange, with units, parsed once and frozen."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY_NS = 86_400_000_000_000


class Limits(BaseModel):
    """What the venue allows; values are those of Binance USD-M Futures in late 2026."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recv_window_ms_default: int = 5_000
    recv_window_ms_max: int = 60_000
    timestamp_ahead_ms_max: int = 1_000
    maker_rate: Decimal = Decimal("0.0002")
    taker_rate: Decimal = Decimal("0.0005")
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


DEFAULT_LIMITS: Final = Limits()


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
    limits: Limits = DEFAULT_LIMITS

    @model_validator(mode="after")
    def _source_has_its_files(self) -> Settings:
        if self.source == "generator" and self.paths:
            raise ValueError("--path is for --source tape or klines; the generator reads no file")
        if self.source != "generator" and not self.paths:
            raise ValueError(f"--source {self.source} needs at least one --path FILE")
        return self
