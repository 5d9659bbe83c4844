"""The judge: what must hold, judged from the venue's own books and the journal's bytes.

The numbers are those of the list of invariants in the design's reference: I1 one order per intent,
I2 every intent ends, I3 local truth is the venue's, I4 recorded before it is sent and alive when it
is, I5 nothing risk-increasing while halted, I6 limits, I7 risk's limits, I8 fresh data, I9 the
chain, I10 legal lives of orders, I14 money is conserved.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from libs.common.model.order import parse_venue_status
from services.paper_exchange.money.funding import FUNDING_FEE
from services.paper_exchange.money.insurance import INSURANCE_CLEAR
from sim.guard_invariants import FENCE_NS, OWN_STRATEGIES, GuardCheck
from sim.journal_view import ENDED, NEVER_PLACED, JournalView, OrderRead
from sim.settings import EPOCH_NS, EXECUTION, RISK, SYMBOLS
from sim.venue import DEPOSIT, NS_PER_MS, OrderSent

if TYPE_CHECKING:
    from sim.world import World

ZERO = Decimal(0)
WEIGHT_PER_MINUTE_MAX = 2_400
MARK_GRACE_NS = 1_500 * NS_PER_MS
"""From hearing a mark to the decision's record: latencies and one publication's timeout."""
MARGIN_SHORT = -2019
KNOWN_BETTER = frozenset({-1013, -1111, -1121, -4003, -4014, -4023, -4116, -4164, -4005})
"""Codes of filters and of a client order id that is open already."""
PRICE_GRACE = Decimal("1.10")
_EXPECTED_EXITS = ("BusUnavailable", "PublishUnknown", "AppendConflict")


class Judge:
    """Judges one world, at any moment and at its end."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._view = JournalView()

    # -- convergence -----------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """What has not converged yet."""
        world = self._world
        self._view.read_on(world.journal)
        return [
            *self._unfinished_intents(),
            *self._differences(),
            *self._income(),
            *self._unprotected(),
            *(f"LIVE {node.name} is down" for node in world.nodes if node.life is None),
        ]

    def _unfinished_intents(self) -> Iterator[str]:
        world, view = self._world, self._view
        for intent_id in world.approved:
            if view.outcome_of(intent_id) is None:
                yield f"I2 intent {intent_id} was approved and has not ended"
        for intent_id in world.proposed:
            if intent_id not in world.judged:
                yield f"I2 intent {intent_id} was proposed and not judged"

    def _differences(self) -> Iterator[str]:
        view, account = self._view, self._world.venue.account
        for symbol in SYMBOLS:
            ours, theirs = view.positions.get(symbol, ZERO), account.position(symbol).quantity
            if ours != theirs:
                yield f"I3 position {symbol}: ours {ours}, the venue's {theirs}"
        wallet = self._world.venue.exchange.wallet_of(account)
        if view.wallet is not None and view.wallet != wallet:
            yield f"I3 wallet: ours {view.wallet}, the venue's {wallet}"
        open_there = {order.client_order_id for order in account.open_orders.values()}
        for order in view.orders.values():
            if (order.status not in ENDED) != (order.client_order_id in open_there):
                yield f"I3 order {order.client_order_id} is {order.status} here and not there"

    def _income(self) -> Iterator[str]:
        """P9: what was earned and paid, by cause and symbol, is the venue's to the last digit."""
        theirs: dict[tuple[str, str], Decimal] = {}
        for row in self._world.venue.account.income:
            key = row.income_type, row.symbol
            theirs[key] = theirs.get(key, ZERO) + row.amount
        ours = self._view.income
        for key in sorted(ours.keys() | theirs.keys()):
            mine, yours = ours.get(key, ZERO), theirs.get(key, ZERO)
            if mine != yours:
                yield f"P9 {' '.join(key)}: ours {mine}, the venue's {yours}"

    def _unprotected(self) -> Iterator[str]:
        """P8: a position whose entries all wanted a stop has one working at the venue."""
        account = self._world.venue.account
        for symbol in SYMBOLS:
            held = account.position(symbol).quantity
            entries = self._view.opened_by.get(symbol, [])
            if not held or not entries or not all(_wants_stop(order) for order in entries):
                continue
            side = "SELL" if held > 0 else "BUY"
            if not any(
                algo.symbol == symbol and algo.side == side and "STOP" in algo.order_type
                for algo in account.waiting_algos.values()
            ):
                yield f"P8 the position {held} {symbol} has no stop at the venue"
        waiting = {algo.client_algo_id for algo in account.waiting_algos.values()}
        for name, (_, status) in self._view.algos.items():
            if (status == "WORKING") != (name in waiting):
                yield f"I3 algo order {name} is {status} here and not there"

    # -- the verdict -----------------------------------------------------------------------------

    def verdict(self, unsettled: list[str]) -> list[str]:
        """Every violation; `unsettled` is what had not converged when time was up."""
        self._view.read_on(self._world.journal)
        return [
            *unsettled,
            *self._view.faults,
            *self._world.contradictions,
            *self._outcomes(),
            *self._sends(),
            *self._halted_sends(),
            *self._guards(),
            *self._limits(),
            *self._refusals(),
            *self._money(),
            *self._exits(),
        ]

    def _outcomes(self) -> Iterator[str]:
        """I1 and I2: what the journal says of an order agrees with the venue."""
        view, venue = self._view, self._world.venue
        accepted = [sent for sent in venue.log if sent.method == "POST" and sent.order_id]
        entries: Counter[str] = Counter()
        for sent in accepted:
            order = view.orders.get(sent.client_order_id)
            if order is not None:
                entries[order.intent_id] += 1
        for intent_id, count in entries.items():
            if count > 1:
                yield f"I1 intent {intent_id} became {count} orders at the venue"
        for intent_id in view.refused:
            if intent_id not in self._world.approved:
                yield f"I4 intent {intent_id} was decided on and never approved"
            if any(order.intent_id == intent_id for order in view.orders.values()):
                yield f"I2 intent {intent_id} was refused and recorded"
        placed = {sent.client_order_id: sent.order_id for sent in accepted}
        for order in view.orders.values():
            yield from self._compare(order, placed.get(order.client_order_id, 0))

    def _compare(self, order: OrderRead, order_id: int) -> Iterator[str]:
        name = order.client_order_id
        if order.status in NEVER_PLACED:
            if order_id:
                yield f"I2 order {name} is {order.status} here and order {order_id} at the venue"
            return
        if order.status not in ENDED:
            return  # told by convergence
        theirs = self._world.venue.account.orders.get(order_id)
        if theirs is None:
            yield f"I2 order {name} is {order.status} here and unknown to the venue"
        elif (
            parse_venue_status(theirs.status) != order.status or theirs.executed != order.cumulative
        ):
            yield (
                f"I2 order {name} is {order.status} {order.cumulative} here,"
                f" {theirs.status} {theirs.executed} at the venue"
            )

    def _sends(self) -> Iterator[str]:
        """I4, I7, I8: what was sent was recorded, approved, alive, unchanged, on fresh data."""
        attempts: dict[str, OrderSent] = {}
        for sent in self._world.venue.log:
            if sent.method != "POST":
                continue
            name = sent.client_order_id
            order = self._view.orders.get(name)
            if order is None or order.stored_ns + EPOCH_NS > sent.sent_ns:
                yield f"I4 order {name} was sent before it was recorded"
                continue
            before = attempts.get(name)
            if before is not None and before.code != -1021:
                yield f"I1 order {name} was sent twice"
            attempts[name] = sent
            yield from self._check_send(sent, order)

    def _check_send(self, sent: OrderSent, order: OrderRead) -> Iterator[str]:
        name, event = sent.client_order_id, order.event
        if event["intent"]["strategy_id"] in OWN_STRATEGIES:
            return  # closing what an operator or a missing stop wants closed
        if order.intent_id not in self._world.approved:
            yield f"I4 order {name} executes an intent that was never approved"
        late_ns = sent.sender_now_ns - event["intent"]["expires_at_ns"]
        if late_ns >= 0:
            yield f"I4 order {name} was sent {late_ns / 1e6:.3f} ms after its intent expired"
        asked = event["order"]
        if (sent.symbol, sent.side, Decimal(sent.quantity), sent.reduce_only) != (
            asked["symbol"], asked["side"], Decimal(asked["quantity"]), asked["reduce_only"],
        ):  # fmt: skip
            yield f"I4 order {name} was sent as something else than was recorded"
        if not sent.reduce_only:
            yield from self._check_entry(sent, order)

    def _check_entry(self, sent: OrderSent, order: OrderRead) -> Iterator[str]:
        name, limits = sent.client_order_id, RISK.limits
        notional = Decimal(sent.quantity) * (Decimal(sent.price) if sent.price else sent.mark)
        if notional > limits.order_notional_max * PRICE_GRACE:
            yield f"I7 order {name} is worth {notional}, over {limits.order_notional_max}"
        stored_ns = order.stored_ns + EPOCH_NS
        vouched = self._world.market.series[sent.symbol].vouched_ns
        age_ns = stored_ns - max((at_ns for at_ns in vouched if at_ns <= stored_ns), default=0)
        if age_ns > EXECUTION.health_silence_ms_max * NS_PER_MS + MARK_GRACE_NS:
            yield f"I8 order {name} was decided {age_ns / 1e9:.1f} s after the feed vouched for it"
        if self._world.fate.hit["clock_jump_execution"]:
            return  # its age was judged by a clock that had jumped
        marks = self._world.market.series[sent.symbol].marks
        newest_ns = max((at_ns for at_ns, _ in marks if at_ns <= stored_ns), default=0)
        age_ns = stored_ns - newest_ns
        if age_ns > EXECUTION.mark_age_ms_max * NS_PER_MS + MARK_GRACE_NS:
            yield f"I8 order {name} was decided on a mark {age_ns / 1e9:.1f} s old"

    def _halted_sends(self) -> Iterator[str]:
        """I5: nothing risk-increasing leaves once a halt (or reduction) is durable."""
        spans: list[tuple[int, int, str]] = []
        closed_ns, closed_by = 0, ""
        for stored_ns, state, actor in self._view.trading:
            if state == "ACTIVE":
                if closed_by:
                    spans.append((closed_ns, stored_ns, closed_by))
                closed_by = ""
            elif not closed_by:
                closed_ns, closed_by = stored_ns, f"{state} by {actor}"
        if closed_by:
            spans.append((closed_ns, 1 << 62, closed_by))
        for sent in self._world.venue.log:
            if sent.method != "POST" or sent.reduce_only:
                continue
            at_ns = sent.sent_ns - EPOCH_NS
            for begin_ns, end_ns, why in spans:
                if begin_ns + FENCE_NS < at_ns < end_ns:
                    yield (
                        f"I5 order {sent.client_order_id} was sent"
                        f" {(at_ns - begin_ns) / 1e6:.0f} ms after {why} was durable"
                    )

    def _guards(self) -> list[str]:
        """P4, P5 and P7: holds, rates and quarantine, from the journal's own order."""
        marks = {name: one.marks for name, one in self._world.market.series.items()}
        check = GuardCheck(marks)
        check.read(self._view.events)
        return [*check.faults, *check.sends(self._world.venue.log)]

    def _limits(self) -> Iterator[str]:
        """I6: the venue's own limits."""
        venue = self._world.venue
        if venue.traffic.peak > WEIGHT_PER_MINUTE_MAX:
            yield f"I6 request weight {venue.traffic.peak} in one minute"
        yield from venue.traffic.faults

    def _refusals(self) -> Iterator[str]:
        """What the venue refused although the gate should have known better."""
        for sent in self._world.venue.log:
            is_blamed = sent.code in KNOWN_BETTER or (
                sent.code == MARGIN_SHORT and not self._world.fate.hit["traded_by_hand"]
            )
            if sent.method == "POST" and is_blamed:
                yield f"I7 order {sent.client_order_id} was refused by the venue: {sent.code}"

    def _money(self) -> Iterator[str]:
        """I14: the venue's ledger conserves money, and its positions are the sum of its trades."""
        venue = self._world.venue
        total = venue.exchange.ledger.total()
        if total:
            yield f"I14 the venue's ledger sums to {total}"
        wallet = DEPOSIT + sum(  # what a liquidation leaves goes to the insurance fund, or comes
            row.amount
            for row in venue.account.income
            if row.income_type in (INSURANCE_CLEAR, FUNDING_FEE)
        )
        for symbol in SYMBOLS:
            held = ZERO
            for trade in venue.account.trades.get(symbol, ()):
                held += trade.quantity if trade.side == "BUY" else -trade.quantity
                wallet += trade.realized - trade.commission
            if held != venue.account.position(symbol).quantity:
                yield f"I14 trades of {symbol} sum to {held}"
        if wallet != venue.exchange.wallet_of(venue.account):
            yield f"I14 the wallet should hold {wallet}"

    def _exits(self) -> Iterator[str]:
        """No service may die of anything but a broker that is away."""
        for reason in self._world.exit_reasons:
            if not any(name in reason for name in _EXPECTED_EXITS):
                yield f"LIVE {reason}"


def _wants_stop(order: OrderRead | None) -> bool:
    return order is not None and order.event["intent"].get("stop_price") is not None
