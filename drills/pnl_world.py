"""Execution beside a paper exchange whose prices and time the drill moves, over real sockets.

Broker, sockets, venue and execution are real. The drill plays feed, reconciler and risk, and the
account's owner with an app of his own.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Self

import aiohttp

from drills.account_rig import PATIENCE_MS
from drills.pnl_market import AMPLE, LEAP_STEP_NS, PRICES, STEP_NS, DrillSource, VenueTime
from libs.common.messages import subjects
from libs.common.messages.account import ReconcileReport
from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.intents import (
    ApprovalBody,
    ApprovedIntent,
    ProposedIntent,
    sign_approval,
)
from libs.common.messages.journal import JournalRecord
from libs.common.messages.market import Mark, Quote
from libs.common.model.ids import derive_client_order_id, derive_intent_id
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderRequest, OrderType, Side, TimeInForce
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.config import BusConfig, CommonConfig, VenueConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.provisioning import provision
from libs.common.runtime.secret import Secret
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from services.execution.config import ExecutionConfig
from services.execution.fold import apply
from services.execution.shell import Execution
from services.execution.state import State
from services.paper_exchange.config import Settings
from services.paper_exchange.demo_keys import DEMO_ACCOUNT_ID, DEMO_TRADE_KEY, DEMO_TRADE_SECRET
from services.paper_exchange.shell import PaperExchange
from sim.vouching import vouch_for

ACCOUNT = "paper"
TICK = Decimal("0.1")
SPEED, LEAP_SPEED = "4", "20000"
WAIT_S, LEAP_WAIT_S = 20.0, 90.0
APPROVAL_KEY = b"d" * 64
_NS_PER_MS = 1_000_000

Body = dict[str, Any]


class PnlWorld:
    """One account, one venue, and one life of execution after the other on one journal.

    Attributes:
        strategies: whose every client order id is that the drill approved.
    """

    def __init__(self, broker_url: str, *, zone: str = "UTC", **settings: Any) -> None:
        self._url = broker_url
        self._zone = zone
        self.source = DrillSource()
        self.venue = PaperExchange(
            Settings(symbols=tuple(PRICES), speed=Decimal(SPEED)), self.source
        )
        self.clock = VenueTime(self.venue.clock)
        self.settings = ExecutionConfig(**{**AMPLE, **settings})
        self.strategies: dict[str, str] = {}
        self.lives: list[tuple[Execution, Context[ExecutionConfig]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._count = 0

    async def __aenter__(self) -> Self:
        settings = BusConfig(url=self._url, publish_timeout_ms=PATIENCE_MS)
        self.bus = await Bus.connect(settings, "drill", lambda: None)
        await provision(self.bus, ACCOUNT, settings)
        self._tasks.append(asyncio.create_task(self.venue.run()))
        await self.until(lambda: self.venue.port, "the venue to listen")
        self.hand = self._client()
        self._tasks.append(asyncio.create_task(self._say_what_others_would()))
        await self.begin()
        return self

    async def __aexit__(self, *problem: object) -> None:
        for _life, context in self.lives:
            context.on_stop.clear()
            await context.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hand.close_connection()
        await self.bus.close()

    def _client(self) -> VenueClient:
        return VenueClient(
            f"http://127.0.0.1:{self.venue.port}",
            self.clock.now_ns,
            api_key=DEMO_TRADE_KEY,
            api_secret=Secret(DEMO_TRADE_SECRET),
        )

    def common(self, **changes: Any) -> CommonConfig:
        """What all services of this world agree on."""
        where = f"127.0.0.1:{self.venue.port}"
        return CommonConfig(
            symbols=tuple(PRICES),
            bus=BusConfig(url=self._url),
            venue=VenueConfig(rest_url=f"http://{where}", stream_url=f"ws://{where}"),
            day_time_zone=self._zone,
            **changes,
        )

    async def begin(self) -> None:
        """A new life of execution, on whatever journal and snapshot there is."""
        common = self.common()
        bus = await Bus.connect(common.bus, "execution", lambda: None)
        context = Context("execution", common, self.settings, "drill", bus, clock=self.clock)
        life = len(self.lives)
        execution = Execution(
            context, self._client(), APPROVAL_KEY, dice=random.Random(life), writer=f"life-{life}"
        )
        self.lives.append((execution, context))
        await execution.start()
        await self.armed()

    async def armed(self) -> None:
        """Wait until entries may be sent."""
        execution = self.lives[-1][0]
        await self.until(
            lambda: self.state.trading_state == "ACTIVE" and execution.status()["armed"],
            lambda: f"execution to arm: {execution.status()}",
        )

    async def crash(self) -> None:
        """The newest life ends without another word."""
        _, context = self.lives[-1]
        context.on_stop.clear()
        await context.finish()

    # -- what others do --------------------------------------------------------------------------

    def _envelope(self, source: str) -> Body:
        self._count += 1
        name = f"drill-{self._count}"
        return {
            "message_id": name,
            "causation_id": name,
            "correlation_id": name,
            "ts_event_ns": self.clock.now_ns(),
            "ts_published_ns": wall_ns(),
            "source": source,
        }

    async def _say_what_others_would(self) -> None:
        while True:
            with contextlib.suppress(BusUnavailable):
                for symbol, price in self.source.prices.items():
                    mark = Mark(
                        **self._envelope("feed"),
                        symbol=symbol,
                        mark_price=price,
                        index_price=price,
                        funding_rate=Decimal(0),
                        next_funding_ns=0,
                    )
                    quote = Quote(
                        **self._envelope("feed"),
                        symbol=symbol,
                        bid_price=price,
                        bid_quantity=self.source.depths[symbol],
                        ask_price=price + TICK,
                        ask_quantity=self.source.depths[symbol],
                        update_id=self._count,
                    )
                    await self.bus.publish(subjects.mark(symbol), encode(mark))
                    await self.bus.publish(subjects.quote(symbol), encode(quote))
                vouched = vouch_for(self.source.prices, self.clock.now_ns())
                await self.bus.publish(subjects.MARKET_HEALTH, encode(vouched))
                report = ReconcileReport(
                    **self._envelope("reconciler"),
                    account=ACCOUNT,
                    cycle=self._count,
                    trigger="drill",
                    is_clean=True,
                    discrepancies=(),
                    journal_sequence=0,
                    duration_ms=0,
                    positions_compared=0,
                    orders_compared=0,
                    balances_compared=0,
                )
                await self.bus.publish(subjects.reconcile_report(ACCOUNT), encode(report))
            await asyncio.sleep(0.05)

    async def trade(
        self,
        strategy_id: str,
        symbol: str,
        side: Side,
        quantity: str,
        *,
        purpose: Purpose = Purpose.ENTER,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> str:
        """Approve an intent of a strategy, in risk's place; returns its intent id."""
        envelope = self._envelope("risk")
        now_ns = envelope["ts_event_ns"]
        intent = self._intent(
            strategy_id,
            symbol,
            side,
            quantity,
            purpose=purpose,
            price=price,
            time_in_force=None if price is None else TimeInForce.GTC,
            stop_price=stop_price,
        )
        intent_id = intent.intent_id
        body = ApprovalBody(
            account=ACCOUNT,
            intent=intent,
            order=OrderRequest(
                symbol=symbol,
                side=side,
                order_type=intent.order_type,
                quantity=Decimal(quantity),
                price=price,
                time_in_force=intent.time_in_force,
                reduce_only=purpose is Purpose.EXIT,
            ),
            reference_price=intent.reference_price,
            verdicts=(),
            decided_at_ns=now_ns,
            decided_wall_ns=0,
            expires_at_ns=intent.expires_at_ns,
            slippage_predicted_bps=Decimal(1),
        )
        for attempt in (1, 2):
            self.strategies[derive_client_order_id(ACCOUNT, intent_id, attempt)] = strategy_id
        approved = ApprovedIntent(**envelope, body=body, mac=sign_approval(APPROVAL_KEY, body))
        await self.bus.publish_stored(
            subjects.intent_approved(ACCOUNT, symbol),
            encode(approved),
            message_id=f"approved-{intent_id}",
        )
        return intent_id

    def _intent(
        self, strategy_id: str, symbol: str, side: Side, quantity: str, **more: Any
    ) -> Intent:
        self._count += 1
        now_ns, candle_id = self.clock.now_ns(), f"candle-{self._count}"
        purpose = more.pop("purpose", Purpose.ENTER)
        return Intent(
            intent_id=derive_intent_id(strategy_id, "drill", symbol, candle_id),
            strategy_id=strategy_id,
            parameter_hash="drill",
            symbol=symbol,
            side=side,
            purpose=purpose,
            order_type=OrderType.MARKET if more.get("price") is None else OrderType.LIMIT,
            reference_price=self.source.prices[symbol],
            candle_id=candle_id,
            created_at_ns=now_ns,
            expires_at_ns=now_ns + 30_000 * _NS_PER_MS,
            quantity=Decimal(quantity),
            confidence=Decimal("0.6") if purpose is Purpose.ENTER else None,
            **more,
        )

    async def propose(self, strategy_id: str, symbol: str, side: Side, quantity: str) -> str:
        """Propose an entry to risk, which has to run beside; returns its intent id."""
        intent = self._intent(strategy_id, symbol, side, quantity)
        proposed = ProposedIntent(**self._envelope("signal"), intent=intent)
        await self.bus.publish_stored(
            subjects.intent_proposed(symbol), encode(proposed), message_id=intent.intent_id
        )
        return intent.intent_id

    async def by_hand(self, symbol: str, side: Side, quantity: str) -> None:
        """The owner trades in the venue's app."""
        await self.surprise("manual_order", symbol, side=str(side), quantity=quantity)

    async def surprise(self, kind: str, symbol: str, **more: str) -> None:
        """The owner, or the venue by force, trades the account."""
        body = {"account_id": DEMO_ACCOUNT_ID, "symbol": symbol, "kind": kind, **more}
        await self.sim("/sim/surprises", body)

    async def sim(self, path: str, body: object) -> Any:
        """Ask the simulation over its door; returns its answer, refusals too."""
        url = f"http://127.0.0.1:{self.venue.port}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            return json.loads(await answer.read())

    async def leap(self, until_ns: int) -> None:
        """Let market time run fast up to a moment, and then as before."""
        self.source.step_ns = LEAP_STEP_NS
        await self.sim("/sim/clock", {"speed": LEAP_SPEED, "limit_ns": until_ns})
        await self.until(lambda: self.clock.now_ns() >= until_ns, "the leap to end", LEAP_WAIT_S)
        self.source.step_ns = STEP_NS
        await self.sim("/sim/clock", {"speed": SPEED, "limit_ns": None})

    async def fund(self, rates: Mapping[str, str]) -> None:
        """Leap to the next funding, at dictated rates, and see it booked by the venue."""
        for symbol, rate in rates.items():
            await self.sim("/sim/funding", {"symbol": symbol, "rate": rate})
        interval_ns = 8 * 3_600 * 10**9
        due_ns = (self.clock.now_ns() // interval_ns + 1) * interval_ns
        await self.leap(due_ns - 500 * _NS_PER_MS)
        await self.until(lambda: self.clock.now_ns() > due_ns + 500 * _NS_PER_MS, "the funding")

    async def until(
        self, condition: Callable[[], Any], what: str | Callable[[], str], wait_s: float = WAIT_S
    ) -> Any:
        """Poll until the condition holds, and return what it says.

        Raises:
            AssertionError: it did not in time.
        """
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    found = condition()
                    if isinstance(found, Awaitable):
                        found = await found
                    if found:
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {wait_s} s in vain for {told}") from None

    # -- what is seen ----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What the newest life knows."""
        return self.lives[-1][0]._gate.state

    def held_at_venue(self, symbol: str) -> Decimal:
        """Signed base units, by the venue's own record."""
        quantity: Decimal = self.venue.exchange.accounts[DEMO_ACCOUNT_ID].position(symbol).quantity
        return quantity

    async def settled(self) -> None:
        """Wait until what we hold is what the venue says, and no order of ours is in doubt."""
        await self.until(
            lambda: (
                all(
                    self.state.position_quantity(name) == self.held_at_venue(name)
                    for name in PRICES
                )
                and not any(order.is_in_doubt for order in self.state.orders.values())
            ),
            lambda: f"the positions of {self.state.positions} to be the venue's",
        )

    async def ended(self, intent_id: str) -> None:
        """Wait until an intent was refused, or its order is over and all of its fills are known."""

        def is_over() -> bool:
            memory = self.state.intents.get(intent_id)
            if memory is None:
                return False
            order = self.state.orders.get(memory.client_order_id)
            return order is None or (order.status.is_terminal and order.is_settled)

        await self.until(is_over, f"intent {intent_id} to end")

    async def replayed(self) -> State:
        """The state folded anew from the journal's first record."""
        state = State()
        for record in await self.records():
            apply(state, record)
        return state

    async def records(self) -> list[JournalRecord]:
        """The whole journal."""
        found = []
        last = await self.bus.read_last(subjects.JOURNAL_STREAM, subjects.journal(ACCOUNT))
        for sequence in range(1, (last.seq or 0) + 1 if last is not None else 1):
            stored = await self.bus.read_message(subjects.JOURNAL_STREAM, sequence)
            if stored is not None and stored.data is not None:
                found.append(decode_struct(stored.data, JournalRecord))
        return found
