"""Every metric name of the house, typed and explained in one place.

Labels never carry ids of intents or orders: those belong in logs and traces.
"""

from prometheus_client import Counter, Gauge, Histogram

#: Seconds, from a tenth of a millisecond to ten seconds.
LATENCY_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.5,
    1,
    10,
)

MESSAGES_HANDLED = Counter(
    "messages_handled_total", "Messages taken from the bus and settled", ["consumer", "outcome"]
)
DEAD_LETTERS = Counter("dead_letters_total", "Messages that could not be read", ["service"])
BUS_RTT_SECONDS = Gauge("bus_round_trip_seconds", "Last round trip to the broker")
BUS_RECONNECTS = Gauge("bus_reconnects", "Reconnects to the broker since the process started")

MARKET_RECEIVED = Counter("feed_received_total", "Market messages received", ["kind"])
MARKET_PUBLISHED = Counter("feed_published_total", "Market messages published", ["kind"])
MARKET_CONFLATED = Counter("feed_conflated_total", "Messages replaced by a newer one", ["kind"])
STREAM_CONNECTED = Gauge("ws_connected", "1 while the socket is up", ["stream"])
STREAM_RECONNECTS = Counter(
    "ws_reconnect_attempts_total", "Attempts to connect after the first", ["stream"]
)
STREAM_WORDS_MISSING = Counter(
    "user_stream_words_missing_total", "Fills of which the user stream told one half only", ["half"]
)
STREAM_AGE = Gauge(
    "ws_last_msg_age_seconds",
    "Since the last message: of a socket (wall time), and of the quietest stream of each kind on it"
    " (market time)",
    ["stream"],
)
REST_SHARE = Gauge(
    "ws_rest_fallback_ratio", "Share of quotes, marks and candles lately published that REST told"
)
FEED_DROPPED = Counter("feed_dropped_total", "Market messages not passed on", ["kind"])
FEED_GAP_ALERTS = Counter(
    "feed_gap_alert_total", "Times a gap in candles grew longer than allowed", ["symbol"]
)
FEED_GAPS = Counter("feed_gap_total", "Gaps found in candles", ["symbol"])
FEED_IS_LEADER = Gauge("feed_is_leader", "1 while this replica of the feed is the one that speaks")
FEED_GAPS_FILLED = Counter("feed_gap_filled_total", "Gaps filled by REST", ["symbol"])
CLOCK_SKEW_SECONDS = Gauge(
    "clock_skew_seconds", "The venue's clock minus ours, in wall time; positive: ours is behind"
)
SYMBOL_STATUS_CHANGES = Counter(
    "feed_symbol_status_changes_total", "Symbols that became this, by the venue's word", ["status"]
)
SYMBOLS_REFUSED = Gauge("feed_symbols_refused", "Our symbols that take no new risk")
DEPTH_REBUILDS = Counter(
    "feed_depth_rebuilds_total", "Order books built from a snapshot, the first included", ["symbol"]
)
DEPTH_PU_BREAKS = Counter(
    "feed_depth_pu_breaks_total",
    "Order book changes that did not follow the one before",
    ["symbol"],
)

CANDLES_FOLDED = Counter("signal_candles_total", "Candles folded", ["symbol"])
INTENTS_PROPOSED = Counter("signal_total", "Intents proposed", ["strategy"])

RISK_DECISIONS = Counter("risk_decision_total", "Decisions of risk", ["reason"])

GATE_DECISIONS = Counter("gate_decision_total", "Decisions of the gate", ["reason"])
ORDER_OUTCOMES = Counter("order_outcome_total", "Answers of the venue to orders", ["outcome"])
ORDER_SUBMIT_SECONDS = Histogram(
    "order_submit_seconds", "From the request to the venue's answer", buckets=LATENCY_BUCKETS
)
UNKNOWN_RESOLVED_SECONDS = Histogram(
    "order_unknown_resolved_seconds",
    "Market time from the record of an order to the end of its doubt",
    buckets=(1, 2, 4, 6, 8, 10, 15, 30, 60, 300),
)
JOURNAL_APPEND_SECONDS = Histogram(
    "journal_append_seconds", "One durable append", buckets=LATENCY_BUCKETS
)
JOURNAL_CONFLICTS = Counter("journal_conflicts_total", "Appends that lost the race")
ORDERS_UNKNOWN = Gauge("orders_unknown", "Orders whose outcome is unknown")
ORDERS_OPEN = Gauge("orders_open", "Orders that have not ended")
FILLS = Counter("fills_total", "Fills journaled", ["symbol"])
STOPS_ACKNOWLEDGED_SECONDS = Histogram(
    "stop_acknowledged_seconds",
    "Market time from the record of a stop or target to the venue's word that it holds it",
    buckets=LATENCY_BUCKETS,
)
PROTECTION_FAILED = Counter(
    "protection_failed_total", "Positions closed because their stop could not be placed"
)
FORCED_FILLS = Counter(
    "forced_fills_total", "Fills of orders by which the venue itself closed a position", ["kind"]
)
ORDER_CONTRADICTIONS = Counter(
    "order_contradictions_total", "Words of the venue that contradict what is known of an order"
)
SLIPPAGE = Gauge(
    "slippage_realized_vs_predicted",
    "Mean slippage of orders against the price at decision, bps, above zero is worse:"
    " as it came (realized) beside what risk expected (predicted)",
    ["strategy", "figure"],
)
HIT_RATIO = Gauge(
    "hit_ratio_rolling", "Share of round trips that left more than they cost", ["strategy"]
)
PWIN_CALIBRATION = Gauge(
    "pwin_calibration_ece",
    "Expected calibration error of the intents' confidence against their round trips",
    ["strategy"],
)
TRADING_STATE = Gauge("trading_state", "1 for the current trading state", ["state"])

RECONCILE_CYCLES = Counter("reconcile_cycles_total", "Comparisons made", ["outcome"])
RECONCILE_DISCREPANCIES = Gauge("reconcile_drift", "Discrepancies in the last comparison")
