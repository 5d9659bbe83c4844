"""What a blow does to the world."""

from typing import TYPE_CHECKING, Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import Verb
from sim.loop import NS_PER_S
from sim.market import CRASH_TICKS
from sim.node import Node
from sim.plan import Fault
from sim.settings import SYMBOLS
from sim.traffic import ORDERS_OF_OTHERS

if TYPE_CHECKING:
    from sim.world import World

RESUME_NS = (NS_PER_S, 6 * NS_PER_S)
HALT_PAST_NS = NS_PER_S // 2
FORGED_LIFE_NS = 5 * NS_PER_S
MARKS = "market.mark."
DEAF_NS = 6 * NS_PER_S
FILTERS_AWAY_NS = 8 * NS_PER_S
VERBS = {
    "halt": Verb.HALT,
    "reduce": Verb.REDUCE,
    "cancel": Verb.CANCEL_ALL,
    "flatten": Verb.FLATTEN,
    "reconcile": Verb.RECONCILE,
}
CLOCK_JUMPS_NS = (-4 * NS_PER_S, 6 * NS_PER_S)


class Blows:
    """Deals blows to one world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def target(self, fault: Fault) -> Node | None:
        """The process a blow is for; None where it is for none."""
        _, _, name = fault.kind.partition("_")
        if name.endswith("execution"):
            return self._world.executors[int(fault.draw * len(self._world.executors))]
        return {
            "risk": self._world.risk,
            "signal": self._world.signal,
            "reconciler": self._world.reconciler,
        }.get(name.rpartition("_")[2])

    def deal(self, fault: Fault, target: Node | None) -> bool:
        """Deal a blow; returns whether there was anything to hit."""
        kind, node = fault.kind, target or self.target(fault)
        if node is not None:
            if kind.startswith("crash_"):
                return node.kill()
            if kind.startswith("stop_"):
                return node.stop()
            if kind.startswith("pause_"):
                return node.pause(fault.span_ns)
            if kind.startswith("halt_past_"):
                return node.pause(fault.span_ns + HALT_PAST_NS) and self._command("halt")
            if kind.startswith("cut_"):
                return node.cut(fault.span_ns)
            if kind.startswith("deaf_"):
                return node.deafen(fault.span_ns + DEAF_NS, MARKS)
            if kind.startswith("unvouched_"):
                return node.deafen(fault.span_ns + DEAF_NS, subjects.MARKET_HEALTH)
            if kind.startswith("clock_jump_"):
                low, high = CLOCK_JUMPS_NS
                return node.jump(low + int((high - low) * fault.draw), fault.span_ns)
        if kind.startswith("command_"):
            return self._command(kind.removeprefix("command_"))
        blow: dict[str, Any] = {
            "broker_down": self._broker_down,
            "broker_full": self._broker_full,
            "streams_closed": self._streams_closed,
            "streams_stalled": self._streams_stalled,
            "listen_key_expired": self._listen_key_expired,
            "marks_frozen": self._marks_frozen,
            "quotes_frozen": self._quotes_frozen,
            "feed_silent": self._feed_silent,
            "feed_doubts": self._feed_doubts,
            "flash_crash": self._flash_crash,
            "filters_away": self._filters_away,
            "orders_used_by_others": self._orders_used_by_others,
            "traded_by_hand": self._traded_by_hand,
            "deleveraged": self._deleveraged,
            "intent_repeated": lambda _: (
                self._world.broker.can_store and self._world.producer.repeat()
            ),
            "approval_repeated": self._approval_repeated,
            "approval_forged": self._approval_forged,
            "candle_repeated": self._candle_repeated,
        }
        return bool(blow[kind](fault))

    def _symbol(self, fault: Fault) -> str:
        return SYMBOLS[int(fault.draw * len(SYMBOLS))]

    def _broker_down(self, fault: Fault) -> bool:
        if self._world.broker.is_down:
            return False
        self._world.broker.is_down = True
        self._world.loop.after(fault.span_ns // 2, self._world.broker.come_back)
        return True

    def _broker_full(self, fault: Fault) -> bool:
        self._world.broker.is_full = True
        self._world.loop.after(fault.span_ns // 2, setattr, self._world.broker, "is_full", False)
        return True

    def _streams_closed(self, _: Fault) -> bool:
        found = self._world.venue.sockets.count > 0
        self._world.venue.sockets.close_all()
        return found

    def _streams_stalled(self, _: Fault) -> bool:
        found = self._world.venue.sockets.count > 0
        self._world.venue.sockets.stall_all()
        return found

    def _listen_key_expired(self, _: Fault) -> bool:
        found = self._world.venue.account.listen_key is not None
        self._world.venue.exchange.end_listen_key(
            self._world.venue.account, self._world.venue.now_ns()
        )
        self._world.venue.sockets.deliver()
        return found

    def _marks_frozen(self, fault: Fault) -> bool:
        series = self._world.market.series[self._symbol(fault)]
        series.frozen_marks_until_ns = self._world.loop.now_ns + fault.span_ns + 3 * NS_PER_S
        return True

    def _quotes_frozen(self, fault: Fault) -> bool:
        series = self._world.market.series[self._symbol(fault)]
        series.frozen_quotes_until_ns = self._world.loop.now_ns + fault.span_ns + 3 * NS_PER_S
        return True

    def _feed_silent(self, fault: Fault) -> bool:
        """The feed says nothing of its health any more, though all its data goes on."""
        market = self._world.market
        market.silent_until_ns = self._world.loop.now_ns + fault.span_ns + DEAF_NS
        return True

    def _feed_doubts(self, fault: Fault) -> bool:
        """The feed calls a symbol stale: what it misses may be none of what others hear."""
        series = self._world.market.series[self._symbol(fault)]
        series.doubted_until_ns = self._world.loop.now_ns + fault.span_ns + DEAF_NS
        return True

    def _orders_used_by_others(self, _: Fault) -> bool:
        counts = self._world.venue.account.counts
        counts.roll(self._world.venue.now_ns())
        counts.count_1m = max(counts.count_1m, ORDERS_OF_OTHERS)
        return True

    def _filters_away(self, fault: Fault) -> bool:
        self._world.venue.traffic.hide_filters(fault.span_ns + FILTERS_AWAY_NS)
        return True

    def _flash_crash(self, fault: Fault) -> bool:
        self._world.market.series[self._symbol(fault)].crash_left = CRASH_TICKS
        return True

    def _traded_by_hand(self, fault: Fault) -> bool:
        symbol = self._symbol(fault)
        quantity = "0.003" if symbol == "BTCUSDT" else "0.050"
        return self._world.venue.place_by_hand(symbol, "BUY", quantity, is_reducing=False)

    def _deleveraged(self, _: Fault) -> bool:
        for symbol in SYMBOLS:
            held = self._world.venue.account.position(symbol).quantity
            if held:
                side = "SELL" if held > 0 else "BUY"
                step = self._world.venue.exchange.instruments[symbol].quantity_step
                quantity = max(step, abs(held) / 2 // step * step)
                text = f"{quantity:f}"
                return self._world.venue.place_by_hand(symbol, side, text, is_reducing=True)
        return False

    def _approval_repeated(self, _: Fault) -> bool:
        message = self._world.last_approval
        if message is None or not self._world.broker.can_store:
            return False
        self._world.broker.store(
            message.subject, message.data, f"approval-again-{self._world.loop.steps}"
        )
        return True

    def _approval_forged(self, _: Fault) -> bool:
        """Somebody who has no key says that risk approved."""
        world, message = self._world, self._world.last_approval
        if message is None or not world.broker.can_store:
            return False
        approval = msgspec.json.decode(message.data)
        intent, now_ns = approval["body"]["intent"], world.venue.now_ns()
        intent["intent_id"] = f"forged-{world.loop.steps}"
        intent["created_at_ns"] = now_ns
        intent["expires_at_ns"] = approval["body"]["expires_at_ns"] = now_ns + FORGED_LIFE_NS
        with world.forging():
            world.broker.store(message.subject, msgspec.json.encode(approval), intent["intent_id"])
        return True

    def _candle_repeated(self, fault: Fault) -> bool:
        return self._world.broker.can_store and self._world.market.repeat_candle(
            self._symbol(fault)
        )

    def _command(self, verb: str) -> bool:
        if not self._world.broker.can_store:
            return False
        if verb == "repeated":
            message = self._world.last_command
            if message is not None:
                self._world.broker.store(
                    message.subject, message.data, f"command-{self._world.loop.steps}"
                )
            return message is not None
        self._world.say_command(VERBS[verb], "operator")
        delay_ns = self._world.dice.randrange(*RESUME_NS)
        self._world.loop.after(delay_ns, self._world.say_command, Verb.RESUME, "operator")
        return True
