"""Asks the venue what became of stops and targets, and judges its answers.

The query of one trails the venue's own writes by seconds, both ways: a fresh one is not found, and
a cancelled one still waits. The list of open ones does not trail, so what it shows is believed, and
absence counts only once a late arrival is impossible: then both, and the list of all, are asked.
"""

from collections.abc import Awaitable, Callable, Iterable

from libs.common.messages.algo_events import AlgoOrderUpdated
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.money import ZERO
from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.payloads import VenueAlgoOrder
from services.execution.algo_words import read_algo_order
from services.execution.config import ExecutionConfig
from services.execution.core import absence_is_provable
from services.execution.gate import Gate
from services.execution.orders import OrderDesk
from services.execution.state import AlgoOrderState
from services.execution.traces import EVIDENCE_MARGIN_MS


class Evidence:
    """What the venue was asked of our stops and targets.

    Attributes:
        unlisted: those of unknown fate that the venue did not list when it was last asked.
    """

    def __init__(
        self,
        gate: Gate,
        venue: VenueClient,
        orders: OrderDesk,
        clock: Clock,
        settings: ExecutionConfig,
        journal: Callable[[AlgoOrderUpdated], Awaitable[None]],
    ) -> None:
        self._gate = gate
        self._venue = venue
        self._orders = orders
        self._clock = clock
        self._settings = settings
        self._journal = journal
        self._looked_at_ns = 0
        self._checked_at_ns = 0
        self.unlisted: frozenset[str] = frozenset()

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again."""
        interval_ns = self._settings.query_interval_ms * NS_PER_MS
        return abs(self._clock.now_ns() - self._looked_at_ns) >= interval_ns

    async def look_if_due(self) -> None:
        """Look after what is in doubt or overdue; now and then after everything that lives.

        Raises:
            VenueReadError: the venue did not answer.
            BusError: an answer could not be journaled.
        """
        if not self.is_due:
            return
        now_ns, settings = self._clock.now_ns(), self._settings
        self._looked_at_ns = now_ns
        alive = self._gate.state.open_algo_orders()
        chosen = [algo for algo in alive if self._is_doubtful(algo)]
        overdue_ns = now_ns - settings.fill_wait_ms * NS_PER_MS
        chosen += [
            algo for algo in alive if algo.status.has_triggered and algo.changed_at_ns <= overdue_ns
        ]
        if abs(now_ns - self._checked_at_ns) >= settings.protection_check_ms * NS_PER_MS:
            self._checked_at_ns = now_ns
            chosen = alive
        await self.look(chosen)
        await self._fetch_fills_of_triggered(overdue_ns)

    def _is_doubtful(self, algo: AlgoOrderState) -> bool:
        """Whether nobody here waits for its answer: another's may be asked after, too."""
        is_ours = algo.writer == self._gate.writer
        return algo.status is AlgoStatus.UNKNOWN or (algo.is_in_doubt and not is_ours)

    async def look(self, algos: Iterable[AlgoOrderState]) -> None:
        """Ask the venue after these, and journal what it says.

        Raises:
            VenueReadError: the venue did not answer.
            BusError: an answer could not be journaled.
        """
        by_symbol: dict[str, list[AlgoOrderState]] = {}
        for algo in algos:
            if self._is_doubtful(algo) or not algo.is_in_doubt:
                by_symbol.setdefault(algo.symbol, []).append(algo)
        for symbol, wanted in sorted(by_symbol.items()):
            listed = {
                found.client_algo_id: found for found in await self._venue.open_algo_orders(symbol)
            }
            for algo in wanted:
                await self._judge(algo, listed.get(algo.client_algo_id))
        doubtful = {
            algo.client_algo_id for algo in self._gate.state.open_algo_orders() if algo.is_in_doubt
        }
        self.unlisted &= doubtful

    async def _judge(self, algo: AlgoOrderState, listed: VenueAlgoOrder | None) -> None:
        if listed is not None:
            self.unlisted -= {algo.client_algo_id}
            await self._tell(listed)
            return
        found = await self._venue.query_algo_order(algo.client_algo_id)
        if found is not None and not self._is_stale(algo, found):
            await self._tell(found)
            return
        if algo.is_in_doubt:
            self.unlisted |= {algo.client_algo_id}
        if found is None:
            await self._prove_absence(algo)

    def _is_stale(self, algo: AlgoOrderState, found: VenueAlgoOrder) -> bool:
        """ "NEW" of one that the list does not show is the past: it has just been canceled."""
        age_ms = self._venue.timestamp_ms() - algo.timestamp_ms
        is_young = age_ms <= self._settings.query_lag_ms
        return found.status == "NEW" and (algo.cancel_requested or is_young)

    async def _prove_absence(self, algo: AlgoOrderState) -> None:
        provable_ms = absence_is_provable(
            algo.timestamp_ms, algo.recv_window_ms, self._settings.query_lag_ms
        )
        # Ours may have jumped ahead: it is the venue's own clock that refuses late arrivals.
        if self._venue.timestamp_ms() <= provable_ms:
            return
        if await self._venue.server_time() <= provable_ms:
            return
        start_ms = algo.timestamp_ms - EVIDENCE_MARGIN_MS
        for found in await self._venue.all_algo_orders(algo.symbol, start_ms=start_ms):
            if found.client_algo_id == algo.client_algo_id:
                await self._tell(found)
                return
        status = AlgoStatus.NOT_PLACED if algo.is_in_doubt else AlgoStatus.CANCELED
        await self._journal(
            AlgoOrderUpdated(
                client_algo_id=algo.client_algo_id,
                status=status,
                why=f"after {provable_ms} the venue lists it nowhere",
            )
        )

    async def _tell(self, found: VenueAlgoOrder) -> None:
        update = read_algo_order(found)
        if update is not None:
            await self._journal(update)

    async def _fetch_fills_of_triggered(self, overdue_ns: int) -> None:
        """Fills of the order born by a trigger are nobody's to miss: ask where they are overdue."""
        state = self._gate.state
        symbols = {
            algo.symbol
            for algo in state.algo_orders.values()
            if algo.status.has_triggered
            and not algo.is_spent
            and algo.changed_at_ns <= overdue_ns
            and any(
                order.intent_id == algo.intent_id and order.exposure > ZERO
                for order in state.orders.values()
            )
        }
        for symbol in sorted(symbols):
            await self._orders.fetch_fills(symbol)
