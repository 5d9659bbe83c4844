"""What the runner hears on the bus while a run goes on: the latest of everything it waits for."""

import asyncio
from collections.abc import Callable

from libs.common.messages import subjects
from libs.common.messages.account import AccountState, DeadLetter, ReconcileReport
from libs.common.messages.codec import UndecodableError, decode, decode_struct
from libs.common.messages.intents import ApprovedIntent, ProposedIntent, RefusedIntent
from libs.common.messages.journal import JournalRecord
from libs.common.messages.market import MarketClock, MarketHealth
from libs.common.runtime.bus import Bus, Handler
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

PROPOSALS_REMEMBERED_MAX = 1_000_000

Heard = (
    ProposedIntent
    | ApprovedIntent
    | RefusedIntent
    | JournalRecord
    | AccountState
    | ReconcileReport
    | DeadLetter
)


class Ear:
    """Subscribes to what the services say. ``listener`` gets each message, decoded, in order."""

    def __init__(self, bus: Bus, account: str, listener: Callable[[Heard], None]) -> None:
        self._bus = bus
        self._account = account
        self._listener = listener
        self._changed = asyncio.Event()
        self.clock: MarketClock | None = None
        self.health: MarketHealth | None = None
        self.state: AccountState | None = None
        self.report: ReconcileReport | None = None
        self.proposed_wall_ns: dict[str, int] = {}
        self.dead_letters = 0

    async def listen(self) -> None:
        """Subscribe to everything."""
        account = self._account
        for subject, hear in (
            (subjects.MARKET_CLOCK, self._on_clock),
            (subjects.MARKET_HEALTH, self._on_health),
            (subjects.account_state(account), self._on_state),
            (subjects.reconcile_report(account), self._on_report),
            (subjects.intent_proposed("*"), self._on_proposed),
            (subjects.intent_approved(account, "*"), self._pass_on(ApprovedIntent)),
            (subjects.intent_refused("*"), self._pass_on(RefusedIntent)),
            (subjects.journal(account), self._pass_on(JournalRecord)),
            (subjects.dead("*"), self._on_dead),
        ):
            await self._bus.subscribe(subject, self._guarded(hear))

    async def wait_until(self, condition: Callable[[], bool], timeout_ms: int) -> bool:
        """Wait for something heard to make the condition true; false when the time is over."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    def _guarded(self, hear: Callable[[bytes], None]) -> Handler:
        async def handler(subject: str, payload: bytes, _: dict[str, str]) -> None:
            try:
                hear(payload)
            except UndecodableError as error:
                log.warning("message unreadable", subject=subject, reason=str(error))
            self._changed.set()

        return handler

    def _pass_on(
        self, kind: type[ApprovedIntent] | type[RefusedIntent] | type[JournalRecord]
    ) -> Callable[[bytes], None]:
        return lambda payload: self._listener(decode_struct(payload, kind))

    def _on_clock(self, payload: bytes) -> None:
        self.clock = decode(payload, MarketClock)

    def _on_health(self, payload: bytes) -> None:
        self.health = decode(payload, MarketHealth)

    def _on_state(self, payload: bytes) -> None:
        self.state = decode(payload, AccountState)
        self._listener(self.state)

    def _on_report(self, payload: bytes) -> None:
        self.report = decode(payload, ReconcileReport)
        self._listener(self.report)

    def _on_proposed(self, payload: bytes) -> None:
        proposed = decode(payload, ProposedIntent)
        if len(self.proposed_wall_ns) < PROPOSALS_REMEMBERED_MAX:
            self.proposed_wall_ns.setdefault(proposed.intent.intent_id, proposed.ts_published_ns)
        self._listener(proposed)

    def _on_dead(self, payload: bytes) -> None:
        self.dead_letters += 1
        self._listener(decode(payload, DeadLetter))
