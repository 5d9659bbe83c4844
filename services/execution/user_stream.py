"""The user data stream: what the venue says of our account, and how its gaps are closed.

The stream has no replay: what is said before the socket is up is lost. So each connection is
opened, confirmed, and only then the account is read by REST; until that is done the service is not
armed. The reader only parses and enqueues.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from libs.common.messages.journal import BalanceObserved, FillReceived, OrderUpdated
from libs.common.model.order import Side
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, Clock, monotonic_ns, sleep_market
from libs.common.runtime.config import CommonConfig
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import (
    FORCED_FILLS,
    STREAM_AGE,
    STREAM_CONNECTED,
    STREAM_RECONNECTS,
)
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.runtime.websocket import Closed, Connect, Socket, WebSocketError, connect
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import Rejected, Throttled, throttled_until_ms
from libs.common.venue.payloads import PayloadError
from libs.common.venue.stream_payloads import ControlReply
from libs.common.venue.streams import control_message, user_stream_url
from libs.common.venue.user_payloads import (
    AccountUpdate,
    AlgoUpdate,
    ListenKeyExpired,
    OrderTradeUpdate,
    OrderUpdate,
    UserEvent,
    decode_user_frame,
)
from services.execution.config import ExecutionConfig
from services.execution.forced import forced_kind
from services.execution.state import State
from services.execution.venue_words import read_update

log = get_logger(__name__)

FIRST_REQUEST_ID = 1
#: The label of this stream in metrics, beside the names of the feed's sockets.
LABEL = "user"
#: The word for a change of price or quantity of an open order.
AMENDMENT = "AMENDMENT"
#: A keepalive that fails for another reason than the key itself is tried again, this often and
#: this soon; a key lives 60 minutes and is prolonged every 50 at the latest.
KEEPALIVE_ATTEMPTS_MAX = 5
KEEPALIVE_RETRY_MS_MAX = 60_000
CONFIRM_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_MS = 5_000
EVENTS_QUEUED_MAX = 10_000


class StreamLostError(Exception):
    """The connection ended or can no longer be trusted; connect again and close the gap."""


class ListenKeyEndedError(StreamLostError):
    """The listen key is no more: a new one is asked for at once, since no wait could help."""


def read_order_update(update: OrderUpdate) -> OrderUpdated | None:
    """The order's new state; ``None`` for a status word this version does not know."""
    return read_update(
        update.client_order_id, update.order_id, update.status, update.cumulative_quantity
    )


def read_stream_fill(update: OrderUpdate) -> FillReceived:
    """The execution an order update tells of."""
    return FillReceived(
        symbol=update.symbol,
        trade_id=update.trade_id,
        client_order_id=update.client_order_id,
        venue_order_id=update.order_id,
        side=Side(update.side),
        quantity=update.last_quantity,
        price=update.last_price,
        commission=update.commission,
        commission_asset=update.commission_asset,
        venue_realized_pnl=update.realized_pnl,
        is_maker=update.is_maker,
        ts_trade_ns=update.transaction_ms * 1_000_000,
    )


def count_forced_fill(update: OrderUpdate) -> None:
    """Say aloud when the venue itself closed (part of) a position: it is folded like any fill."""
    kind = forced_kind(update.client_order_id)
    if kind is not None:
        FORCED_FILLS.labels(kind).inc()
        log.error(
            "the venue closed a position by force",
            kind=kind,
            symbol=update.symbol,
            quantity=str(update.last_quantity),
            price=str(update.last_price),
        )


def is_changed_by_others(state: State, update: OrderUpdate) -> bool:
    """Whether price or quantity of an order of ours were changed, and not to what we asked for.

    Our own change may be told before its answer has come: whoever is asked then finds nothing.
    """
    order = state.orders.get(update.client_order_id)
    if order is None or update.execution != AMENDMENT:
        return False
    return (update.quantity, update.price) != (order.quantity, order.order.price)


def read_balance(event: AccountUpdate, asset: str) -> BalanceObserved | None:
    """The wallet balance of our asset, if the event tells it."""
    for balance in event.change.balances:
        if balance.asset == asset:
            return BalanceObserved(
                asset=asset,
                wallet_balance=balance.wallet_balance,
                available_balance=None,
                observed_at_ns=event.event_ms * 1_000_000,
            )
    return None


class UserStream:
    """Owns the listen key and the connection; hands events on in the order they came."""

    def __init__(
        self,
        venue: VenueClient,
        clock: Clock,
        common: CommonConfig,
        settings: ExecutionConfig,
        *,
        on_event: Callable[[UserEvent], Awaitable[None]],
        on_up: Callable[[], Awaitable[None]],
        on_down: Callable[[str], None],
        dice: random.Random,
        connect: Connect = connect,
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._common = common
        self._settings = settings
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._dice = dice
        self._connect = connect
        self._queue: asyncio.Queue[UserEvent | Closed] = asyncio.Queue(EVENTS_QUEUED_MAX)
        self._confirmed = asyncio.Event()
        self._request_id = FIRST_REQUEST_ID
        self._heard_at_ns = monotonic_ns()
        self._was_up = False
        # Said from the start: what has no series can neither be down nor increase.
        STREAM_CONNECTED.labels(LABEL).set(0)
        STREAM_RECONNECTS.labels(LABEL)

    def measure_age(self) -> None:
        """Tell how long ago the venue last said a word (wall time), or since the start.

        A quiet account is no silence: the venue is asked every ``stream_heartbeat_ms``, and its
        answers are words too.
        """
        STREAM_AGE.labels(LABEL).set((monotonic_ns() - self._heard_at_ns) / NS_PER_S)

    async def run(self) -> None:
        """Stay connected for ever, waiting longer after each failure in a row (full jitter).

        A connection whose gap could not be closed is a failure too: the venue limits attempts.
        """
        failures = attempts = 0
        while True:
            attempts += 1
            STREAM_RECONNECTS.labels(LABEL).inc(attempts > 1)
            self._was_up = False
            try:
                await self._live()
            except (StreamLostError, WebSocketError, VenueReadError, BusError) as error:
                failures = 0 if self._was_up else failures + 1
                STREAM_CONNECTED.labels(LABEL).set(0)
                self._on_down(str(error))
                log.warning("user stream down", error=str(error), failures=failures)
                if self._was_up and isinstance(error, ListenKeyEndedError):
                    continue
                await self._wait_as_told(error)
            bound_ms = min(
                self._settings.reconnect_wait_ms << min(failures, 16),
                self._settings.reconnect_wait_ms_max,
            )
            await asyncio.sleep(self._dice.uniform(0, bound_ms) / 1000)

    async def _wait_as_told(self, error: Exception) -> None:
        """Leave the venue alone for as long as it asks: another request prolongs a ban."""
        if isinstance(error, VenueReadError) and isinstance(error.outcome, Throttled):
            now_ms = self._venue.timestamp_ms()
            await sleep_market(self._clock, throttled_until_ms(error.outcome, now_ms) - now_ms)

    async def _live(self) -> None:
        self._queue = asyncio.Queue(EVENTS_QUEUED_MAX)
        listen_key = await self._venue.create_listen_key()
        socket = await self._connect(
            user_stream_url(self._common.venue.stream_url, listen_key.reveal()),
            self._on_frame,
            self._on_close,
            heartbeat_ms=self._settings.stream_heartbeat_ms,
            max_frame_bytes=self._settings.stream_frame_bytes_max,
            connect_timeout_ms=CONNECT_TIMEOUT_MS,
        )
        watchers: list[asyncio.Task[None]] = []
        try:
            await self._confirm(socket)
            await self._assert_key(listen_key)
            await self._on_up()
            self._was_up = True
            STREAM_CONNECTED.labels(LABEL).set(1)
            log.info("user stream up")
            watchers.append(asyncio.create_task(self._keep_alive(), name="listen-key"))
            watchers.append(asyncio.create_task(self._watch(socket), name="user-stream-watch"))
            await self._drain(watchers)
        finally:
            for watcher in watchers:
                watcher.cancel()
            if socket.is_open:
                await socket.close()

    async def _confirm(self, socket: Socket) -> None:
        """A bogus key also handshakes; an answer proves at least that somebody reads."""
        self._confirmed.clear()
        self._request_id += 1
        socket.send_text(control_message("LIST_SUBSCRIPTIONS", (), self._request_id))
        try:
            await asyncio.wait_for(self._confirmed.wait(), CONFIRM_TIMEOUT_MS / 1000)
        except TimeoutError:
            raise StreamLostError("the user stream does not answer") from None

    async def _assert_key(self, listen_key: Secret) -> None:
        """A key that ended before its socket was up is never told of: ask which one lives."""
        living = await self._venue.create_listen_key()
        if living.reveal() != listen_key.reveal():
            raise ListenKeyEndedError("the listen key ended before its stream was up")

    async def _watch(self, socket: Socket) -> None:
        """Ask whether anybody is there whenever nothing was heard for a while.

        The protocol's own pings prove a connection; an answer proves the venue's application.
        """
        heartbeat_ms = self._settings.stream_heartbeat_ms
        while True:
            silent_ms = (monotonic_ns() - self._heard_at_ns) // NS_PER_MS
            if silent_ms >= heartbeat_ms:
                await self._confirm(socket)
                silent_ms = 0
            await asyncio.sleep((heartbeat_ms - silent_ms) / 1000)

    async def _drain(self, watchers: list[asyncio.Task[None]]) -> None:
        while True:
            getting = asyncio.create_task(self._queue.get())
            done, _ = await asyncio.wait({getting, *watchers}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (watcher for watcher in watchers if watcher in done):
                getting.cancel()
                await ended
            event = await getting
            if isinstance(event, Closed):
                raise StreamLostError(f"the venue closed the user stream ({event.code})")
            if isinstance(event, ListenKeyExpired):
                raise ListenKeyEndedError("the listen key expired")
            await self._on_event(event)

    async def _keep_alive(self) -> None:
        """Prolong the key long before its end; what fails for a moment is tried again."""
        interval_ms = self._settings.listen_key_keepalive_ms
        retry_ms = min(interval_ms // 10, KEEPALIVE_RETRY_MS_MAX)
        failures = 0
        while True:
            await sleep_market(self._clock, retry_ms if failures else interval_ms)
            try:
                await self._venue.keepalive_listen_key()
            except VenueReadError as error:
                outcome = error.outcome
                if isinstance(outcome, Rejected) and outcome.reason is Reason.LISTEN_KEY:
                    raise ListenKeyEndedError("the venue knows our listen key no more") from error
                failures += 1
                if failures >= KEEPALIVE_ATTEMPTS_MAX:
                    raise StreamLostError(f"the listen key was not kept alive: {error}") from error
                log.warning("listen key not prolonged yet", error=str(error), failures=failures)
                await self._wait_as_told(error)
            else:
                failures = 0

    def _on_frame(self, frame: bytes) -> None:
        self._heard_at_ns = monotonic_ns()
        try:
            event = decode_user_frame(frame)
        except PayloadError as error:
            # An event we cannot read may be a fill: the connection's word is no longer complete.
            self._put(Closed(code=1007, reason=str(error), is_ours=True))
            return
        if isinstance(event, ControlReply):
            if event.request_id == self._request_id and event.error is None:
                self._confirmed.set()
        elif isinstance(event, OrderTradeUpdate | AlgoUpdate | AccountUpdate | ListenKeyExpired):
            self._put(event)

    def _on_close(self, closed: Closed) -> None:
        self._put(closed)

    def _put(self, event: UserEvent | Closed) -> None:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._queue = asyncio.Queue()
            self._queue.put_nowait(Closed(code=1009, reason="we fell behind", is_ours=True))
