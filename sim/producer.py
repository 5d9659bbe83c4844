"""A stranger who proposes intents: all the shapes of order that the strategies do not ask for."""

from decimal import Decimal
from random import Random

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.intents import ProposedIntent
from libs.common.model.ids import digest
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderType, Side, TimeInForce
from sim.broker import Broker
from sim.loop import NS_PER_S, VirtualLoop
from sim.market import TICKS, MarketFeed
from sim.settings import EPOCH_NS
from sim.venue import Venue

NS_PER_MS = 1_000_000
INTENTS_PER_SCHEDULE = (11, 18)
LIFETIME_NS = (3 * NS_PER_S, 20 * NS_PER_S)
QUANTITIES = {
    "BTCUSDT": (Decimal("0.002"), Decimal("0.010"), Decimal("0.020")),
    "ETHUSDT": (Decimal("0.030"), Decimal("0.200"), Decimal("0.400")),
}
DUST = {"BTCUSDT": Decimal("0.0004"), "ETHUSDT": Decimal("0.003")}
"""Less than the venue takes."""
DUST_SHARE = 0.08
BRIEF_NS = (4 * NS_PER_MS, 40 * NS_PER_MS)
"""A life that ends while the order is on its way."""
BRIEF_SHARE = 0.2
BURST_NS = (NS_PER_MS, 2 * NS_PER_S)
BURST_SHARE = 0.5
MISTAKEN_SHARE, MISTAKEN_BY = 0.15, 120
UNPROTECTED_SHARE = 0.4
STOP_TICKS, TARGET_TICKS = (1_500, 6_000), (2_000, 9_000)
EXIT_SHARE = 0.6
BLIND_SHARE = 0.1
"""How often it asks for nonsense: to leave what it does not hold, to add to what it does."""
LIMIT_SHARE = 0.4


class Producer:
    """Proposes at random moments until told to stop."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: Random,
        symbols: tuple[str, ...],
        broker: Broker,
        market: MarketFeed,
        venue: Venue,
        end_ns: int,
    ) -> None:
        self._loop = loop
        self._dice = dice
        self._symbols = symbols
        self._broker = broker
        self._market = market
        self._venue = venue
        self._last: tuple[str, ProposedIntent] | None = None
        self._repeats = 0
        for number in range(dice.randint(*INTENTS_PER_SCHEDULE)):
            at_ns = dice.randrange(4 * NS_PER_S, end_ns)
            loop.after(at_ns, self._propose, 2 * number)
            if dice.random() < BURST_SHARE:
                loop.after(at_ns + dice.randrange(*BURST_NS), self._propose, 2 * number + 1)

    def _propose(self, number: int) -> None:
        dice, now_ns = self._dice, EPOCH_NS + self._loop.now_ns
        symbol = dice.choice(self._symbols)
        held = self._venue.account.position(symbol).quantity
        is_exit = dice.random() < (EXIT_SHARE if held else BLIND_SHARE)
        is_limit = dice.random() < LIMIT_SHARE
        side = dice.choice((Side.BUY, Side.SELL))
        if held and dice.random() > BLIND_SHARE:
            side = Side.SELL if held > 0 else Side.BUY
        price = (self._market.series[symbol].price + dice.randint(-600, 600)) * TICKS[symbol]
        intent_id = digest("stranger", str(number))
        intent = Intent(
            intent_id=intent_id,
            strategy_id="stranger",
            parameter_hash="",
            symbol=symbol,
            side=side,
            purpose=Purpose.EXIT if is_exit else Purpose.ENTER,
            order_type=OrderType.LIMIT if is_limit else OrderType.MARKET,
            reference_price=self._reference(symbol),
            candle_id=f"stranger-{number}",
            created_at_ns=now_ns,
            expires_at_ns=now_ns + self._lifetime_ns(),
            quantity=None if is_exit else self._quantity(symbol),
            price=price if is_limit else None,
            time_in_force=dice.choice(
                (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTX)
            )
            if is_limit
            else None,
            stop_price=None if is_exit else self._away(symbol, -side.sign, STOP_TICKS),
            target_price=None if is_exit else self._away(symbol, side.sign, TARGET_TICKS),
        )
        self._say(
            subjects.intent_proposed(symbol),
            ProposedIntent(
                message_id=intent_id,
                causation_id=intent_id,
                correlation_id=intent_id,
                ts_event_ns=now_ns,
                ts_published_ns=now_ns,
                source="stranger",
                intent=intent,
            ),
        )

    def _quantity(self, symbol: str) -> Decimal:
        is_dust = self._dice.random() < DUST_SHARE
        return DUST[symbol] if is_dust else self._dice.choice(QUANTITIES[symbol])

    def _reference(self, symbol: str) -> Decimal:
        """The price it decided on, which now and then is not the market's any more."""
        price = self._market.series[symbol].price
        if self._dice.random() < MISTAKEN_SHARE:
            price += price * self._dice.choice((-1, 1)) // MISTAKEN_BY
        return price * TICKS[symbol]

    def _lifetime_ns(self) -> int:
        brief = self._dice.random() < BRIEF_SHARE
        return self._dice.randrange(*(BRIEF_NS if brief else LIFETIME_NS))

    def _away(self, symbol: str, sign: int, ticks: tuple[int, int]) -> Decimal | None:
        """A price some way off, for an order that protects; sometimes none is wanted."""
        if self._dice.random() < UNPROTECTED_SHARE:
            return None
        price = self._market.series[symbol].price + sign * self._dice.randint(*ticks)
        return price * TICKS[symbol]

    def _say(self, subject: str, message: ProposedIntent) -> None:
        if not self._broker.can_store:
            return
        self._last = (subject, message)
        self._broker.store(subject, encode(message), message.message_id)

    def repeat(self) -> bool:
        """Propose the last intent again, past the broker's window."""
        if self._last is None:
            return False
        self._repeats += 1
        subject, message = self._last
        identity = f"{message.message_id}-again-{self._repeats}"
        self._broker.store(subject, encode(message), identity)
        return True
