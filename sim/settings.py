"""The configuration of the simulated world, parsed once per process."""

import tempfile
from decimal import Decimal
from pathlib import Path

from libs.common.runtime.config import BusConfig, CommonConfig, VenueConfig
from services.execution.config import ExecutionConfig
from services.reconciler.config import ReconcilerConfig
from services.risk.config import LimitsConfig, RiskConfig, SizingConfig
from services.signal.config import SignalConfig, StrategyConfig

ACCOUNT = "sim"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVAL = "3s"
INTERVAL_MS = 3_000
APPROVAL_KEY = "SimulatedApprovalKey" + 44 * "0"
EPOCH_NS = 1_790_000_000_000_000_000
"""Market time at the beginning of every world: some day in 2026."""
CONFIG_HASH = "simulation00"


def _approval_key_file() -> Path:
    """The services read their shared key from a file, here too."""
    path = Path(tempfile.mkdtemp(prefix="portcullis-sim-")) / "approval-key"
    path.write_text(APPROVAL_KEY)
    return path


COMMON = CommonConfig(
    account=ACCOUNT,
    symbols=SYMBOLS,
    candle_intervals=(INTERVAL,),
    approval_key_file=_approval_key_file(),
    bus=BusConfig(publish_timeout_ms=600),
    venue=VenueConfig(
        rest_url="http://venue.sim",
        stream_url="ws://venue.sim",
        recv_window_ms=3_000,
        request_timeout_ms=2_500,
    ),
)

EXECUTION = ExecutionConfig(
    intent_ttl_market_ms=5_000,
    intent_ttl_limit_ms=15_000,
    lock_ms=3_000,
    price_drift_max=Decimal("0.004"),
    cooldown_failed_ms=4_000,
    cooldown_failed_exit_ms=1_000,
    cooldown_failed_exit_ms_max=4_000,
    cooldown_margin_ms=4_000,
    cooldown_global_rate_ms=3_000,
    safe_mode_refusals=2,
    safe_mode_window_ms=20_000,
    safe_mode_ms=8_000,
    rate_symbol_orders_max=1,
    rate_symbol_window_ms=1_500,
    rate_global_orders_max=3,
    rate_global_window_ms=8_000,
    order_lease_ms=4_000,
    halt_drain_wall_ms=1_000,
    kill_wait_ms=8_000,
    stop_grace_ms=3_000,
    account_age_ms_max=6_000,
    account_refresh_ms=3_500,
    filters_age_ms_max=12_000,
    filters_refresh_ms=8_000,
    query_lag_ms=1_500,
    income_interval_ms=15_000,
    settings_retry_ms=2_000,
    reconnect_wait_ms=200,
    reconnect_wait_ms_max=2_000,
    snapshot_interval_records=40,
    arming_wait_wall_ms=4_000,
    state_interval_wall_ms=1_500,
    tick_wall_ms=800,
)

RISK = RiskConfig(
    sizing=SizingConfig(notional=Decimal(600)),
    limits=LimitsConfig(
        symbols_allowed=SYMBOLS,
        quote_age_ms_max=5_000,
        mark_age_ms_max=5_000,
        order_notional_max=Decimal(2_000),
        position_notional_max=Decimal(3_000),
    ),
)

SIGNAL = SignalConfig(
    strategies=(
        StrategyConfig(
            id="ema",
            strategy="ema_cross",
            parameters={"fast_period": 1, "slow_period": 2, "pause_bars": 2},
        ),
        StrategyConfig(
            id="rsi",
            strategy="rsi_crossover",
            symbols=SYMBOLS[:1],
            parameters={"period": 2, "pause_bars": 2},
        ),
    ),
    warmup_bars=20,
    warmup_messages_max=100,
)

RECONCILER = ReconcilerConfig(
    interval_ms=8_000,
    income_lag_ms=6_000,
    retry_wall_ms=1_000,
    retry_wall_ms_max=4_000,
    state_wait_wall_ms_max=3_000,
)
