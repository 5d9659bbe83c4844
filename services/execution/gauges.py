"""What Prometheus is told of the folded state."""

from libs.common.model.trading_state import TradingState
from libs.common.runtime.metrics import (
    HIT_RATIO,
    ORDERS_OPEN,
    ORDERS_UNKNOWN,
    PWIN_CALIBRATION,
    SLIPPAGE,
    TRADING_STATE,
)
from services.execution.config import ExecutionConfig
from services.execution.question import NS_PER_MS
from services.execution.round_trips import figures, strategies
from services.execution.state import State

#: Strategies that metrics name; there may be any number of others, see /v1/figures.
STRATEGIES_MAX = 50
#: What grows too old to count is noticed this often.
REFRESH_NS = 60_000_000_000
#: Gauges take binary floats, and nothing is reckoned with them.
_LABELED = (SLIPPAGE, HIT_RATIO, PWIN_CALIBRATION)


class Gauges:
    """Sets the gauges; those of strategies only when there is something new to tell."""

    def __init__(self, settings: ExecutionConfig) -> None:
        self._window_ns = settings.figures_window_ms * NS_PER_MS
        self._told: tuple[tuple[int, int], tuple[int, int], int] | None = None

    def show(self, state: State, now_ns: int) -> None:
        """Tell how things stand."""
        for one in TradingState:
            TRADING_STATE.labels(one).set(one is state.trading_state)
        statuses = [order.status for order in state.open_orders()]
        ORDERS_OPEN.set(len(statuses))
        ORDERS_UNKNOWN.set(sum(status == "UNKNOWN" for status in statuses))
        book = state.trade_book
        newest = (
            (len(book.ended), book.ended[-1].closed_at_ns if book.ended else 0),
            (len(book.orders), book.orders[-1].at_ns if book.orders else 0),
            now_ns // REFRESH_NS,
        )
        if newest != self._told:
            self._told = newest
            self._show_strategies(state, now_ns)

    def _show_strategies(self, state: State, now_ns: int) -> None:
        for gauge in _LABELED:
            gauge.clear()
        found = figures(state.trade_book, state.quote_asset, now_ns - self._window_ns)
        for one in strategies(found, STRATEGIES_MAX):
            name = one.strategy_id
            if one.slippage_realized_bps is not None and one.slippage_predicted_bps is not None:
                SLIPPAGE.labels(name, "realized").set(float(one.slippage_realized_bps))
                SLIPPAGE.labels(name, "predicted").set(float(one.slippage_predicted_bps))
            if one.hit_ratio is not None:
                HIT_RATIO.labels(name).set(float(one.hit_ratio))
            if one.calibration_error is not None:
                PWIN_CALIBRATION.labels(name).set(float(one.calibration_error))
