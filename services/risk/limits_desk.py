"""Lets people set limits while risk runs: never above the configuration's, and journaled first.

Risk knows what its configuration allows, execution keeps the journal. So a change is judged here,
asked of execution as a command, journaled there, and in force once execution tells it, here and in
every other process alike.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.account import AccountState, Command, Verb
from libs.common.messages.codec import encode
from libs.common.messages.limit_events import LimitsChange, LimitsInForce
from libs.common.model.risk_limits import (
    NAMES,
    RiskLimits,
    Value,
    changed,
    fault_of,
    looser_names,
)
from libs.common.runtime.clock import monotonic_ns, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.http_problem import Problem
from libs.common.runtime.http_tokens import Holder, Scope
from libs.common.runtime.service import Context
from services.risk.config import RiskConfig
from services.risk.core import Board
from services.risk.limits import in_force, of_file

ANSWER_WAIT_S = 5.0
POLL_S = 0.02

Body = dict[str, Any]


class LimitsDesk:
    """Shows the limits, and has them changed."""

    def __init__(
        self, context: Context[RiskConfig], board: Board, make_key: Callable[[], str]
    ) -> None:
        self._context = context
        self._board = board
        self._make_key = make_key
        self._file = of_file(context.settings.limits)

    def show(self) -> Body:
        """Every limit: configured, set by people, in force."""
        told = self._told()
        force = in_force(self._context.settings.limits, told.limits)
        return {
            "account": self._context.common.account,
            "config_hash": self._context.config_hash,
            "change": told.change,
            "actor": told.actor,
            "reason": told.reason,
            "set_at_ns": told.set_at_ns,
            "limits": [
                {
                    "name": name,
                    "file": _plain(getattr(self._file, name)),
                    "set": _plain(getattr(told.limits, name)),
                    "in_force": _plain(getattr(force, name)),
                }
                for name in NAMES
            ],
        }

    async def ask(
        self,
        wanted: RiskLimits,
        released: tuple[str, ...],
        holder: Holder,
        actor: str,
        reason: str,
        key: str,
    ) -> Body:
        """Have limits changed; returns once they are in force here.

        Raises:
            Problem: it is impossible, above the configuration, beyond the token's scope, or it is
                not known whether it was done.
        """
        told = self._told()
        after = changed(told.limits, wanted, released)
        self._judge(wanted, told.limits, after, holder)
        key = key or self._make_key()
        if key not in told.keys:
            change = LimitsChange(
                limits=wanted,
                released=released,
                may_loosen=_may_loosen(holder),
                file=self._file,
                config_hash=self._context.config_hash,
            )
            await self._publish(self._command(change, actor, reason, key))
            told = await self._wait_for(key)
        asked = (*wanted.named(), *released)
        if any(getattr(told.limits, name) != getattr(after, name) for name in asked):
            raise Problem(409, "overtaken", "the limits are others than asked for: look, ask again")
        return {**self.show(), "idempotency_key": key}

    def _told(self) -> LimitsInForce:
        """What people have set, as far as execution is heard.

        Raises:
            Problem: it is not heard, or the time is not known; nothing is approved then either.
        """
        if not self._context.clock.is_set:
            raise Problem(503, "starting", "the venue's time has not come through feed yet")
        account, silence_ns = self._board.account, monotonic_ns() - self._board.account_heard_ns
        limit_ns = self._context.settings.limits.account_silence_ms_max * 1_000_000
        if account is None or silence_ns > limit_ns:
            raise Problem(503, "account-silent", "execution does not tell how the account stands")
        return account.limits

    def _judge(
        self, wanted: RiskLimits, before: RiskLimits, after: RiskLimits, holder: Holder
    ) -> None:
        fault = fault_of(wanted)
        if fault:
            raise Problem(422, "invalid-request", fault)
        beyond = [name for name in looser_names(wanted, self._file) if name in wanted.named()]
        if beyond:
            asked, allowed = wanted.named(), self._file.named()
            told = "; ".join(
                f"{name} {_text(asked[name])} is more than {_text(allowed[name])}"
                for name in beyond
            )
            raise Problem(
                422, "beyond-configuration", f"{told}, which risk.limits of the file allows at most"
            )
        looser = looser_names(after, before)
        if looser and not _may_loosen(holder):
            raise Problem(
                403, "scope", f"to loosen {', '.join(looser)} needs a token of scope {Scope.ADMIN}"
            )

    def _command(self, change: LimitsChange, actor: str, reason: str, key: str) -> Command:
        context = self._context
        return Command(
            message_id=key,
            causation_id=key,
            correlation_id=key,
            ts_event_ns=context.clock.now_ns(),
            ts_published_ns=wall_ns(),
            source=context.name,
            account=context.common.account,
            verb=Verb.LIMITS,
            actor=actor,
            reason=reason,
            idempotency_key=key,
            limits=change,
        )

    async def _publish(self, command: Command) -> None:
        try:
            await self._context.bus.publish_stored(
                subjects.command(command.account, command.verb),
                encode(command),
                message_id=command.message_id,
            )
        except BusError as error:
            raise Problem(
                503,
                "journal-away",
                f"not known to be done: {error}. Ask again with the same Idempotency-Key",
            ) from None

    async def _wait_for(self, key: str) -> LimitsInForce:
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                while (account := self._board.account) is None or not _is_done(account, key):
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Problem(
                504,
                "not-told",
                "execution has not said that it is journaled: look at the limits, and ask again"
                " with the same Idempotency-Key",
            ) from None
        return account.limits


def _may_loosen(holder: Holder) -> bool:
    return holder.scope.includes(Scope.ADMIN)


def _is_done(account: AccountState, key: str) -> bool:
    return key in account.limits.keys


def _plain(value: Value | None) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _text(value: Value) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else f"{value}"
