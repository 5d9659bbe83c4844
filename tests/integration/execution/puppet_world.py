"""Execution beside a paper exchange whose price the test moves; between them real sockets.

Broker and sockets are real; venue and execution live in the test's own loop, so that execution can
die in the middle of anything and another of it begin on the same journal.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from libs.common.messages import subjects
from libs.common.messages.account import ReconcileReport
from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import JournalEvent, JournalRecord
from libs.common.messages.market import Mark
from libs.common.model.intent import Intent
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.config import BusConfig, CommonConfig, VenueConfig
from libs.common.runtime.provisioning import provision
from libs.common.runtime.secret import Secret
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from libs.common.testing.builders import APPROVAL_KEY, an_approval, an_intent, an_order
from services.execution.config import ExecutionConfig
from services.execution.shell import Execution
from services.execution.state import AlgoOrderState, OrderState, State
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import Settings
from services.paper_exchange.demo_keys import (
    DEMO_ACCOUNT_ID,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)
from services.paper_exchange.faults.rules import FaultRule
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.shell import PaperExchange
from services.paper_exchange.sources.event import ClosedBar, SourceError, SourceEvent, Trade
from services.paper_exchange.sources.modelled_book import ModelledBook
from sim.vouching import vouch_for
from tests.integration.patience import keep_saying, patient

SYMBOL = "BTCUSDT"
PRICE = Decimal(60_000)
START_NS = 1_780_000_000_000_000_000
STEP_NS = 20_000_000
SPEED = 4
WAIT_S = 20
EVENT = TypeVar("EVENT")


class PuppetSource:
    """A market that quotes the price it is told, and prints the trades it is told."""

    def __init__(self) -> None:
        self.price = PRICE
        self.depth = Decimal(5)
        self.trades: list[tuple[Decimal, Decimal, bool]] = []
        self._trade_id = 0

    symbols = (SYMBOL,)
    start_ns = START_NS
    lines_read = 0

    def history(self) -> Iterator[ClosedBar]:
        return iter(())

    def facts(self) -> Mapping[str, object]:
        return {}

    def blame(self, symbol: str, reason: str) -> SourceError:
        return SourceError(Path("puppet"), None, f"{symbol}: {reason}")

    def events(self) -> Iterator[SourceEvent]:
        book = ModelledBook(select_instruments((SYMBOL,))[SYMBOL])
        ts_ns = START_NS
        while True:
            ts_ns += STEP_NS
            yield from book.move(ts_ns, self.price, self.depth)
            told, self.trades = self.trades, []
            for price, quantity, is_buyer_maker in told or [(self.price, Decimal("0.001"), False)]:
                self._trade_id += 1
                yield Trade(
                    ts_ns, SYMBOL, ts_ns // 1_000_000, self._trade_id, price, quantity,
                    is_buyer_maker,
                )  # fmt: skip


class VenueTime:
    """Market time, read from the venue itself."""

    is_set = True

    def __init__(self, clock: MarketClock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        return self._clock.now_ns()


class PuppetWorld:
    """One account, one venue, and as many lives of execution as the test wants."""

    def __init__(self, broker: Broker, **settings: Any) -> None:
        self.broker = broker
        self.source = PuppetSource()
        self.venue = PaperExchange(Settings(symbols=(SYMBOL,), speed=Decimal(SPEED)), self.source)
        self.clock = VenueTime(self.venue.clock)
        self.settings = ExecutionConfig(query_interval_ms=200, protection_retry_ms=400, **settings)
        self.lives: list[tuple[Execution, Context[ExecutionConfig]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._count = 0
        self.is_feed_silent = False

    async def start(self) -> None:
        settings = patient(self.broker.url)
        self.bus = await Bus.connect(settings, "test", lambda: None)
        await provision(self.bus, "paper", settings)
        self._tasks.append(asyncio.create_task(self.venue.run()))
        await self.until(lambda: self.venue.port, "the venue to listen")
        self.hand = self._client()
        self._tasks.append(asyncio.create_task(keep_saying(self._say_what_others_would, 0.05)))
        await self.begin()

    def _client(self) -> VenueClient:
        return VenueClient(
            f"http://127.0.0.1:{self.venue.port}",
            self.clock.now_ns,
            api_key=DEMO_TRADE_KEY,
            api_secret=Secret(DEMO_TRADE_SECRET),
        )

    async def begin(self, writer: str | None = None) -> Execution:
        """A new life of execution, on whatever journal there is; returns once it trades."""
        execution = await self.launch(writer)
        await self.until(
            lambda: self.state.trading_state == "ACTIVE" and execution.status()["armed"],
            f"execution to arm: {execution.status()}",
        )
        return execution

    async def launch(self, writer: str | None = None) -> Execution:
        """The same, without waiting for it to trade."""
        url = f"127.0.0.1:{self.venue.port}"
        common = CommonConfig(
            symbols=(SYMBOL,),
            bus=BusConfig(url=self.broker.url),
            venue=VenueConfig(rest_url=f"http://{url}", stream_url=f"ws://{url}"),
        )
        bus = await Bus.connect(common.bus, "execution", lambda: None)
        context = Context("execution", common, self.settings, "hash", bus, clock=self.clock)
        execution = Execution(
            context,
            self._client(),
            APPROVAL_KEY,
            dice=random.Random(len(self.lives)),
            writer=writer or f"life-{len(self.lives)}",
        )
        self.lives.append((execution, context))
        await execution.start()
        return execution

    async def crash(self) -> None:
        """The newest life ends without another word, with everything it had under way."""
        _, context = self.lives[-1]
        context.on_stop.clear()
        await context.finish()

    async def stop(self) -> None:
        for _, context in self.lives:
            context.on_stop.clear()
            await context.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hand.close_connection()
        await self.bus.close()

    async def _say_what_others_would(self) -> None:
        """The feed's marks, that they are sound, and the reconciler's word that all is well."""
        self._count += 1
        now_ns, name = self.clock.now_ns(), f"said-{self._count}"
        envelope: dict[str, Any] = {
            "message_id": name,
            "causation_id": name,
            "correlation_id": name,
            "ts_event_ns": now_ns,
            "ts_published_ns": wall_ns(),
            "source": "test",
        }
        mark = Mark(
            **envelope,
            symbol=SYMBOL,
            mark_price=self.source.price,
            index_price=self.source.price,
            funding_rate=Decimal(0),
            next_funding_ns=0,
        )
        report = ReconcileReport(
            **envelope,
            account="paper",
            cycle=self._count,
            trigger="test",
            is_clean=True,
            discrepancies=(),
            positions_compared=0,
            orders_compared=0,
            balances_compared=0,
            journal_sequence=0,
            duration_ms=0,
        )
        await self.bus.publish(subjects.mark(SYMBOL), encode(mark))
        if not self.is_feed_silent:
            health = vouch_for((SYMBOL,), now_ns)
            await self.bus.publish(subjects.MARKET_HEALTH, encode(health))
        await self.bus.publish(subjects.reconcile_report("paper"), encode(report))

    # -- what the test does ----------------------------------------------------------------------

    async def enter(self, order: dict[str, Any] | None = None, **changes: Any) -> str:
        """Approve an entry with a stop and a target; returns its intent id."""
        self._count += 1
        now_ns = self.clock.now_ns()
        wishes = {
            "reference_price": self.source.price,
            "stop_price": Decimal(59_000),
            "target_price": Decimal(61_000),
            "created_at_ns": now_ns,
            "expires_at_ns": now_ns + 30_000_000_000,
            **changes,
        }
        intent: Intent = an_intent(candle_id=f"entry-{self._count}", **wishes)
        approved = an_approval(intent, an_order(intent, **(order or {})))
        await self.publish(approved)
        return intent.intent_id

    async def publish(self, approved: ApprovedIntent) -> None:
        await self.bus.publish_stored(
            subjects.intent_approved("paper", SYMBOL),
            encode(approved),
            message_id=approved.message_id,
        )

    def faults(self, *rules: dict[str, Any]) -> None:
        self.venue.faults.set_rules([FaultRule.model_validate(rule) for rule in rules])

    async def until(self, condition: Callable[[], EVENT], what: str) -> EVENT:
        """Poll until the condition holds, and return what it says."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := condition()):
                    await asyncio.sleep(0.01)
                return found
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; {await self.story()}") from None

    # -- what the test sees ----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What the newest life knows."""
        return self.lives[-1][0]._gate.state

    def order_of(self, intent_id: str) -> OrderState:
        return next(order for order in self.state.orders.values() if order.intent_id == intent_id)

    def algos_of(self, intent_id: str) -> list[AlgoOrderState]:
        return self.state.algo_orders_of(intent_id)

    def statuses(self, intent_id: str) -> list[str]:
        return [str(algo.status) for algo in self.algos_of(intent_id)]

    async def protected(self, intent_id: str) -> None:
        await self.until(
            lambda: self.statuses(intent_id) == ["WORKING", "WORKING"], "stop and target"
        )

    async def closed(self, intent_id: str) -> None:
        """The position is flat here and there, and nothing waits at the venue any more."""
        await self.until(
            lambda: (
                any(order.intent_id == intent_id for order in self.state.orders.values())
                and self.order_of(intent_id).closed_quantity > 0
                and self.order_of(intent_id).exposure == 0
                and not self.state.open_algo_orders()
                and not self.state.position_quantity(SYMBOL)
            ),
            "the position to be closed",
        )
        account = self.venue.exchange.accounts[DEMO_ACCOUNT_ID]
        assert not account.position(SYMBOL).quantity
        assert not account.waiting_algos
        assert not account.open_orders

    def asked(self, method: str, path: str) -> int:
        """How many order requests of a kind the venue has logged."""
        rows = self.venue.log.rows_after(0, 100_000)
        return sum(f"{row}".count(f"{method} {path}") > 0 for row in rows)

    def venue_algos(self) -> list[Any]:
        return list(self.venue.exchange.accounts[DEMO_ACCOUNT_ID].algos.values())

    async def events(self) -> list[JournalEvent]:
        """Every event of the journal."""
        last = await self.bus.read_last(subjects.JOURNAL_STREAM, subjects.journal("paper"))
        found: list[JournalEvent] = []
        for sequence in range(1, (last.seq or 0) + 1 if last is not None else 1):
            stored = await self.bus.read_message(subjects.JOURNAL_STREAM, sequence)
            assert stored is not None
            assert stored.data is not None
            found += decode_struct(stored.data, JournalRecord).events
        return found

    async def story(self) -> str:
        """What happened, for the message of a failed test."""
        quiet = ("InstrumentsLoaded", "BalanceObserved", "LeverageAsserted")
        events = [event for event in await self.events() if type(event).__name__ not in quiet]
        return "\n".join(f"{event}"[:400] for event in events)
