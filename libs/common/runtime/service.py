"""The frame of every service: configuration, bus, clock, HTTP doors, tasks, and a clean end.

Exit codes: 0 stopped on request, 1 a task failed (the supervisor restarts us; start is recovery),
2 the configuration is wrong, 3 the broker is not there, 4 the journal is damaged: every start ends
the same way until a person has looked at it.
"""

import argparse
import asyncio
import base64
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from fastapi import APIRouter

from libs.common import __version__
from libs.common.messages import subjects
from libs.common.messages.account import DeadLetter
from libs.common.messages.codec import UndecodableError, decode, encode
from libs.common.messages.hello import Hello
from libs.common.messages.market import MarketClock
from libs.common.model.ids import digest
from libs.common.model.settings import ServiceConfig
from libs.common.runtime.bus import Bus, Delivery
from libs.common.runtime.clock import Clock, PaperClock, SystemClock, wall_ns
from libs.common.runtime.config import CommonConfig, Mode, load_config
from libs.common.runtime.config_shown import show_settings
from libs.common.runtime.errors import (
    BusError,
    BusUnavailable,
    ConfigError,
    JournalBroken,
    PublishUnknown,
)
from libs.common.runtime.health import Health, Level
from libs.common.runtime.http import Doors, HttpServer, build_app, take_address
from libs.common.runtime.http_tokens import load_tokens
from libs.common.runtime.log import configure_logging, get_logger
from libs.common.runtime.metrics import (
    BUS_RECONNECTS,
    BUS_RTT_SECONDS,
    DEAD_LETTERS,
    MESSAGES_HANDLED,
)
from libs.common.runtime.process_end import run_to_the_end
from libs.common.runtime.trace import configure_tracing, span

log = get_logger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_CONFIG, EXIT_BROKER, EXIT_JOURNAL = 0, 1, 2, 3, 4
DEAD_LETTER_BYTES_MAX = 8_192
STOP_WAIT_S = 5.0
CANCEL_AGAIN_S = 0.2
HEALTH_INTERVAL_S = 0.5
HELLO_INTERVAL_S = 5.0


S = TypeVar("S", bound=ServiceConfig)


def _clock_of(mode: Mode) -> Clock:
    return PaperClock() if mode is Mode.PAPER else SystemClock()


class Context(Generic[S]):
    """What a service is given to live on; ``start`` plugs its shell into it.

    ``clock`` is market time; without one it is the venue's in the paper world, else the system's.
    """

    def __init__(
        self,
        name: str,
        common: CommonConfig,
        settings: S,
        config_hash: str,
        bus: Bus,
        clock: Clock | None = None,
    ) -> None:
        DEAD_LETTERS.labels(name)  # at 0: a series born with its first event shows no increase
        self.name = name
        self.common = common
        self.settings = settings
        self.config_hash = config_hash
        self.bus = bus
        self.clock: Clock = clock or _clock_of(common.mode)
        self.health = Health(name, ("bus", "clock"))
        self.status: Callable[[], dict[str, Any]] = dict
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        self.stopping = asyncio.Event()
        #: In the order they began: what is done to all of them is done in the same order always.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._failure: BaseException | None = None

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work beside the others until the service stops; its failure ends the service."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            if isinstance(error, ConfigError):
                log.error("configuration refused", error=str(error))
            elif isinstance(error, JournalBroken):
                log.error("journal damaged, nothing is sent any more", error=str(error))
            else:
                log.error("task failed", task=task.get_name(), error=repr(error), exc_info=error)
            self.stopping.set()

    async def dead_letter(self, subject: str, payload: bytes, reason: str) -> None:
        """Keep a message that cannot be read, with the reason; it never stops the service."""
        message_id = digest("dead", self.name, subject, payload.hex(), reason)
        letter = DeadLetter(
            message_id=message_id,
            causation_id=message_id,
            correlation_id=message_id,
            ts_event_ns=self.clock.now_ns() if self.clock.is_set else wall_ns(),
            ts_published_ns=wall_ns(),
            source=self.name,
            subject=subject,
            reason=reason,
            payload=base64.b64encode(payload[:DEAD_LETTER_BYTES_MAX]).decode(),
        )
        DEAD_LETTERS.labels(self.name).inc()
        log.warning("message unreadable", subject=subject, reason=reason)
        await self.bus.publish_stored(
            subjects.dead(self.name), encode(letter), message_id=message_id
        )

    async def consume(
        self,
        stream: str,
        durable: str,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        in_flight_max: int = 1,
    ) -> None:
        """Hand each message of a durable consumer to ``handle``; ack what it did.

        ``UndecodableError`` sends the message to the dead letters and never delivers it again; a
        bus failure delivers it again after a wait; any other error is a defect and ends the task,
        and a message that did so ``deliveries_max`` times is set aside: no restart would help.

        Args:
            in_flight_max: how many are handled at once; more than one only where their order does
                not matter, so that one slow answer does not let the others grow old.
        """
        room = asyncio.Semaphore(in_flight_max)

        async def settle(delivery: Delivery) -> None:
            try:
                await self._handle(delivery, durable, handle)
            finally:
                room.release()

        async for delivery in self.bus.deliveries(stream, durable):
            await room.acquire()
            if in_flight_max == 1:
                await settle(delivery)
            else:
                self.spawn(settle(delivery), f"{durable}-{delivery.stream_sequence}")

    async def _handle(
        self, delivery: Delivery, durable: str, handle: Callable[[Delivery], Awaitable[None]]
    ) -> None:
        try:
            with span(f"process {delivery.subject}", delivery.headers):
                try:
                    await handle(delivery)
                except UndecodableError as error:
                    await self.dead_letter(delivery.subject, delivery.payload, str(error))
                    await delivery.terminate()
                    MESSAGES_HANDLED.labels(durable, "dead").inc()
                except (BusError, JournalBroken):  # neither is the message's fault
                    raise
                except Exception as error:
                    if delivery.deliveries >= self.common.bus.deliveries_max:
                        why = f"handling it failed every time: {type(error).__name__}"
                        await self.dead_letter(delivery.subject, delivery.payload, why)
                        await delivery.terminate()
                    raise
                else:
                    await delivery.ack()
                    MESSAGES_HANDLED.labels(durable, "done").inc()
        except BusError as error:
            MESSAGES_HANDLED.labels(durable, "retried").inc()
            log.warning("message not settled", subject=delivery.subject, error=str(error))
            await self._retry(delivery, self.common.bus.redelivery_wait_ms)

    async def _retry(self, delivery: Delivery, wait_ms: int) -> None:
        try:
            await delivery.retry_after(wait_ms)
        except BusError:
            await asyncio.sleep(wait_ms / 1000)

    async def follow_market_clock(self) -> None:
        """In the paper world, take the time from the venue as feed passes it on."""
        clock = self.clock
        if not isinstance(clock, PaperClock):
            return

        async def on_clock(_: str, payload: bytes, __: dict[str, str]) -> None:
            message = decode(payload, MarketClock)
            clock.grant(message.now_ns, message.speed, message.limit_ns)

        await self.bus.subscribe(subjects.MARKET_CLOCK, on_clock)

    async def introduce(self) -> None:
        """Say hello now, whenever the roll is called, and now and then."""

        async def say(*_: object) -> None:
            identity = f"{self.name}-{__version__}"
            hello = Hello(
                message_id=identity,
                causation_id=identity,
                correlation_id=identity,
                ts_event_ns=self.clock.now_ns() if self.clock.is_set else wall_ns(),
                ts_published_ns=wall_ns(),
                source=self.name,
                service=self.name,
                version=__version__,
                config_hash=self.config_hash,
            )
            try:
                await self.bus.publish(subjects.hello(self.name), encode(hello))
            except BusUnavailable as error:
                log.warning("hello not said", error=str(error))

        await self.bus.subscribe(subjects.ROLL_CALL, say)
        while True:
            await say()
            await asyncio.sleep(HELLO_INTERVAL_S)

    async def watch_health(self) -> None:
        """Keep the checks that every service has up to date."""
        while True:
            connected = self.bus.is_connected
            rtt_ms = self.bus.rtt_last_ms
            self.health.set(
                "bus",
                Level.PASS if connected else Level.FAIL,
                f"round trip {rtt_ms} ms" if connected else "not connected to the broker",
            )
            self.health.set(
                "clock",
                Level.PASS if self.clock.is_set else Level.FAIL,
                "" if self.clock.is_set else "the venue's time has not come through feed yet",
            )
            BUS_RTT_SECONDS.set((rtt_ms or 0) / 1000)
            BUS_RECONNECTS.set(self.bus.reconnects_total)
            await asyncio.sleep(HEALTH_INTERVAL_S)

    async def finish(self) -> int:
        """Stop tasks, say goodbye in order, and return the exit code."""
        for goodbye in self.on_stop:
            try:
                await asyncio.wait_for(goodbye(), STOP_WAIT_S)
            except (TimeoutError, BusUnavailable, PublishUnknown) as error:
                log.warning("goodbye failed", error=repr(error))
        while self._tasks:
            # Once is not enough: in Python 3.11 asyncio.wait_for can swallow a cancellation.
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(tuple(self._tasks), timeout=CANCEL_AGAIN_S)
        await self.bus.close()
        match self._failure:
            case None:
                return EXIT_OK
            case ConfigError():
                return EXIT_CONFIG
            case BusUnavailable():
                return EXIT_BROKER
            case JournalBroken():
                return EXIT_JOURNAL
            case _:
                return EXIT_FAILED


Routes = Callable[[Context[S], Doors], APIRouter]


async def _run(
    name: str,
    settings_type: type[S],
    start: Callable[[Context[S]], Awaitable[None]],
    path: Path | None,
    routes: Routes[S] | None,
    check: Callable[[CommonConfig, S], None] | None,
) -> int:
    try:
        common, settings, config_hash = load_config(name, settings_type, path=path)
        tokens = load_tokens(common)
        if check is not None:
            check(common, settings)
        address = take_address(name, common.http_host, settings.http_port)
    except ConfigError as error:
        log.error("configuration refused", error=str(error))
        return EXIT_CONFIG
    configure_logging(name, common.log_level)
    configure_tracing(name)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        bus = await _connect(common, name, stopping)
    except ConfigError as error:
        log.error("configuration refused", error=str(error))
        return EXIT_CONFIG
    except BusUnavailable as error:
        log.error("no broker", error=str(error))
        return EXIT_BROKER
    if bus is None:
        return EXIT_OK
    context = Context(name, common, settings, config_hash, bus)
    context.stopping = stopping
    doors = Doors(tokens)
    app = build_app(
        context.health,
        lambda: context.status(),  # noqa: PLW0108 - set later
        doors,
        {
            "config_hash": config_hash,
            "settings": show_settings(common) | show_settings(settings, f"{name}."),
        },
    )
    if routes is not None:
        app.include_router(routes(context, doors))
    server = HttpServer(app, name, address)
    context.spawn(_serve(server), "http")
    context.spawn(context.watch_health(), "health")
    context.spawn(context.introduce(), "hello")
    await context.follow_market_clock()
    context.spawn(_start(context, start), "start")
    await stopping.wait()
    log.info("stopping")
    server.stop()
    return await context.finish()


async def _connect(common: CommonConfig, name: str, stopping: asyncio.Event) -> Bus | None:
    """Connect to the broker; ``None`` if we are asked to stop while waiting for it."""
    connecting = asyncio.create_task(Bus.connect(common.bus, name, stopping.set))
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({connecting, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if connecting.done():
        return await connecting
    connecting.cancel()
    return None


async def _start(context: Context[S], start: Callable[[Context[S]], Awaitable[None]]) -> None:
    await start(context)
    context.health.is_started = True
    log.info("started", config_hash=context.config_hash, mode=context.common.mode)


async def _serve(server: HttpServer) -> None:
    async def announce() -> None:
        while server.port is None:
            await asyncio.sleep(0.01)
        log.info("http listening", port=server.port)

    announcing = asyncio.create_task(announce())
    try:
        await server.serve()
    finally:
        announcing.cancel()


def run_service(
    name: str,
    settings_type: type[S],
    start: Callable[[Context[S]], Awaitable[None]],
    routes: Routes[S] | None = None,
    check: Callable[[CommonConfig, S], None] | None = None,
) -> NoReturn:
    """The whole life of a service process; never returns.

    Args:
        name: the service's name, which is its section of the configuration.
        settings_type: that section.
        start: plugs the shell into the context; returns when start-up (and recovery) is over.
        routes: makes the service's own HTTP doors; they are there before ``start`` is called.
        check: raises ConfigError where the settings contradict one another; nothing is started.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("--config", type=Path, help="YAML configuration (or PORTCULLIS_CONFIG)")
    arguments = parser.parse_args()
    configure_logging(name)
    run_to_the_end(_run(name, settings_type, start, arguments.config, routes, check))
