"""Settings of execution: every limit with its unit."""

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from libs.common.model.agreement import Kind, Relation
from libs.common.model.settings import Section, ServiceConfig

#: The fold remembers recent orders this long; no rate window may be longer.
RATE_WINDOW_MS_MAX = 600_000


_TWO_RATES = "one symbol alone would set off the limit that stops all of them"
RELATIONS = (
    Relation(
        "execution.account_refresh_ms",
        Kind.BELOW,
        "execution.account_age_ms_max",
        "figures of the account would be too old before they are read again",
    ),
    Relation(
        "execution.filters_refresh_ms",
        Kind.BELOW,
        "execution.filters_age_ms_max",
        "the venue's filters would be too old before they are read again",
    ),
    Relation(
        "execution.budget_warn_percent",
        Kind.AT_MOST,
        "execution.budget_refuse_percent",
        "the warning would come after the refusals it warns of",
    ),
    Relation(
        "execution.budget_reserve_percent",
        Kind.BELOW,
        "execution.budget_refuse_percent",
        "the reserve for cancels and exits would leave nothing for entries",
    ),
    Relation(
        "execution.cooldown_failed_exit_ms",
        Kind.AT_MOST,
        "execution.cooldown_failed_exit_ms_max",
        "the first wait would be longer than the longest one",
    ),
    Relation(
        "execution.reconnect_wait_ms",
        Kind.AT_MOST,
        "execution.reconnect_wait_ms_max",
        "the first wait would be longer than the longest one",
    ),
    Relation(
        "execution.rate_symbol_orders_max",
        Kind.AT_MOST,
        "execution.rate_global_orders_max",
        _TWO_RATES,
    ),
    Relation(
        "execution.per_symbol.*.rate_symbol_orders_max",
        Kind.AT_MOST,
        "execution.rate_global_orders_max",
        _TWO_RATES,
    ),
    Relation(
        "execution.per_symbol",
        Kind.WITHIN,
        "symbols",
        "limits of a symbol that is not traded hold for nothing",
    ),
    Relation(
        "execution.intent_ttl_market_ms",
        Kind.AT_MOST,
        "execution.idempotency_ms",
        "an intent would be forgotten while it may still come again",
    ),
    Relation(
        "execution.intent_ttl_limit_ms",
        Kind.AT_MOST,
        "execution.idempotency_ms",
        "an intent would be forgotten while it may still come again",
    ),
    Relation(
        "execution.protection_retry_ms",
        Kind.BELOW,
        "execution.stop_grace_ms",
        "a stop that failed could not be tried again before the position is closed",
    ),
    Relation(
        "execution.clock_offset_ms_max",
        Kind.BELOW,
        "venue.recv_window_ms",
        "the venue refuses as too late what a clock that far off has signed",
    ),
    Relation(
        "venue.request_timeout_ms",
        Kind.BELOW,
        "execution.order_lease_ms",
        "another replica would take up an order whose answer may still come",
    ),
    Relation(
        "venue.request_timeout_ms",
        Kind.BELOW,
        "execution.kill_wait_ms",
        "one request without an answer would make every kill incomplete",
    ),
    Relation(
        "venue.request_timeout_ms",
        Kind.BELOW,
        "execution.countdown_ms",
        "one refresh without an answer would let the venue cancel everything",
        zero_is_off=True,
    ),
    Relation(
        "execution.in_flight_max",
        Kind.AT_MOST,
        "venue.connections_max",
        "an order under way holds a connection; the others would wait and grow old",
    ),
    Relation(
        "reconciler.interval_ms",
        Kind.BELOW,
        "execution.reconciled_age_wall_ms_max",
        "entries would stop between two comparisons that are both clean",
    ),
    Relation(
        "feed.health_interval_ms",
        Kind.BELOW,
        "execution.health_silence_ms_max",
        "entries would be refused between two words of the feed",
    ),
    Relation(
        "feed.quote_publish_interval_ms_min",
        Kind.BELOW,
        "execution.mark_age_ms_max",
        "every mark price would be too old before the next one is told",
    ),
)


class SymbolOverrides(Section):
    """Limits that may differ for one symbol; what is not named stays as it is for all."""

    leverage: int | None = Field(None, ge=1, le=125)
    margin_buffer: Decimal | None = Field(None, ge=1)
    lock_ms: int | None = Field(None, ge=1_000)
    mark_age_ms_max: int | None = Field(None, ge=100)
    price_drift_max: Decimal | None = Field(None, gt=0, lt=1)
    cooldown_failed_ms: int | None = Field(None, ge=0)
    rate_symbol_orders_max: int | None = Field(None, ge=1)
    rate_symbol_window_ms: int | None = Field(None, ge=1_000, le=RATE_WINDOW_MS_MAX)


class ExecutionConfig(ServiceConfig):
    """The gate's limits and the shell's intervals. Times are market time unless named otherwise.

    Attributes:
        live_account_confirmation: must be the account's name in live mode, or we do not start.
        withdrawal_waived: arm in live although the venue does not tell whether the key may
            withdraw.
        clock_check_ms: (wall) how often our clock is measured against the venue's outside paper.
        kill_wait_ms: (wall) how long cancel-all and flatten may take before they are incomplete.
        per_symbol: overrides by symbol.
        price_drift_max: how far the mark may be from the intent's reference price, as a fraction.
        budget_*: shares of the venue's limits, see ``libs.common.venue.budget``.
        fence_age_ms_max: (monotonic) an order leaves only this soon after its append was requested,
            else the journal is read again first: a process that stood still must not send.
        order_lease_ms: a recorded order of another process is left to it this long.
        halt_drain_wall_ms: a halt waits this long for answers under way before it is journaled.
        fill_wait_ms: what tells of a fill (an answer, or one half of the stream's two words) is
            believed for so long before what is missing is read by REST.
        order_silence_ms_max: an open order of which nothing was heard for so long is asked after.
        reconciled_age_wall_ms_max: without a clean comparison for so long nothing is entered; three
            times the reconciler's period by default.
        figures_window_ms: orders and round trips that ended within it count for the figures of
            strategies (30 days by default), the newest 1,000 at most.
        income_interval_ms: the list of income is read this often, and after each word of it.
        stop_grace_ms: an entry's stop must be acknowledged this soon after its first fill.
        protection_retry_ms: between two attempts at a stop or target of one entry.
        protection_check_ms: how often the venue is asked whether it still holds them.
        stop_working_type: the price that triggers them: of the last trade, or the mark.
        health_silence_ms_max: (monotonic) what the feed said longer ago vouches for no entry.
        halt_file: while this file exists nothing risk-increasing is sent, broker or not.
        journal_head_wall_ms: a witness of the journal's head is kept this often.
        journal_verify_pause_wall_ms: wait between two reads of the past that a snapshot skipped.
        audit_directory: where the audit export is written; none: it is not.
        audit_days_kept: finished days that are kept, those with nothing to tell not counted.
    """

    title: ClassVar[str] = "execution"
    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    http_port: int = 8104
    api_key_file: Path | None = None
    api_secret_file: Path | None = None
    live_account_confirmation: str = ""
    withdrawal_waived: bool = False
    per_symbol: dict[str, SymbolOverrides] = {}

    intent_ttl_market_ms: int = Field(5_000, ge=100)
    intent_ttl_limit_ms: int = Field(30_000, ge=100)
    price_drift_max: Decimal = Field(Decimal("0.01"), gt=0, lt=1)
    idempotency_ms: int = Field(3_600_000, ge=60_000)
    lock_ms: int = Field(30_000, ge=1_000)
    attempts_max: int = Field(2, ge=1, le=9)

    cooldown_failed_ms: int = Field(60_000, ge=0)
    cooldown_failed_exit_ms: int = Field(5_000, ge=0)
    cooldown_failed_exit_ms_max: int = Field(60_000, ge=0)
    cooldown_margin_ms: int = Field(300_000, ge=0)
    cooldown_global_rate_ms: int = Field(300_000, ge=0)
    safe_mode_refusals: int = Field(5, ge=1)
    safe_mode_window_ms: int = Field(300_000, ge=1_000)
    safe_mode_ms: int = Field(900_000, ge=1_000)

    rate_symbol_orders_max: int = Field(1, ge=1)
    rate_symbol_window_ms: int = Field(30_000, ge=1_000, le=RATE_WINDOW_MS_MAX)
    rate_global_orders_max: int = Field(5, ge=1)
    rate_global_window_ms: int = Field(60_000, ge=1_000, le=RATE_WINDOW_MS_MAX)
    budget_warn_percent: int = Field(80, ge=1, le=100)
    budget_refuse_percent: int = Field(90, ge=1, le=100)
    budget_reserve_percent: int = Field(20, ge=0, le=90)

    leverage: int = Field(10, ge=1, le=125)
    margin_type: str = Field("CROSSED", pattern="^(CROSSED|ISOLATED)$")
    margin_buffer: Decimal = Field(Decimal("1.25"), ge=1)
    account_age_ms_max: int = Field(10_000, ge=100)
    account_refresh_ms: int = Field(5_000, ge=100)
    positions_interval_ms: int = Field(900_000, ge=1_000)
    reconciled_age_wall_ms_max: int = Field(2_700_000, ge=1_000)
    figures_window_ms: int = Field(2_592_000_000, ge=60_000)
    income_interval_ms: int = Field(900_000, ge=1_000)
    settings_retry_ms: int = Field(10_000, ge=1_000)
    filters_age_ms_max: int = Field(3_600_000, ge=1_000)
    filters_refresh_ms: int = Field(1_800_000, ge=1_000)
    filters_retry_ms: int = Field(60_000, ge=1_000)
    mark_age_ms_max: int = Field(5_000, ge=100)
    health_silence_ms_max: int = Field(5_000, ge=100)
    resume_age_ms_max: int = Field(60_000, ge=1_000)

    in_flight_max: int = Field(16, ge=1, le=256)
    fence_age_ms_max: int = Field(250, ge=1)
    order_lease_ms: int = Field(8_000, ge=100)
    halt_drain_wall_ms: int = Field(2_000, ge=0)
    halt_file: Path | None = None
    query_lag_ms: int = Field(3_000, ge=0)
    query_interval_ms: int = Field(1_000, ge=10)
    fill_wait_ms: int = Field(1_000, ge=10)
    order_silence_ms_max: int = Field(60_000, ge=1_000)

    stop_grace_ms: int = Field(5_000, ge=100)
    protection_attempts_max: int = Field(3, ge=1, le=9)
    protection_retry_ms: int = Field(1_000, ge=100)
    protection_check_ms: int = Field(30_000, ge=1_000)
    stop_working_type: str = Field("CONTRACT_PRICE", pattern="^(CONTRACT_PRICE|MARK_PRICE)$")
    countdown_ms: int = Field(0, ge=0)
    kill_wait_ms: int = Field(30_000, ge=1_000)

    clock_check_ms: int = Field(60_000, ge=1_000)
    clock_offset_ms_max: int = Field(500, ge=1)
    listen_key_keepalive_ms: int = Field(1_800_000, ge=60_000, le=3_000_000)
    stream_heartbeat_ms: int = Field(10_000, ge=500)
    stream_frame_bytes_max: int = Field(1 << 20, ge=1 << 12)
    reconnect_wait_ms: int = Field(200, ge=10)
    reconnect_wait_ms_max: int = Field(60_000, ge=100)

    reports_queued_max: int = Field(1_000, ge=10)
    audit_directory: Path | None = None
    audit_days_kept: int = Field(30, ge=1)
    audit_interval_wall_ms: int = Field(1_000, ge=10)

    journal_head_wall_ms: int = Field(1_000, ge=10)
    journal_verify_pause_wall_ms: int = Field(100, ge=1)
    append_attempts_max: int = Field(8, ge=1)
    snapshot_interval_records: int = Field(500, ge=10)
    state_interval_wall_ms: int = Field(1_000, ge=50)
    arming_wait_wall_ms: int = Field(10_000, ge=0)
    tick_wall_ms: int = Field(100, ge=10)

    @cached_property
    def _by_symbol(self) -> dict[str, "ExecutionConfig"]:
        return {
            symbol: self.model_copy(update=overrides.model_dump(exclude_none=True))
            for symbol, overrides in self.per_symbol.items()
        }

    def for_symbol(self, symbol: str) -> "ExecutionConfig":
        """The limits as they hold for one symbol."""
        return self._by_symbol.get(symbol, self)
