"""One simulated world: the real services around a broker, a venue, a market and a fate."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import encode
from libs.common.runtime.credentials import venue_limits
from libs.common.runtime.service import Context
from services.execution.shell import Execution
from services.paper_exchange.demo_keys import (
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)
from services.reconciler.shell import Reconciler
from services.risk.shell import RiskShell
from services.signal.shell import SignalShell
from sim.blows import MARKS, Blows
from sim.broker import Broker
from sim.client import SimVenueClient
from sim.fate import APPROVED, FLIGHT_STEP_NS, RECORDED, Fate
from sim.jetstream import Stored
from sim.loop import NS_PER_S, Life, VirtualLoop
from sim.market import MarketFeed
from sim.node import RESTART_NS, Node
from sim.plan import NS_PER_MS, Plan
from sim.producer import Producer
from sim.settings import (
    ACCOUNT,
    APPROVAL_KEY,
    COMMON,
    EPOCH_NS,
    EXECUTION,
    RECONCILER,
    RISK,
    SIGNAL,
    SYMBOLS,
)
from sim.venue import Venue

JOURNAL_SUBJECT = subjects.journal(ACCOUNT)
FUNDING_NS = (17 * NS_PER_S, 31 * NS_PER_S, 46 * NS_PER_S)
"""Whoever holds a position then, pays or receives."""
LIMITS = venue_limits(COMMON)
DEAF_NS = {
    MARKS: (EXECUTION.mark_age_ms_max + 700) * NS_PER_MS,
    subjects.MARKET_HEALTH: (EXECUTION.health_silence_ms_max + 700) * NS_PER_MS,
}
"""What was heard so long ago decides nothing; a record takes one publication's timeout at most."""


class _Intent(msgspec.Struct):
    intent_id: str
    purpose: str = ""


class _Told(msgspec.Struct):
    """What of a journaled event tells whether an order is in flight."""

    event: str
    client_order_id: str = ""
    writer: str = ""
    intent: _Intent | None = None


class _Record(msgspec.Struct):
    events: list[_Told]


class _Body(msgspec.Struct):
    intent: _Intent


class _AboutIntent(msgspec.Struct):
    intent_id: str = ""
    intent: _Intent | None = None
    body: _Body | None = None


_RECORD = msgspec.json.Decoder(_Record)
_ABOUT_INTENT = msgspec.json.Decoder(_AboutIntent)
_IN_FLIGHT = "OrderRecorded"
_STILL_IN_FLIGHT = frozenset({"OrderBecameUnknown", "FillReceived"})


def intent_of(payload: bytes) -> str:
    """The intent that a proposal, verdict or approval is about."""
    message = _ABOUT_INTENT.decode(payload)
    intent = message.body.intent if message.body is not None else message.intent
    return message.intent_id or (intent.intent_id if intent is not None else "")


class World:
    """Everything of one schedule. `story` collects lines when there is somebody to read them."""

    def __init__(self, plan: Plan, story: list[str] | None = None) -> None:
        self.plan = plan
        self.story = story
        self.exit_reasons: list[str] = []
        self.in_flight: dict[str, None] = {}
        self.journal: list[Stored] = []
        self.intents: Counter[str] = Counter()
        self.causes: dict[tuple[str, str, str], str] = {}
        self.contradictions: list[str] = []
        self.proposed: dict[str, None] = {}
        self.judged: dict[str, None] = {}
        self.approved: dict[str, None] = {}
        self._is_forging = False
        seed = plan.seed
        self.loop = loop = VirtualLoop(_dice("ready", seed))  # type: ignore[abstract]
        self.blows = Blows(self)
        self.fate = Fate(loop, plan, self.blows.deal, lambda: bool(self.in_flight), self.note)
        self.broker = Broker(
            loop, _dice("broker", seed), COMMON.bus, ACCOUNT,
            lambda kind, _: self.fate.strikes(kind), self.note,
        )  # fmt: skip
        self.broker.on_stored = self._on_stored
        self.venue = Venue(
            loop, _dice("venue", seed), EPOCH_NS, SYMBOLS, self.fate.strikes, self.note
        )
        self.market = MarketFeed(
            loop, _dice("market", seed), SYMBOLS, self.broker, self.venue, self.note
        )
        self.producer = Producer(
            loop,
            _dice("producer", seed),
            SYMBOLS,
            self.broker,
            self.market,
            self.venue,
            plan.end_ns,
        )
        self.dice = _dice("world", seed)
        self.last_approval: Stored | None = None
        self.last_command: Stored | None = None
        self._commands = 0
        self.executors = [self._executor("execution")]
        if plan.has_two_executors:
            self.executors.append(self._executor("execution-b"))
        self.risk = Node(self, "risk", "risk", RISK, _start_risk)
        self.signal = Node(self, "signal", "signal", SIGNAL, _start_signal)
        self.reconciler = Node(self, "reconciler", "reconciler", RECONCILER, _start_reconciler)
        self.nodes = [*self.executors, self.risk, self.signal, self.reconciler]
        for node in self.nodes:
            loop.after(self.dice.randrange(NS_PER_S), node.begin)

        for due_ns in FUNDING_NS:
            loop.after(due_ns, self.venue.fund)

    def _executor(self, name: str) -> Node:
        return Node(self, name, "execution", EXECUTION, _start_execution)

    def note(self, line: str) -> None:
        """Write a line of the story."""
        if self.story is not None:
            self.story.append(f"{self.loop.now_ns / 1e9:9.4f}  {line}")

    def begin_later(self, node: Node) -> None:
        """A supervisor starts a process again."""
        self.loop.after(self.dice.randrange(*RESTART_NS), node.begin)

    # -- what is stored --------------------------------------------------------------------------

    def _on_stored(self, message: Stored) -> None:
        subject = message.subject
        if subject == JOURNAL_SUBJECT:
            self.journal.append(message)
            self._follow(message)
        elif subject.startswith("intent.") and not self._is_forging:
            self._note_intent(message)
        elif subject.startswith("command."):
            self.last_command = message

    @contextmanager
    def forging(self) -> Iterator[None]:
        """What is stored meanwhile nobody entitled to it has said."""
        self._is_forging = True
        try:
            yield
        finally:
            self._is_forging = False

    def _note_intent(self, message: Stored) -> None:
        stage = message.subject.split(".")[1]
        self.intents[stage] += 1
        seen = {"proposed": self.proposed, "verdict": self.judged, "approved": self.approved}
        if stage in seen:
            intent_id = intent_of(message.data)
            if stage == "verdict" and intent_id in self.judged:
                self.contradictions.append(f"I2 intent {intent_id} was judged twice")
            seen[stage][intent_id] = None
        if stage == "proposed":
            self._note_cause(message)
        if stage == "approved":
            self.last_approval = message
            self._in_flight_now(APPROVED)

    def _note_cause(self, message: Stored) -> None:
        """A strategy wishes for one thing per candle, however often it is started anew."""
        intent = msgspec.json.decode(message.data)["intent"]
        cause = (intent["strategy_id"], intent["symbol"], intent["candle_id"])
        if self.causes.setdefault(cause, intent["intent_id"]) != intent["intent_id"]:
            self.contradictions.append(f"I1 {cause} led to two intents")

    def _follow(self, message: Stored) -> None:
        for told in _RECORD.decode(message.data).events:
            if told.event == _IN_FLIGHT:
                self._check_hearing(told)
                self.in_flight[told.client_order_id] = None
                self._in_flight_now(RECORDED, told.writer)
            elif told.client_order_id in self.in_flight and told.event not in _STILL_IN_FLIGHT:
                del self.in_flight[told.client_order_id]
            if self.story is not None:
                self.note(f"journal {len(self.journal)}: {told.event} {told.client_order_id}")

    def _check_hearing(self, told: _Told) -> None:
        """An entry needs a mark and a word of the feed that its writer has heard lately."""
        writer = self._writer(told.writer)
        if writer is None or writer.bus is None or told.intent is None:
            return
        if told.intent.purpose != "ENTER":
            return
        for subject, since_ns in writer.bus.deaf_since_ns.items():
            if self.loop.now_ns - since_ns > DEAF_NS[subject]:
                self.contradictions.append(
                    f"I8 entry {told.client_order_id} was recorded by {told.writer}, which heard"
                    f" nothing on {subject} for too long"
                )

    def _writer(self, key: str) -> Node | None:
        """The executor that goes by this name in the journal, if it still lives."""
        return next((node for node in self.executors if node.life and node.life.key == key), None)

    def _in_flight_now(self, moment: str, writer: str = "") -> None:
        fault = self.fate.next_waiting(moment)
        if fault is None:
            return
        node = self.blows.target(fault)
        if node in self.executors and writer:  # whoever recorded it is in the middle of it
            node = self._writer(writer) or node
        life = node.life if node is not None else None
        if life is None:
            self.loop.after(fault.in_flight * FLIGHT_STEP_NS, self.fate.deal, fault, node)
        else:
            life.fuse = fault.in_flight
            life.on_fuse = partial(self.fate.deal, fault, node)

    def say_command(self, verb: Verb, actor: str) -> None:
        """An operator speaks."""
        if not self.broker.can_store:
            self.loop.after(NS_PER_S // 2, self.say_command, verb, actor)
            return
        self._commands += 1
        now_ns = EPOCH_NS + self.loop.now_ns
        identity = f"command-{verb}-{self._commands}"
        command = Command(
            message_id=identity,
            causation_id=identity,
            correlation_id=identity,
            ts_event_ns=now_ns,
            ts_published_ns=now_ns,
            source="operator",
            account=ACCOUNT,
            verb=verb,
            actor=actor,
            reason="the simulation wants it",
        )
        self.note(f"operator says {verb}")
        self.broker.store(subjects.command(ACCOUNT, verb), encode(command), identity)

    # -- the end of the faults -------------------------------------------------------------------

    def calm_down(self) -> None:
        """Faults stop; what is broken is mended, and no new intents are made."""
        self.note("the faults are over")
        self.venue.cancel_by_hand()
        self.fate.stop()
        self.broker.come_back()
        self.broker.is_full = False
        self.market.is_candles_on = False
        self.market.silent_until_ns = 0
        for series in self.market.series.values():
            series.frozen_marks_until_ns = series.frozen_quotes_until_ns = series.crash_left = 0
            series.doubted_until_ns = 0
        for node in self.nodes:
            node.mend_everything()
        self.broker.recover()


def _dice(purpose: str, seed: int) -> Random:
    return Random(f"{purpose}-{seed}")  # noqa: S311 - repeatable, not secret


async def _start_execution(node: Node, context: Context[Any], life: Life) -> None:
    world = node.world
    client = SimVenueClient(
        world.venue, life, context.clock,
        key=DEMO_TRADE_KEY, secret=DEMO_TRADE_SECRET, limits=LIMITS,
    )  # fmt: skip

    async def connect(url: str, on_frame: Any, on_close: Any, **_: int) -> Any:
        return await world.venue.sockets.connect(life, url, on_frame, on_close)

    shell = Execution(
        context,
        client,
        APPROVAL_KEY.encode(),
        connect_stream=connect,
        dice=_dice(f"{node.name}-{life.number}", world.plan.seed),
        writer=life.key,
    )
    node.shell = shell
    context.status = shell.status
    await shell.start()


async def _start_risk(node: Node, context: Context[Any], _: Life) -> None:
    node.shell = RiskShell(context)
    await node.shell.start()


async def _start_signal(node: Node, context: Context[Any], _: Life) -> None:
    node.shell = SignalShell(context)
    await node.shell.start()


async def _start_reconciler(node: Node, context: Context[Any], life: Life) -> None:
    client = SimVenueClient(
        node.world.venue, life, context.clock,
        key=DEMO_READ_KEY, secret=DEMO_READ_SECRET, limits=LIMITS,
    )  # fmt: skip
    node.shell = Reconciler(context, client)
    await node.shell.start()
