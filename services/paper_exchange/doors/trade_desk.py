"""The one way into the exchange for HTTP and WebSocket alike: faults, the core, the record.

A request is struck by a fault or not, carried out by the core or not, written down, and its user
events are carried to whoever listens. What comes back is what the sender is to be told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from libs.common.runtime.log import get_logger
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.core import ENDPOINTS, Answer, Request, answer
from services.paper_exchange.doors.doorkeeper import order_count_headers
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.request_log import LoggedRequest, RequestLog
from services.paper_exchange.exchange import NS_PER_MS, Exchange
from services.paper_exchange.faults.effects import (
    DROPPED_EFFECTS,
    LATE_EFFECTS,
    NOT_EXECUTED,
    Effect,
    Told,
    told_instead,
)
from services.paper_exchange.faults.event_faults import EventFaults
from services.paper_exchange.faults.rules import FaultRule, Faults
from services.paper_exchange.wire.authentication import Security
from services.paper_exchange.wire.signing import SignedForm

_log = get_logger(__name__)
_CLIENT_IDS = ("newClientOrderId", "origClientOrderId", "clientAlgoId")


class TradeDesk:
    """Serves requests to the endpoints of `core.ENDPOINTS`; counts and logs what happens."""

    def __init__(
        self,
        exchange: Exchange,
        clock: MarketClock,
        hub: Hub,
        faults: Faults,
        event_faults: EventFaults,
        log: RequestLog,
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self._hub = hub
        self._faults = faults
        self._event_faults = event_faults
        self._log = log
        self._latecomers: set[asyncio.Task[Answer]] = set()
        #: Called before anybody is told of a change; with True where a request made one.
        self.keep: Callable[[bool], None] = lambda _: None
        self.answered: Counter[tuple[str, str, int]] = Counter()
        self.signed_forms: Counter[str] = Counter({form.value: 0 for form in SignedForm})

    async def serve(self, asked: Request, address: str) -> Told | None:
        """Carry a request out, or let it suffer the fault that strikes it; None drops it."""
        fault = self.strike(asked)
        if fault is None:
            return self.carry_out(asked)
        return await self.suffer(asked, address, fault)

    def strike(self, asked: Request) -> FaultRule | None:
        """The fault that strikes a request, if any; to be asked once for each."""
        if not self._faults.has_rules:
            return None
        return self._faults.strike(f"{asked.method} {asked.path}", asked.parameters.values)

    def carry_out(self, asked: Request) -> Told:
        """Answer a request that no fault struck."""
        now_ns = self.clock.now_ns()
        found = self._execute(asked, None, now_ns)
        return Told(found.status, found.body, _order_counts(asked, found, now_ns))

    def deliver_events(self, now_ns: int | None = None) -> None:
        """Carry the events said since the last call, public and private, to whoever listens.

        Whom something concerned that no request did, such as a script, is looked at first.
        """
        if self.exchange.risk.unsettled:
            self.exchange.settle_risk(self.clock.now_ns() if now_ns is None else now_ns)
        self.keep(False)
        for stream, payload in self.exchange.announcements:
            self._hub.publish(stream, payload)
        self.exchange.announcements.clear()
        outbox, event_faults = self.exchange.outbox, self._event_faults
        if not outbox and not event_faults.is_holding:
            return
        now_ns = self.clock.now_ns() if now_ns is None else now_ns
        for listen_key, event in event_faults.pass_on(outbox, now_ns):
            self._hub.publish_user(listen_key, event)
        outbox.clear()

    async def suffer(self, asked: Request, address: str, fault: FaultRule) -> Told | None:
        """Let a request suffer its fault; None where its sender is to hear nothing."""
        effect = fault.effect
        if effect in LATE_EFFECTS:
            arriving = asyncio.create_task(self._arrive_late(asked, fault))
            self._latecomers.add(arriving)
            arriving.add_done_callback(self._latecomers.discard)
            if effect in DROPPED_EFFECTS:
                return None
            found = await asyncio.shield(arriving)  # it arrives whoever waits for it
        else:
            found = self._execute(asked, fault, self.clock.now_ns())
        if effect is Effect.DELAY:
            await asyncio.sleep(fault.delay_ms / 1_000)
        now_ns = self.clock.now_ns()
        told = told_instead(
            effect, found, now_ns, stay_away_ms=fault.delay_ms, address=address,
            code=fault.code or 0,
        )  # fmt: skip
        if told is None or told.headers or not fault.carries_out:
            return told
        return told._replace(headers=_order_counts(asked, found, now_ns))

    async def _arrive_late(self, asked: Request, fault: FaultRule) -> Answer:
        admitted_ns = self.clock.now_ns()
        await self.clock.sleep_until(admitted_ns + fault.delay_ms * NS_PER_MS)
        return self._execute(asked, fault, self.clock.now_ns(), admitted_ns)

    def _execute(
        self,
        asked: Request,
        fault: FaultRule | None,
        now_ns: int,
        admitted_ns: int | None = None,
    ) -> Answer:
        """Have the core answer unless the fault forbids it, and write down what came of it."""
        if fault is not None and not fault.carries_out:
            self._write_down(asked, NOT_EXECUTED, fault, now_ns)
            return NOT_EXECUTED
        found = answer(self.exchange, asked, now_ns, admitted_ns)
        if asked.method != "GET":
            self.keep(True)
        self.deliver_events(now_ns)
        if found.signed_form is not None:
            self._count_signature(asked, found.signed_form)
        self.answered[asked.method, asked.path, found.status] += 1
        self._write_down(asked, found, fault, now_ns)
        return found

    def _count_signature(self, asked: Request, form: SignedForm) -> None:
        """Count what signatures cover, and name the requests that a strict venue would refuse."""
        self.signed_forms[form.value] += 1
        if form is SignedForm.DECODED:
            _log.info("decoded_signature", method=asked.method, path=asked.path)

    def _write_down(
        self, asked: Request, found: Answer, fault: FaultRule | None, now_ns: int
    ) -> None:
        if ENDPOINTS[asked.method, asked.path].security is not Security.TRADE:
            return
        if found is NOT_EXECUTED:
            outcome = "not_executed"
        else:
            outcome = "accepted" if found.status == 200 else "refused"
        values = asked.parameters.values
        body = found.body if isinstance(found.body, dict) else {}
        order_id = body.get("orderId", body.get("algoId", 0))
        self._log.add(
            LoggedRequest(
                sequence=self._log.next_sequence,
                ts_ns=now_ns,
                method=asked.method,
                path=asked.path,
                account_id="" if found.account is None else found.account.account_id,
                symbol=values.get("symbol", ""),
                client_order_id=_client_id_of(values),
                outcome=outcome,
                status=found.status,
                code=found.code,
                order_id=order_id if isinstance(order_id, int) else 0,
                told="answered" if fault is None else fault.effect.value,
            )
        )


def _order_counts(asked: Request, found: Answer, now_ns: int) -> Mapping[str, str]:
    if found.account is None or not ENDPOINTS[asked.method, asked.path].counts_orders:
        return {}
    return order_count_headers(found.account, now_ns)


def _client_id_of(values: Mapping[str, str]) -> str:
    """The customer's own id of the order that a request is about."""
    return next((values[name] for name in _CLIENT_IDS if name in values), "")
