"""Does what is asked over HTTP, once per key, and answers from the journal alone.

The answer to a command is made of the record that ordered it (and, for a kill, of its proof), so
that asking again with the same key gives the same answer, by whichever process, after any restart.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import KillProven, OperatorActed
from libs.common.messages.codec import UndecodableError, decode
from libs.common.messages.guard_events import GuardCleared
from libs.common.messages.intents import IntentVerdict
from libs.common.messages.journal import JournalRecord, TradingStateChanged
from libs.common.model.ids import check_intent_id
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, Clock, wall_ns
from libs.common.runtime.errors import BusError, BusUnavailable
from libs.common.runtime.http_problem import Problem
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient
from services.execution import admin_view
from services.execution.admin_core import WANTED, fault_of
from services.execution.admin_fold import KILLS
from services.execution.commands import CommandDesk, CommandRefused
from services.execution.config import ExecutionConfig
from services.execution.gate import Gate
from services.execution.history import Wanted
from services.execution.history_pages import read_page
from services.execution.kill import KillDesk
from services.execution.kill_local import LocalHalt
from services.execution.lookout import Lookout
from services.execution.story import Storyteller, StoryTooLong

log = get_logger(__name__)

#: Beyond the time a kill is given: to journal its end.
KILL_ANSWER_WAIT_S = 5.0
INTENTS_LISTED_MAX = 200
_HALTING = (Verb.HALT, Verb.CANCEL_ALL)

Body = dict[str, Any]


class AdminDesk:
    """What operators ask of one account, and what they are shown of it."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        account: str,
        gate: Gate,
        lookout: Lookout,
        venue: VenueClient,
        commands: CommandDesk,
        kill: KillDesk,
        local_halt: LocalHalt,
        settings: ExecutionConfig,
        symbols: tuple[str, ...],
        make_key: Callable[[], str],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._account = account
        self._gate = gate
        self._lookout = lookout
        self._venue = venue
        self._commands = commands
        self._kill = kill
        self._local_halt = local_halt
        self._settings = settings
        self._symbols = symbols
        self._make_key = make_key
        self._stories = Storyteller(bus, account)
        self._asking: set[str] = set()
        self.is_open = False

    # -- commands --------------------------------------------------------------------------------

    async def ask(
        self, verb: Verb, actor: str, reason: str, target: str = "", key: str = ""
    ) -> tuple[int, Body]:
        """Do it, unless the key was honoured before; returns the HTTP status and the answer.

        Raises:
            Problem: it is malformed, refused, not done in time or could not be journaled.
        """
        if not self.is_open:
            return self._without_journal(verb, actor, reason, "the journal is not read yet")
        key = key or self._make_key()
        command = self._command(verb, actor, reason, target, key)
        fault = fault_of(command)
        if fault:
            raise Problem(422, "invalid-request", fault)
        if key in self._asking:
            raise Problem(409, "under-way", "a request with this Idempotency-Key is under way")
        self._asking.add(key)
        closing = f"{verb} {key} asked"
        if verb in _HALTING:  # nothing leaves from here on, however slow the broker is to answer
            self._lookout.closing.add(closing)
        try:
            return await self._do(command)
        except BusError as error:
            return self._without_journal(verb, actor, reason, str(error))
        finally:
            self._asking.discard(key)
            self._lookout.closing.discard(closing)

    def _command(self, verb: Verb, actor: str, reason: str, target: str, key: str) -> Command:
        return Command(
            message_id=key,
            causation_id=key,
            correlation_id=key,
            ts_event_ns=self._clock.now_ns(),
            ts_published_ns=wall_ns(),
            source="http",
            account=self._account,
            verb=verb,
            actor=actor,
            reason=reason,
            target=target,
            idempotency_key=key,
        )

    async def _do(self, command: Command) -> tuple[int, Body]:
        key = command.idempotency_key
        await self._gate.catch_up()
        if key not in self._gate.state.operator_keys:
            try:
                await self._commands.obey(command, await self._sequence(command))
            except CommandRefused as error:
                raise Problem(409, "refused", str(error)) from None
        if key not in self._gate.state.operator_keys:
            raise Problem(409, "overtaken", "another command came first: look, and ask again")
        if command.verb in KILLS:
            await self._wait_for_kill(key)
        return 200, await self._answer(command)

    async def _sequence(self, command: Command) -> int:
        """The place from which what was said before on the bus, and comes late, does not count.

        Only for what tightens: it outranks every command already stored. What loosens is judged by
        the present state alone.
        """
        state = self._gate.state.trading_state
        wanted = WANTED.get(command.verb)
        tightens = wanted is TradingState.HALTED or (
            wanted is TradingState.REDUCING and state is TradingState.ACTIVE
        )
        return await self._bus.last_sequence(subjects.COMMANDS_STREAM) if tightens else 0

    def _without_journal(self, verb: Verb, actor: str, reason: str, why: str) -> tuple[int, Body]:
        """The broker is away. A halt holds all the same, in this process; nothing else is done."""
        if verb not in _HALTING:
            raise Problem(
                503,
                "journal-away",
                f"not known to be done, because it is not journaled: {why}."
                " Ask again with the same Idempotency-Key",
            )
        self._local_halt.hold(actor, reason)
        log.warning("halted without the journal", actor=actor, why=why)
        if verb is Verb.CANCEL_ALL:
            raise Problem(
                503,
                "journal-away",
                "halted in this process, but nothing was canceled: that is journaled first."
                f" Ask again with the same Idempotency-Key ({why})",
            )
        note = "this process sends nothing; it is journaled as soon as the broker is back"
        return 202, {"verb": verb, "actor": actor, "reason": reason, "note": f"{note} ({why})"}

    async def _wait_for_kill(self, key: str) -> None:
        wait_s = self._settings.kill_wait_ms / 1000 + KILL_ANSWER_WAIT_S
        try:
            async with asyncio.timeout(wait_s):
                await self._kill.wait(key)
                while key in self._gate.state.kills:  # another replica carries it out
                    await asyncio.sleep(self._settings.tick_wall_ms / 1000)
        except TimeoutError:
            raise Problem(
                504, "kill-incomplete", f"not ended within {wait_s:.0f} s; look at /readyz"
            ) from None

    async def _answer(self, command: Command) -> Body:
        """What the journal says of a command.

        Raises:
            Problem: the key was another request's, or the kill left something behind.
        """
        key = command.idempotency_key
        proven: KillProven | None = None
        try:
            async for record in self._stories.since(self._gate.state.operator_keys[key]):
                for event in record.events:
                    if isinstance(event, KillProven) and event.key == key:
                        proven = event
                    elif isinstance(event, OperatorActed) and event.key == key:
                        return _answer_of(command, event, record, proven)
        except UndecodableError as error:
            raise Problem(500, "journal", str(error)) from None
        raise Problem(500, "journal", "the record of this command was not found")

    # -- reads -----------------------------------------------------------------------------------

    def guards(self) -> Body:
        """Every guard, with what it has left."""
        now_ns = self._now_ns()
        return {
            "account": self._account,
            "now_ns": now_ns,
            "unarmed": list(self._lookout.facts("").unarmed),
            "closing": sorted(self._lookout.closing),
            "guards": [
                *admin_view.guard_rows(self._settings, self._gate.state, now_ns),
                *admin_view.health_rows(
                    self._settings, {name: self._lookout.health(name) for name in self._symbols}
                ),
            ],
        }

    def orders(self) -> Body:
        """Orders that have not ended."""
        return {"orders": admin_view.order_rows(self._gate.state, self._now_ns())}

    def algo_orders(self) -> Body:
        """Stops and targets that have not ended."""
        return {"algo_orders": admin_view.algo_order_rows(self._gate.state, self._now_ns())}

    def positions(self) -> Body:
        """Positions as the journal knows them."""
        state, marks = self._gate.state, self._lookout.marks
        return {"positions": admin_view.position_rows(state, marks, self._now_ns())}

    async def history(self, wanted: Wanted, before: str, limit: int) -> Body:
        """Changes of positions and wallet with their causes, newest first, a page at a time.

        Raises:
            Problem: the journal could not be read.
        """
        try:
            return await read_page(self._stories, self._gate.state, wanted, before, limit)
        except UndecodableError as error:
            raise Problem(500, "journal", str(error)) from None
        except BusUnavailable as error:
            raise Problem(503, "journal-away", str(error)) from None

    def pnl(self, days_max: int) -> Body:
        """Profit and loss of the newest days, exact and apart by asset."""
        state = self._gate.state
        return {"quote_asset": state.quote_asset, "pnl": admin_view.pnl_rows(state, days_max)}

    def figures(self) -> Body:
        """How well each strategy trades."""
        window_ms = self._settings.figures_window_ms
        since_ns = self._now_ns() - window_ms * NS_PER_MS
        return {
            "window_ms": window_ms,
            "figures": admin_view.figure_rows(self._gate.state, since_ns),
        }

    def budget(self) -> Body:
        """What the venue's limits leave, and what it forbade."""
        venue_ms = self._venue.timestamp_ms()
        held = self._venue.latches.held(venue_ms)
        return {
            "venue_time_ms": venue_ms,
            "windows": self._venue.budget.describe(venue_ms),
            "latches": [
                {"kind": latch.kind, "remaining_s": (latch.until_ms - venue_ms) / 1000}
                for latch in held
            ],
        }

    def intents(self) -> Body:
        """The newest intents still remembered, newest first."""
        remembered = sorted(
            self._gate.state.intents.items(), key=lambda item: -item[1].decided_at_ns
        )
        orders = self._gate.state.orders
        return {
            "intents": [
                {
                    "intent_id": intent_id,
                    "decided_at_ns": memory.decided_at_ns,
                    "client_order_id": memory.client_order_id,
                    "outcome": memory.reason
                    or getattr(orders.get(memory.client_order_id), "status", "ENDED"),
                }
                for intent_id, memory in remembered[:INTENTS_LISTED_MAX]
            ]
        }

    async def story(self, intent_id: str) -> Body:
        """Everything the journal holds of an intent, in order, and risk's verdict on it.

        Raises:
            Problem: there is no such intent, or the journal could not be read.
        """
        try:
            check_intent_id(intent_id)
            stored = await self._bus.read_last(
                subjects.INTENTS_DONE_STREAM, subjects.intent_verdict(intent_id)
            )
            verdict = None
            if stored is not None and stored.data is not None:
                verdict = decode(stored.data, IntentVerdict)
            events = await self._stories.tell(intent_id, self._earliest(intent_id, verdict))
        except UndecodableError as error:
            raise Problem(500, "journal", str(error)) from None
        except ValueError as error:
            raise Problem(422, "invalid-request", str(error)) from None
        except StoryTooLong as error:
            raise Problem(504, "too-long", str(error)) from None
        except BusUnavailable as error:
            raise Problem(503, "journal-away", str(error)) from None
        if not events and not verdict:
            raise Problem(404, "not-found", "neither the journal nor risk knows this intent")
        return {
            "account": self._account,
            "intent_id": intent_id,
            "risk": None if verdict is None else _told_by_risk(verdict),
            "events": events,
        }

    def _earliest(self, intent_id: str, verdict: IntentVerdict | None) -> int:
        """When the intent can have come to the gate at the earliest; 0 if nobody knows any more."""
        if verdict is not None:
            return verdict.ts_event_ns
        memory = self._gate.state.intents.get(intent_id)
        return memory.decided_at_ns if memory is not None else 0

    def _now_ns(self) -> int:
        if not self._clock.is_set:
            raise Problem(503, "starting", "the time is not known yet")
        return self._clock.now_ns()


def _answer_of(
    command: Command, acted: OperatorActed, record: JournalRecord, proven: KillProven | None
) -> Body:
    asked = (acted.verb, acted.actor, acted.reason, acted.target)
    if asked != (command.verb, command.actor, command.reason, command.target):
        raise Problem(422, "key-reused", "this Idempotency-Key belongs to another request")
    answer: Body = {
        "verb": acted.verb,
        "actor": acted.actor,
        "reason": acted.reason,
        "target": acted.target,
        "idempotency_key": acted.key,
        "journal_number": record.number,
        "ts_event_ns": record.ts_event_ns,
        "trading_state": None,
    }
    for event in record.events:
        if isinstance(event, TradingStateChanged):
            answer["trading_state"] = event.state
        elif isinstance(event, GuardCleared):
            answer["cleared"] = event.guard
    if acted.verb == Verb.UNLOCK:
        answer.setdefault("cleared", None)
    if proven is None:
        return answer
    answer["kill"] = msgspec.to_builtins(proven)
    if not proven.is_complete:
        raise Problem(504, "kill-incomplete", f"left behind: {proven.remaining}", command=answer)
    return answer


def _told_by_risk(verdict: IntentVerdict) -> Body:
    """Risk's decision, without the code by which the gate knows it: that is for the gate alone."""
    approved, refused = verdict.approved, verdict.refused
    verdicts = approved.body.verdicts if approved is not None else ()
    if refused is not None:
        verdicts = refused.verdicts
    return {
        "ts_event_ns": verdict.ts_event_ns,
        "decision": "approved" if approved is not None else "refused",
        "reason": None if refused is None else refused.reason,
        "order": None if approved is None else msgspec.to_builtins(approved.body.order),
        "verdicts": msgspec.to_builtins(verdicts),
    }
