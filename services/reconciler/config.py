"""Settings of the reconciler. Pure, so that the core may read its policy."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from libs.common.model.agreement import Kind, Relation
from libs.common.model.settings import ServiceConfig
from services.reconciler.remedies import Policies

#: Reports that may be kept in memory, each some KB.
REPORTS_KEPT_MAX = 500
#: What agreed is read again for so many lags of a row of income.
INCOME_OVERLAP_LAGS = 10

RELATIONS = (
    Relation(
        "reconciler.retry_wall_ms",
        Kind.AT_MOST,
        "reconciler.retry_wall_ms_max",
        "the first wait would be longer than the longest one",
    ),
    Relation(
        "reconciler.weight_unasked_max",
        Kind.AT_MOST,
        "reconciler.weight_per_minute_max",
        "nothing would be kept for comparisons that a person asks for",
    ),
    Relation(
        "reconciler.looks_sure_max",
        Kind.AT_MOST,
        "reconciler.looks_max",
        "an account that keeps changing would never be looked at often enough",
    ),
    Relation(
        "reconciler.income_lag_ms",
        Kind.AT_MOST,
        "reconciler.income_window_ms",
        "what is read again because it may be late would be more than what is compared",
        times=INCOME_OVERLAP_LAGS,
    ),
    Relation(
        "reconciler.state_wait_wall_ms_max",
        Kind.BELOW,
        "reconciler.compare_now_wall_ms_max",
        "whoever asks for a comparison would be sent away before execution was waited for",
    ),
    Relation(
        "execution.state_interval_wall_ms",
        Kind.BELOW,
        "reconciler.state_wait_wall_ms_max",
        "comparisons would give up before execution speaks again",
    ),
    Relation(
        "execution.stop_grace_ms",
        Kind.BELOW,
        "reconciler.naked_grace_ms",
        "a position would count as naked while execution may still protect it",
    ),
)


class StopRule(StrEnum):
    """Which positions have to have a stop at the venue."""

    INTENT = "intent"
    EVERY = "every"


class ReconcilerConfig(ServiceConfig):
    """Settings of the reconciler.

    Attributes:
        api_key_file, api_secret_file: a key that can only read.
        interval_ms: market time between two comparisons when nothing asks for one.
        retry_wall_ms: wall time before trying again after a failure or a difference.
        second_look_wall_ms: least wall time between two looks of one comparison.
        event_lag_ms: least market time between them, and how long a trade that we were not told of
            explains that a position differs. What comes later than that looks like drift.
        looks_sure_max: looks of one comparison, as long as something new differs in each of them.
        state_wait_wall_ms_max: longest wait for execution to say how the account stands.
        retry_wall_ms_max: the retry's wait doubles up to this while comparisons keep failing.
        weight_per_minute_max: request weight that comparisons may use in a minute of market time;
            the venue allows 2,400 to all of an address together.
        weight_unasked_max: of it, what comparisons that no person asked for may use; the rest is
            kept for people. Whatever would go beyond waits.
        looks_max: looks tried for one comparison while the account keeps changing under them.
        fill_lag_ms: market time after which a trade that we were not told of counts as missed.
        income_lag_ms: market time that a row of income may be under way, to us or to the list.
        income_window_ms: market time that is compared; what agreed is read again for ten
            times the lag.
        income_pages_max: pages of 1,000 rows that one look reads; the next one reads on.
        journal_records_max: records of the journal that are read when the process starts.
        naked_grace_ms: market time that execution may take to protect what it filled, or close it.
        stops_owed: ``intent``: a stop is owed where the intent named one; ``every``: everywhere.
        trades_symbols_max: symbols whose trades one look asks for; the others have their turn.
        compare_now_wall_ms_max: longest wait of one who asks for a comparison over HTTP.
        reports_kept: the last reports, shown at /v1/reports; the stream keeps them for 30 days.
        policies: what follows from each kind of difference, by its name in lower case.
        balance_tolerance: quote currency by which the wallet balance may differ; 0 is exact.
    """

    title: ClassVar[str] = "reconciler"
    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    http_port: int = Field(8105, ge=0, le=65_535)
    api_key_file: Path | None = None
    api_secret_file: Path | None = None
    interval_ms: int = Field(900_000, ge=1_000)
    retry_wall_ms: int = Field(5_000, ge=10)
    retry_wall_ms_max: int = Field(60_000, ge=10)
    weight_per_minute_max: int = Field(900, ge=50, le=2_400)
    weight_unasked_max: int = Field(600, ge=50, le=2_400)
    second_look_wall_ms: int = Field(500, ge=0)
    state_wait_wall_ms_max: int = Field(5_000, ge=100)
    looks_max: int = Field(8, ge=1)
    looks_sure_max: int = Field(4, ge=2)
    look_again_wall_ms: int = Field(100, ge=0)
    event_lag_ms: int = Field(3_000, ge=0)
    fill_lag_ms: int = Field(3_000, ge=0)
    income_lag_ms: int = Field(60_000, ge=0)
    income_window_ms: int = Field(6 * 3_600_000, ge=60_000, le=7 * 86_400_000)
    income_pages_max: int = Field(5, ge=1, le=20)
    journal_records_max: int = Field(20_000, ge=100)
    naked_grace_ms: int = Field(15_000, ge=0)
    stops_owed: StopRule = StopRule.INTENT
    trades_symbols_max: int = Field(20, ge=0, le=100)
    balance_tolerance: Decimal = Field(Decimal(0), ge=0, allow_inf_nan=False)
    compare_now_wall_ms_max: int = Field(20_000, ge=100)
    reports_kept: int = Field(50, ge=1, le=REPORTS_KEPT_MAX)
    policies: Policies = Policies()
