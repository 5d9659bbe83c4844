"""Every limit and setting of the feed, with units, parsed once and frozen."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from libs.common.model.agreement import Kind, Relation
from libs.common.model.settings import ServiceConfig
from services.feed.lease import LENGTH_MS_MAX

_FIRST_WAIT = "the first wait would be longer than the longest one"
RELATIONS = (
    Relation(
        "feed.instruments_interval_ms",
        Kind.BELOW,
        "feed.instruments_age_ms_max",
        "the look at what trades would be too old before the next one",
    ),
    Relation(
        "feed.instruments_apart_ms_min",
        Kind.AT_MOST,
        "feed.instruments_interval_ms",
        "looks at what trades would come later than the period says",
    ),
    Relation(
        "feed.instruments_retry_first_ms",
        Kind.AT_MOST,
        "feed.instruments_retry_max_ms",
        _FIRST_WAIT,
    ),
    Relation(
        "feed.skew_warn_ms",
        Kind.AT_MOST,
        "feed.skew_fail_ms",
        "the warning would come after the refusals it warns of",
    ),
    Relation(
        "feed.skew_interval_ms",
        Kind.BELOW,
        "feed.skew_age_ms_max",
        "the comparison of clocks would be too old before the next one",
    ),
    Relation(
        "feed.skew_retry_ms",
        Kind.AT_MOST,
        "feed.skew_interval_ms",
        "a clock that is not well would be looked at less often than one that is",
    ),
    Relation(
        "feed.candle_lead_ms",
        Kind.BELOW,
        "feed.kline_overdue_ms",
        "REST would be asked for bars that are not over, where our clock is ahead of the venue's",
    ),
    Relation(
        "feed.depth_levels_published",
        Kind.AT_MOST,
        "feed.depth_levels_max",
        "more of a book would be said than is kept",
    ),
    Relation(
        "feed.depth_levels_published",
        Kind.AT_MOST,
        "feed.depth_snapshot_levels",
        "more of a book would be said than it is built from",
    ),
    Relation(
        "feed.quiet_ms_max",
        Kind.BELOW,
        "feed.silence_ms_max",
        "a quiet socket would be taken for dead before it is asked whether it lives",
    ),
    Relation(
        "feed.overlap_ms",
        Kind.BELOW,
        "feed.life_ms_max",
        "the new socket would be replaced before the old one is gone",
    ),
    Relation("feed.backoff_first_ms", Kind.AT_MOST, "feed.backoff_max_ms", _FIRST_WAIT),
    Relation("feed.backfill_wait_first_ms", Kind.AT_MOST, "feed.backfill_wait_max_ms", _FIRST_WAIT),
)


class FeedConfig(ServiceConfig):
    """The ``feed`` section of the configuration. Times are wall time unless they say market.

    Attributes:
        api_key_file: the key alone, without its secret, of a key that can only read: the venue
            wants one named when old trades are asked for, which a gap in built candles needs.
        candle_close_grace_ms: market time a bar built from trades waits for late trades.
        kline_overdue_ms: market time after its end at which a closed bar that the stream has not
            told is asked for by REST, and not earlier: REST may tell it unfinished until then.
        warmup_bars: closed bars fetched by REST when the broker has none of a series yet. 0 makes
            the first candle the first one that closes while we listen, so that a run can count.
        quote_publish_interval_ms_min: per symbol, quotes and marks are published at most this
            often; what comes in between is replaced by the newest.
        inbox_messages_max: trades, candles and clock frames waiting to be published; when full the
            socket is closed and the reconnect heals by REST.
        silence_ms_max: a socket that says nothing for this long is taken for dead.
        quiet_ms_max: a socket that says nothing for this long is asked whether it lives
            (LIST_SUBSCRIPTIONS); its answer breaks the silence.
        mark_silence_ms_max, quote_silence_ms_max, depth_silence_ms_max, trade_silence_ms_max,
            kline_silence_ms_max: market time after which one stream of a socket that speaks is
            taken for stalled and the socket is replaced. Marks have a pace; the others are only
            told when something happens, so they are given longer, and each time twice as long.
        ahead_ms_max: an event whose time is further ahead of market time is not believed (in the
            paper world as many times more as market time runs faster than wall time).
        behind_ms_max: an event whose time is further behind market time is not believed; what it
            would have told comes from REST.
        candle_lead_ms: outside the paper world, candles go no further than this past the newest
            event time the venue has told, and never past our own clock.
        trade_proof_wait_ms: outside the paper world, market time that a bar built from trades waits
            for the next trade to prove it, before REST is asked whether the stream is whole (weight
            5 a question); also the time between two such questions of a symbol.
        gap_ms_max: market time; while candles of a symbol are missing for longer, or more than that
            were lost, the symbol is stale. What is lost counts until as much is whole again.
        rest_fallback_after_ms: a socket or stream that is down for this long is stood in for by
            REST.
        rest_fallback_interval_ms: between two rounds of REST for what is down.
        rest_share_window_ms: the time that ``ws_rest_fallback_ratio`` looks back on.
        life_ms_max: market time after which a socket is replaced, before the venue's day is over.
        overlap_ms: how long old and new socket both listen when one replaces the other.
        attempts_max, attempts_window_ms: connection attempts of all sockets of this process
            together. The venue bans an address above 300 in five minutes, and whoever shares the
            address shares them: two replicas at the default leave 60, and a user stream that never
            comes up takes hardly ever more than 26, of each of two executions.
        stable_ms: a connection that lived this long resets the backoff.
        backfill_pages_max: REST pages one question may take before the gap counts as lost.
        backfill_weight_per_minute_max: request weight of the address (the venue allows 2,400) above
            which backfill waits for the next minute and leaves the rest to execution; the client
            refuses ordinary reads above 1,728 (libs/common/venue/budget.py).
        lease_name: feeds with the same name are replicas, of which one speaks; feeds of different
            symbols on one broker need different names.
        lease_ms: how long a leadership outlives its last renewal. A replica takes over when it saw
            no renewal for this long, so it bounds the gap in quotes after a crash, and the wait of
            a replica that starts after one.
        lease_guard_ms: how long before that end the leader falls silent when it could not renew.
        lease_renew_ms: how often the leader renews; several renewals may fail before it falls
            silent.
        lease_look_ms: how often a standby looks whether the lease is renewed.
        lease_request_timeout_ms: how long one reading or writing of the lease may take.
        store_retry_ms_max: how long a leader tries to store one candle before it gives up.
        candle_appends_max: candles of different series sent to the broker and not answered yet.
        follow_interval_ms: how often a standby looks which of the candles it keeps are stored.
        kept_candles_max: candles that wait to be stored, by the leader or in case we become it.
        depth_streams: kinds of order book streams to listen to, such as ``depth@100ms``. Of the
            first one that tells changes (``depth``, ``depth@100ms``) a book is kept per symbol.
        record_folder: where to write tapes of what is heard, one file a symbol; none: no recording.
        record_bytes_max: bytes, before they are compressed, after which recording stops.
        instruments_interval_ms: market time between two looks at which symbols trade.
        instruments_age_ms_max: market time after which an older look refuses new risk.
        instruments_apart_ms_min: two looks are at least so far apart, however often a stream hints.
        instruments_retry_first_ms, instruments_retry_max_ms: backoff of a look that failed.
        delivery_warn_ahead_ms: market time before a symbol's end from which it is warned of.
        skew_interval_ms: how often our clock is compared with the venue's; ``skew_retry_ms`` while
            it is not well.
        skew_warn_ms, skew_fail_ms: skew that is warned of, and that refuses new risk. In the paper
            world skew is market time by the speed it runs at.
        skew_age_ms_max: after so long without a comparison new risk is refused.
        depth_snapshot_levels: levels of a side that a book is built from; up to 50 weigh 2, 100
            weigh 5, 500 weigh 10, 1,000 weigh 20.
        depth_levels_published: best levels of a side that are said.
        depth_levels_max: levels of a side that a book keeps.
        depth_buffer_events_max: changes of a symbol kept while its snapshot is on its way.
        depth_queue_events_max: changes of all symbols that wait to be applied.
        depth_publish_interval_ms_min: books are said at most this often; the newest wins.
        depth_weight_per_minute_max: request weight of the address above which snapshots wait for
            the next minute: books give way before candles do.
    """

    title: ClassVar[str] = "feed"
    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    http_port: int = Field(8101, ge=0, le=65_535)
    api_key_file: Path | None = None
    candle_close_grace_ms: int = Field(250, ge=0, le=60_000)
    kline_overdue_ms: int = Field(2_000, ge=0)
    warmup_bars: int = Field(0, ge=0, le=1_500)
    quote_publish_interval_ms_min: int = Field(20, ge=0)
    quote_age_ms_max: int = Field(10_000, ge=1)
    mark_age_ms_max: int = Field(10_000, ge=1)
    inbox_messages_max: int = Field(50_000, ge=1)
    held_trades_max: int = Field(500_000, ge=1)
    health_interval_ms: int = Field(500, ge=10, le=1_000)
    tick_interval_ms: int = Field(100, ge=10)
    silence_ms_max: int = Field(10_000, ge=100)
    quiet_ms_max: int = Field(3_000, ge=100)
    mark_silence_ms_max: int = Field(10_000, ge=1_000)
    quote_silence_ms_max: int = Field(60_000, ge=1_000)
    depth_silence_ms_max: int = Field(60_000, ge=1_000)
    trade_silence_ms_max: int = Field(300_000, ge=1_000)
    kline_silence_ms_max: int = Field(300_000, ge=1_000)
    ahead_ms_max: int = Field(10_000, ge=100)
    behind_ms_max: int = Field(60_000, ge=1_000)
    candle_lead_ms: int = Field(1_000, ge=0, le=60_000)
    trade_proof_wait_ms: int = Field(2_000, ge=100)
    gap_ms_max: int = Field(300_000, ge=1_000)
    rest_fallback_after_ms: int = Field(1_000, ge=0)
    rest_fallback_interval_ms: int = Field(1_000, ge=100)
    rest_share_window_ms: int = Field(60_000, ge=1_000)
    life_ms_max: int = Field(82_800_000, ge=60_000, le=86_000_000)
    overlap_ms: int = Field(2_000, ge=0, le=60_000)
    heartbeat_ms: int = Field(10_000, ge=100)
    connect_timeout_ms: int = Field(5_000, ge=100)
    frame_bytes_max: int = Field(4_194_304, ge=1_024)
    streams_per_socket_max: int = Field(1_024, ge=1, le=1_024)
    streams_per_request_max: int = Field(200, ge=1)
    request_interval_ms_min: int = Field(150, ge=100)
    backoff_first_ms: int = Field(200, ge=1)
    backoff_max_ms: int = Field(60_000, ge=1)
    stable_ms: int = Field(5_000, ge=0)
    attempts_max: int = Field(120, ge=1, le=300)
    attempts_window_ms: int = Field(300_000, ge=1)
    backfill_wait_first_ms: int = Field(200, ge=1)
    backfill_wait_max_ms: int = Field(10_000, ge=1)
    backfill_pages_max: int = Field(100, ge=1)
    backfill_weight_per_minute_max: int = Field(1_700, ge=200, le=2_400)
    lease_name: str = Field("feed", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    lease_ms: int = Field(1_500, ge=300, le=LENGTH_MS_MAX)
    lease_guard_ms: int = Field(300, ge=50)
    lease_renew_ms: int = Field(300, ge=20)
    lease_look_ms: int = Field(200, ge=20)
    lease_request_timeout_ms: int = Field(300, ge=20)
    candle_appends_max: int = Field(64, ge=1, le=1_024)
    follow_interval_ms: int = Field(2_000, ge=100)
    kept_candles_max: int = Field(100_000, ge=1)
    store_retry_ms_max: int = Field(1_800_000, ge=1)
    dead_letters_per_minute_max: int = Field(60, ge=0)
    depth_streams: tuple[str, ...] = ()
    record_folder: Path | None = None
    record_bytes_max: int = Field(1_073_741_824, ge=1)
    instruments_interval_ms: int = Field(1_800_000, ge=1_000)
    instruments_age_ms_max: int = Field(3_600_000, ge=1_000)
    instruments_apart_ms_min: int = Field(1_000, ge=10)
    instruments_retry_first_ms: int = Field(500, ge=1)
    instruments_retry_max_ms: int = Field(30_000, ge=1)
    delivery_warn_ahead_ms: int = Field(259_200_000, ge=0)
    skew_interval_ms: int = Field(60_000, ge=100)
    skew_retry_ms: int = Field(5_000, ge=100)
    skew_warn_ms: int = Field(500, ge=1)
    skew_fail_ms: int = Field(5_000, ge=1)
    skew_age_ms_max: int = Field(600_000, ge=1_000)
    depth_snapshot_levels: Literal[5, 10, 20, 50, 100, 500, 1000] = 1000
    depth_levels_published: int = Field(20, ge=1, le=1_000)
    depth_levels_max: int = Field(2_000, ge=1)
    depth_buffer_events_max: int = Field(2_000, ge=1)
    depth_queue_events_max: int = Field(20_000, ge=1)
    depth_publish_interval_ms_min: int = Field(100, ge=0)
    depth_weight_per_minute_max: int = Field(1_000, ge=20, le=2_400)

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        renewing_ms = 2 * self.lease_renew_ms + self.lease_request_timeout_ms
        if renewing_ms > self.lease_ms - self.lease_guard_ms:
            raise ValueError(
                f"feed.lease_ms ({self.lease_ms}) less feed.lease_guard_ms ({self.lease_guard_ms})"
                f" must leave room for two renewals (feed.lease_renew_ms, {self.lease_renew_ms})"
                " and one that is not answered (feed.lease_request_timeout_ms,"
                f" {self.lease_request_timeout_ms}): else the leader falls silent for no reason"
            )
        return self
