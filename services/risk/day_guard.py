"""Asks execution to reduce when the day has cost too much: once a day, until a person resumes.

The check refuses entries by itself for the rest of the day. The request makes it visible to all,
holds over risk's own restarts and over midnight, and is journaled with its reason. Its key names
the day, so that after a person has resumed it is not made again.
"""

from collections.abc import Callable

from libs.common.messages import subjects
from libs.common.messages.account import AccountState, Command, Verb
from libs.common.messages.codec import encode
from libs.common.model.money import plain
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from services.risk.config import LimitsConfig
from services.risk.facts import daily_loss
from services.risk.limits import in_force

log = get_logger(__name__)

NAME = "risk"


def reduction(limits: LimitsConfig, account: AccountState, wall_ns: int) -> Command | None:
    """The request that the account's day asks for; ``None`` where it asks for none."""
    loss, day = daily_loss(account), account.pnl_day
    is_breached = loss is not None and loss >= limits.daily_loss_max
    if day is None or loss is None or not is_breached:
        return None
    if account.trading_state is not TradingState.ACTIVE:
        return None
    key = f"day-loss-{account.account}-{day.day_start_ns}"
    return Command(
        message_id=key,
        causation_id=account.message_id,
        correlation_id=key,
        ts_event_ns=account.ts_event_ns,
        ts_published_ns=wall_ns,
        source=NAME,
        account=account.account,
        verb=Verb.REDUCE,
        actor=NAME,
        reason=f"the day cost {plain(loss)}, limit {plain(limits.daily_loss_max)}",
        idempotency_key=key,
    )


class DayGuard:
    """Makes the request once; a broker that is away is asked again with the next word."""

    def __init__(self, bus: Bus, limits: LimitsConfig, wall_ns: Callable[[], int]) -> None:
        self._bus = bus
        self._limits = limits
        self._wall_ns = wall_ns
        self._asked = ""

    async def hear(self, account: AccountState) -> None:
        """Look at what execution says of the day."""
        limits = in_force(self._limits, account.limits.limits)
        command = reduction(limits, account, self._wall_ns())
        if command is None or command.message_id == self._asked:
            return
        try:
            await self._bus.publish_stored(
                subjects.command(command.account, command.verb),
                encode(command),
                message_id=command.message_id,
            )
        except BusError as error:
            log.warning("reduction not asked for", why=command.reason, error=str(error))
            return
        self._asked = command.message_id
        log.error("reduction asked for", why=command.reason)
