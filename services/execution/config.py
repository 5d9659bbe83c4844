"""Settings of execution: every limit with its unit."""

from decimal import Decimal
from pathlib import Path

from pydantic import Field, model_validator

from libs.common.model.settings import ServiceConfig


class ExecutionConfig(ServiceConfig):
    """The gate's limits and the shell's intervals. Times are market time unless named otherwise."""

    http_port: int = 8104
    api_key_file: Path | None = None
    api_secret_file: Path | None = None

    leverage: int = Field(10, ge=1, le=125)
    margin_type: str = Field("CROSSED", pattern="^(CROSSED|ISOLATED)$")
    margin_buffer: Decimal = Field(Decimal("1.25"), ge=1)
    lock_ms: int = Field(30_000, ge=1_000)
    account_age_ms_max: int = Field(10_000, ge=100)
    account_refresh_ms: int = Field(5_000, ge=100)
    settings_retry_ms: int = Field(10_000, ge=1_000)
    filters_age_ms_max: int = Field(3_600_000, ge=1_000)
    filters_refresh_ms: int = Field(1_800_000, ge=1_000)
    mark_age_ms_max: int = Field(5_000, ge=100)
    idempotency_ms: int = Field(3_600_000, ge=60_000)
    resume_age_ms_max: int = Field(60_000, ge=1_000)

    query_lag_ms: int = Field(3_000, ge=0)
    query_interval_ms: int = Field(1_000, ge=10)
    fill_wait_ms: int = Field(1_000, ge=10)

    clock_offset_ms_max: int = Field(500, ge=1)
    listen_key_keepalive_ms: int = Field(1_800_000, ge=60_000, le=3_000_000)
    stream_heartbeat_ms: int = Field(10_000, ge=500)
    stream_frame_bytes_max: int = Field(1 << 20, ge=1 << 12)
    reconnect_wait_ms: int = Field(200, ge=10)
    reconnect_wait_ms_max: int = Field(60_000, ge=100)

    append_attempts_max: int = Field(8, ge=1)
    snapshot_interval_records: int = Field(500, ge=10)
    state_interval_wall_ms: int = Field(1_000, ge=50)
    arming_wait_wall_ms: int = Field(10_000, ge=0)
    tick_wall_ms: int = Field(100, ge=10)

    @model_validator(mode="after")
    def _limits_agree(self) -> "ExecutionConfig":
        if self.account_refresh_ms >= self.account_age_ms_max:
            raise ValueError("account_refresh_ms must be below account_age_ms_max")
        if self.filters_refresh_ms >= self.filters_age_ms_max:
            raise ValueError("filters_refresh_ms must be below filters_age_ms_max")
        return self
