"""The stage: everything that can be made to happen to the venue, and the scenario under way.

`/sim` and scenarios set the stage by the same functions. `next_due_ns` is when the scenario goes
on; whoever lets market time pass calls `go_on` then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.stream_disturbance import StreamDisturbance
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.driver import Driver
from services.paper_exchange.faults.event_faults import EventFaults
from services.paper_exchange.faults.rules import Faults
from services.paper_exchange.faults.scenarios import (
    CrowdPart,
    FundingPart,
    PricePart,
    Scenario,
    ScenarioRun,
    Step,
)
from services.paper_exchange.market.market import Market
from services.paper_exchange.money.funding import settle_symbol_funding
from services.paper_exchange.money.settlement import SETTLED_STATUSES, settle_symbol
from services.paper_exchange.money.surprises import owner_trades
from services.paper_exchange.sources.price_overlay import FULL_PERCENT, PriceOverlay
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.wire.refusals import RefusalError

NEVER_NS: Final = 2**63
HALTED_STATUSES: Final = frozenset({"TRADING_HALT", "TRADING_CANCEL_ONLY", *SETTLED_STATUSES})
"""Statuses in which the source does not tell of a symbol: nobody trades it."""


class Stage:
    """Sets the stage of one venue; `happened` counts what scenarios did, by kind."""

    def __init__(
        self,
        desk: TradeDesk,
        hub: Hub,
        market: Market,
        driver: Driver,
        faults: Faults,
        event_faults: EventFaults,
        disturbance: StreamDisturbance,
    ) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._hub = hub
        self._market = market
        self._driver = driver
        self._faults = faults
        self._event_faults = event_faults
        self._disturbance = disturbance
        self._overlay: PriceOverlay | None = None
        self.run: ScenarioRun | None = None
        self.next_due_ns = NEVER_NS
        self.happened: Counter[str] = Counter()

    def start(self, scenario: Scenario) -> None:
        """Begin a scenario now, in place of the one under way, and do its first steps."""
        now_ns = self._desk.clock.now_ns()
        self.run = ScenarioRun(scenario, now_ns)
        self.go_on(now_ns)

    def stop(self) -> None:
        """End the scenario under way, and let rules, prices, rates and halts be as without it."""
        if self.run is None:
            return
        self.run, self.next_due_ns = None, NEVER_NS
        self._faults.set_rules([])
        self._event_faults.set_rules([])
        self._event_faults.stalled.clear()
        self._disturbance.set_rules([])
        self._exchange.funding_rates.overrides.clear()
        symbols = list(self._market.instruments)
        if self._overlay is not None:
            self._overlay.move(symbols, Decimal(0), 0, self._desk.clock.now_ns(), FULL_PERCENT)
        self.set_status(
            (
                name
                for name in symbols
                if self.status_of(name) in HALTED_STATUSES - SETTLED_STATUSES
            ),
            "TRADING",
        )

    def go_on(self, now_ns: int) -> None:
        """Do every step of the scenario that is due."""
        if self.run is None:
            return
        for step in self.run.take_due(now_ns):
            self._perform(step, now_ns)
        due_ns = self.run.next_due_ns
        self.next_due_ns = NEVER_NS if due_ns is None else due_ns
        self._desk.deliver_events()

    def status_of(self, symbol: str) -> str:
        """What may be done with a symbol now."""
        return self._market.instruments[symbol].status

    def set_status(self, symbols: Iterable[str], status: str) -> None:
        """Change what may be done with symbols; a settled one has no orders and positions left."""
        now_ns = self._desk.clock.now_ns()
        for symbol in list(symbols):
            self._market.set_status(symbol, status)
            self.overlay.halt(symbol, is_halted=status in HALTED_STATUSES)
            if status in SETTLED_STATUSES:
                self.happened["positions_settled"] += settle_symbol(self._exchange, symbol, now_ns)
        self._desk.deliver_events()

    def disturb_user_stream(self, account: Account, action: str) -> None:
        """Stall, resume, close or expire the user stream of an account that has one."""
        listen_key = account.listen_key
        if listen_key is None:
            return
        match action:
            case "stall":
                self._event_faults.stalled.add(listen_key)
            case "resume":
                self._event_faults.stalled.discard(listen_key)
            case "close":
                self._hub.disconnect_user(listen_key)
            case "expire":
                self._exchange.end_listen_key(account, self._desk.clock.now_ns())
                self._desk.deliver_events()

    @property
    def overlay(self) -> PriceOverlay:
        """The overlay of the source, in its way from the first time that somebody asks for it."""
        if self._overlay is None:
            self._overlay = PriceOverlay(self._market.instruments, self._market.book)
            self._driver.bend_events(self._overlay.bend)
        return self._overlay

    def _perform(self, step: Step, now_ns: int) -> None:
        for name in step.model_fields_set - {"at_ms"}:
            self.happened[name] += 1
        if step.faults is not None:
            self._faults.set_rules(step.faults)
        if step.event_faults is not None:
            self._event_faults.set_rules(step.event_faults)
        if step.stream_faults is not None:
            self._disturbance.set_rules(step.stream_faults)
        if step.conditions is not None:
            for name, value in step.conditions.model_dump(exclude_none=True).items():
                setattr(self._exchange.conditions, name, value)
        if step.user_streams is not None:
            for account in self._exchange.accounts.values():
                self.disturb_user_stream(account, step.user_streams)
        if step.close_sockets:
            self._hub.close_all()
        self._move_market(step, now_ns)

    def _move_market(self, step: Step, now_ns: int) -> None:
        if step.crowd is not None:
            self._gather(step.crowd, now_ns)
        if step.price is not None:
            self._move_prices(step.price, now_ns)
        if step.status is not None:
            self.set_status(self._named(step.status.symbols), step.status.status)
        if step.funding is not None:
            self._dictate_funding(step.funding, now_ns)

    def _move_prices(self, part: PricePart, now_ns: int) -> None:
        self.overlay.move(
            self._named(part.symbols),
            part.change_percent,
            part.over_ms,
            now_ns,
            part.liquidity_percent,
        )

    def _dictate_funding(self, part: FundingPart, now_ns: int) -> None:
        overrides = self._exchange.funding_rates.overrides
        for symbol in self._named(part.symbols):
            if part.rate is None:
                overrides.pop(symbol, None)
            else:
                overrides[symbol] = part.rate
            if part.settle:
                settle_symbol_funding(self._exchange, symbol, now_ns)

    def _gather(self, part: CrowdPart, now_ns: int) -> None:
        """Open the crowd's accounts and positions; what the venue refuses is counted."""
        exchange = self._exchange
        symbol = part.symbol or next(iter(self._market.instruments))
        instrument, mark = self._market.instruments.get(symbol), exchange.mark_of(symbol)
        if instrument is None or mark is None:
            return
        notional = part.balance * part.margin_percent / 100 * part.leverage
        quantity = notional / mark // instrument.quantity_step * instrument.quantity_step
        for _ in range(part.accounts):
            if len(exchange.accounts) >= exchange.limits.accounts_max:
                return
            account_id = f"crowd-{exchange.next_sequence('crowd')}"
            account = exchange.open_account(account_id, part.balance, now_ns)
            account.leverage[symbol] = part.leverage
            try:
                owner_trades(exchange, account, symbol, part.side, quantity, now_ns)
            except RefusalError:
                self.happened["crowd_refused"] += 1

    def _named(self, symbols: Sequence[str]) -> list[str]:
        """The symbols of a part that this venue has; all of them where it names none."""
        return [
            name for name in symbols or self._market.instruments if name in self._market.symbols
        ]
