"""The state of the venue and the only functions that change it: orders and their fills.

Nothing moves by itself here: `exchange` says what the market and the passing of time do.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.algo_orders import AlgoOrder, AlgoStatus
from services.paper_exchange.state.isolated import isolated_move, isolated_postings
from services.paper_exchange.state.ledger import (
    ZERO,
    PositionChange,
    apply_fill,
    fill_postings,
    round_money,
    wallet,
)
from services.paper_exchange.state.ledger import position as cost_account
from services.paper_exchange.state.orders import EXPIRED, EXPIRED_IN_MATCH, Match, Order, Trade
from services.paper_exchange.state.position_sides import BOTH
from services.paper_exchange.state.user_events import NO_REASON, POSITION_GONE
from services.paper_exchange.state.venue_records import NS_PER_MS, UserEvent, VenueRecords

__all__ = ["NS_PER_MS", "UserEvent", "VenueState"]


class VenueState(VenueRecords):
    """All of one venue."""

    def accept(self, account: Account, order: Order) -> None:
        """Take an order in as NEW."""
        account.add_order(order)
        self.tell_order(account, order, "NEW", order.created_ns)

    def rest(self, order: Order, queue_ahead: Decimal) -> None:
        """Put the rest of an accepted order into the queue at its price."""
        order.queue_ahead = queue_ahead
        self.resting[order.symbol].add(order)
        if order.good_till_ms:
            self.add_deadline(
                order.good_till_ms * NS_PER_MS, "order", order.account_id, str(order.order_id)
            )

    def end_order(
        self, account: Account, order: Order, status: str, now_ns: int, reason: str = NO_REASON
    ) -> None:
        """Cancel or expire an open order, perhaps in match, and say so."""
        order.close(status, now_ns)
        self._drop_open(account, order)
        execution = EXPIRED if status == EXPIRED_IN_MATCH else status
        self.tell_order(account, order, execution, now_ns, expiry_reason=reason)
        self._finish_origin(account, order, now_ns)

    def book_fill(
        self,
        account: Account,
        order: Order,
        match: Match,
        now_ns: int,
        *,
        is_maker: bool,
        execution: str = "TRADE",
        commission_rate: Decimal | None = None,
    ) -> None:
        """Book one execution: order, position, ledger, histories and user events.

        `execution` is what the order event calls it: CALCULATED where the venue itself closes.
        `commission_rate` is the account's own where nothing else is said.
        """
        position = account.kept_position(order.symbol, order.position_side)
        change = apply_fill(
            position.quantity, position.cost, order.sign * match.quantity, match.price
        )
        is_turned = position.quantity * change.quantity < 0
        assert not is_turned or order.position_side == BOTH, f"{position.key} turned around"
        rate = commission_rate
        if rate is None:
            rate = account.commission_rates.rate_of(
                is_maker=is_maker, is_rpi=order.time_in_force == "RPI"
            )
        commission = round_money(match.quantity * match.price * rate)
        self._settle_fill(account, position, change, match.price, commission, now_ns)
        position.quantity, position.cost = change.quantity, change.cost
        position.realized += change.realized
        position.carried = position.carried + change.realized - commission
        if change.quantity == 0 or is_turned:
            position.carried = ZERO
        position.updated_ns = account.updated_ns = now_ns
        order.fill(match.quantity, match.price, now_ns)
        trade = Trade(
            trade_id=match.trade_id or self.next_trade_id(order.symbol),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=match.price,
            quantity=match.quantity,
            realized=change.realized,
            commission=commission,
            is_maker=is_maker,
            time_ns=now_ns,
            position_side=order.position_side,
        )
        account.add_trade(trade)
        self._record_trade_income(account, trade)
        self.risk.note_fill(account, order.symbol)
        if not order.is_open:
            self._drop_open(account, order)
        if execution == "TRADE":
            self.tell_trade(account, order, trade, now_ns)
        self.tell_position(account, position, now_ns)
        self.tell_order(account, order, execution, now_ns, trade=trade)
        self._finish_origin(account, order, now_ns)
        if change.quantity == 0 or is_turned:
            self._expire_pointless_reductions(account, order.symbol, now_ns)

    def next_trade_id(self, symbol: str) -> int:
        """The id of a symbol's next trade."""
        return self.next_sequence(f"trade:{symbol}")

    def reducible(
        self, account: Account, symbol: str, sign: int, position_side: str = BOTH
    ) -> Decimal:
        """How much an order of this direction may still close of a position."""
        return max(ZERO, -sign * account.position(symbol, position_side).quantity)

    def _settle_fill(
        self,
        account: Account,
        position: Position,
        change: PositionChange,
        price: Decimal,
        commission: Decimal,
        now_ns: int,
    ) -> None:
        """Post one fill; under isolated margin, also what it moves between the wallets.

        Where an isolated position ends below zero, the insurance fund pays what is missing.
        """
        owner, symbol, side = account.account_id, position.symbol, position.position_side
        postings = fill_postings(
            cost_account(owner, symbol, side),
            self.money_account(account, symbol, side),
            change.cost - position.cost,
            change.realized,
            commission,
        )
        if not account.is_isolated(symbol):
            self.ledger.post(postings)
            return
        move = isolated_move(
            position.quantity,
            self.isolated_wallet_of(account, symbol, side),
            change,
            price,
            account.leverage_of(symbol),
            commission,
            self.ledger.balance(wallet(owner)),
        )
        self.ledger.post(postings + isolated_postings(owner, symbol, side, move))
        if move.insured:
            self.add_income(
                account, "INSURANCE_CLEAR", symbol, move.insured, "INSURANCE_CLEAR", "", now_ns
            )

    # Conditional orders

    def accept_algo(self, account: Account, algo: AlgoOrder) -> None:
        """Take a conditional order in to wait for its price."""
        account.add_algo(algo)
        self.conditional[algo.symbol].add(algo)
        if algo.good_till_ms:
            self.add_deadline(
                algo.good_till_ms * NS_PER_MS, "algo", account.account_id, str(algo.algo_id)
            )
        self.tell_algo(account, algo, algo.created_ns)

    def forward_algo(self, account: Account, algo: AlgoOrder, now_ns: int) -> None:
        """Its price is reached: it waits no more, and is on its way to the matching engine."""
        self._drop_waiting(account, algo)
        algo.status, algo.triggered_ns, algo.updated_ns = AlgoStatus.TRIGGERING, now_ns, now_ns
        self.tell_algo(account, algo, now_ns)

    def settle_algo(self, account: Account, algo: AlgoOrder, order: Order, now_ns: int) -> None:
        """The matching engine took the order born of it, which may have ended already."""
        algo.status, algo.order_id, algo.updated_ns = AlgoStatus.TRIGGERED, order.order_id, now_ns
        self.tell_algo(account, algo, now_ns)
        self._finish_origin(account, order, now_ns)

    def end_algo(
        self, account: Account, algo: AlgoOrder, status: AlgoStatus, now_ns: int, reason: str = ""
    ) -> None:
        """Cancel, expire or reject a conditional order and say so."""
        self._drop_waiting(account, algo)
        algo.status, algo.reject_reason, algo.updated_ns = status, reason, now_ns
        self.tell_algo(account, algo, now_ns)

    def _drop_open(self, account: Account, order: Order) -> None:
        account.order_closed(order)
        self.resting[order.symbol].remove(order)

    def _drop_waiting(self, account: Account, algo: AlgoOrder) -> None:
        account.algo_waits_no_more(algo)
        self.conditional[algo.symbol].remove(algo)

    def _finish_origin(self, account: Account, order: Order, now_ns: int) -> None:
        """A triggered conditional order is finished when the order born of it ends."""
        algo = order.origin
        if algo is None or order.is_open or algo.status is not AlgoStatus.TRIGGERED:
            return
        algo.status, algo.updated_ns = AlgoStatus.FINISHED, now_ns
        algo.executed, algo.average_price = order.executed, order.average_price
        self.tell_algo(account, algo, now_ns)

    def _expire_pointless_reductions(self, account: Account, symbol: str, now_ns: int) -> None:
        """What could only reduce a position ends with it.

        Reduce-only orders, in hedge mode those that close, and close-position conditional orders
        do; a reduce-only conditional order waits on and is rejected by the matching engine if its
        price comes.
        """
        for order in account.open_orders_of(symbol):
            if not order.is_reducing:
                continue
            if not self.reducible(account, symbol, order.sign, order.position_side):
                self.end_order(account, order, EXPIRED, now_ns, POSITION_GONE)
        for algo in list(account.waiting_algos.values()):
            if algo.symbol != symbol or not algo.ends_with_position:
                continue
            if not self.reducible(account, symbol, algo.sign, algo.position_side):
                self.end_algo(account, algo, AlgoStatus.EXPIRED, now_ns)

    def _record_trade_income(self, account: Account, trade: Trade) -> None:
        trade_id = str(trade.trade_id)
        rows = (("REALIZED_PNL", trade.realized), ("COMMISSION", -trade.commission))
        for income_type, amount in rows:
            if amount:
                self.add_income(
                    account, income_type, trade.symbol, amount, trade_id, trade_id, trade.time_ns
                )
