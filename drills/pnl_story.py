"""What happens to an account in the drill of profit and loss: one fixed story, and random ones."""

import random
from collections.abc import Awaitable, Callable
from decimal import Decimal

from drills.pnl_market import DEPTHS, PRICES
from drills.pnl_truth import Truth, differences, our_book, venue_truth
from drills.pnl_world import PnlWorld
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from services.execution.state import State
from services.paper_exchange.demo_keys import DEMO_ACCOUNT_ID

STRATEGIES = ("alpha", "beta", "gamma")
#: How far from its starting price a random walk may lead a symbol, as a share of it.
WALK_MAX = Decimal("0.15")
#: USDT brought for the random steps.
STAKE = "100000"
LOST_FILL = [{"event": "ORDER_TRADE_UPDATE", "nth": 1, "effect": "drop"}]
SETTLE_WAIT_S = 30.0


async def settle(world: PnlWorld) -> tuple[Truth, State]:
    """Wait until the book equals the venue's word; after a while return whatever it is.

    Returns:
        The venue's word, and our state folded anew from the whole journal.
    """
    await world.settled()
    truth = await venue_truth(world)

    def is_equal() -> bool:
        return not differences(our_book(world.state), truth)

    try:
        await world.until(is_equal, "our book to equal the venue's", SETTLE_WAIT_S)
    except AssertionError:
        truth = await venue_truth(world)
    return truth, await world.replayed()


async def tell_fixed(world: PnlWorld) -> None:
    """Fees, fundings on both sides, partial fills, a lost word, a death, a flip, a liquidation."""
    buy, sell = Side.BUY, Side.SELL
    # A market order that takes several levels; a limit order that fills in parts, as maker.
    await world.ended(await world.trade("alpha", "BTCUSDT", buy, "0.400"))
    price = world.source.prices["ETHUSDT"]
    limit_id = await world.trade("beta", "ETHUSDT", sell, "4.000", price=price + 3)
    await world.until(lambda: bool(world.state.open_orders()), "the limit order to rest")
    world.source.trades.append(("ETHUSDT", price + 4, Decimal("1.5"), False))
    await world.until(lambda: world.held_at_venue("ETHUSDT") < 0, "the limit order to fill in part")
    world.source.prices["ETHUSDT"] = price + 5
    await world.ended(limit_id)
    # The long pays, the short receives.
    await world.fund({"BTCUSDT": "0.0007", "ETHUSDT": "0.0003"})
    # Another strategy and the owner take part; what the stream says of one fill is lost.
    await world.by_hand("BTCUSDT", buy, "0.030")
    await world.sim("/sim/event-faults", LOST_FILL)
    world.source.prices["BTCUSDT"] += 150
    await world.ended(await world.trade("alpha", "BTCUSDT", sell, "0.100", purpose=Purpose.EXIT))
    await world.settled()
    # Death with positions open; the owner and the venue trade while nobody listens.
    await world.crash()
    await world.by_hand("ETHUSDT", buy, "0.700")
    await world.surprise("adl", "ETHUSDT", quantity="0.300")
    await world.begin()
    await world.settled()
    # A flip by another strategy, then midnight with the sides turned round.
    await world.ended(await world.trade("gamma", "BTCUSDT", sell, "0.600"))
    await world.ended(await world.trade("alpha", "ETHUSDT", buy, "9.000"))
    await world.fund({"BTCUSDT": "-0.0011", "ETHUSDT": "0.0005"})
    await world.armed()
    await world.surprise("adl", "BTCUSDT", quantity="0.050")
    await world.settled()
    # Large enough that a move of the price takes more than there is.
    await world.ended(await world.trade("beta", "BTCUSDT", buy, "1.300"))
    for _ in range(40):
        world.source.prices["BTCUSDT"] -= 600
        if not world.held_at_venue("BTCUSDT"):
            break
        await world.until(_next_mark(world), "the mark to move")


def _next_mark(world: PnlWorld) -> Callable[[], bool]:
    """Market time has gone on far enough for the venue to tell another mark price."""
    until_ns = world.clock.now_ns() + 1_100_000_000
    return lambda: world.clock.now_ns() >= until_ns


class RandomStory:
    """Steps out of a seed; each leaves the account in any state it likes."""

    def __init__(self, world: PnlWorld, seed: int) -> None:
        self._world = world
        self._dice = random.Random(seed)
        self.told: dict[str, int] = {}

    async def begin(self) -> None:
        """Bring money: the fixed story ends without much."""
        body = {"account_id": DEMO_ACCOUNT_ID, "balance": STAKE}
        await self._world.sim("/sim/accounts", body)

    async def step(self) -> None:
        """Do one thing, and wait until its orders have ended."""
        deeds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self._enter), (14, self._leave), (8, self._rest), (12, self._by_hand),
            (14, self._move), (5, self._fund), (4, self._die), (6, self._lose_word),
            (3, self._stall), (2, self._force), (2, self._transfer), (2, self._change_fees),
        ]  # fmt: skip
        weights = [weight for weight, _ in deeds]
        (deed,) = self._dice.choices([deed for _, deed in deeds], weights)
        name = deed.__name__.strip("_")
        self.told[name] = self.told.get(name, 0) + 1
        await deed()

    def _symbol(self) -> str:
        return self._dice.choice(sorted(PRICES))

    def _quantity(self, symbol: str) -> str:
        depth = DEPTHS[symbol]
        return f"{(depth * self._dice.randint(1, 60) / 10).quantize(Decimal('0.001'))}"

    async def _enter(self) -> None:
        symbol, side = self._symbol(), self._dice.choice(list(Side))
        whose = self._dice.choice(STRATEGIES)
        stop = None
        if self._dice.random() < 0.2:
            away = 1 - side.sign * Decimal("0.01")
            stop = (self._world.source.prices[symbol] * away).quantize(Decimal("0.1"))
        await self._world.ended(
            await self._world.trade(whose, symbol, side, self._quantity(symbol), stop_price=stop)
        )

    async def _leave(self) -> None:
        symbol = self._symbol()
        held = self._world.held_at_venue(symbol)
        if held:
            side = Side.SELL if held > 0 else Side.BUY
            part = (abs(held) * self._dice.choice((1, 2, 4)) / 4).quantize(Decimal("0.001"))
            whose = self._dice.choice(STRATEGIES)
            await self._world.ended(
                await self._world.trade(
                    whose, symbol, side, f"{max(part, Decimal('0.001'))}", purpose=Purpose.EXIT
                )
            )

    async def _rest(self) -> None:
        """A limit order that is filled when the price comes, perhaps in parts and much later."""
        symbol, side = self._symbol(), self._dice.choice(list(Side))
        price = self._world.source.prices[symbol] * (1 - side.sign * Decimal("0.001"))
        tick = Decimal("0.1") if symbol == "BTCUSDT" else Decimal("0.01")
        whose = self._dice.choice(STRATEGIES)
        quantity = self._quantity(symbol)
        await self._world.trade(whose, symbol, side, quantity, price=price.quantize(tick))

    async def _by_hand(self) -> None:
        symbol = self._symbol()
        await self._world.by_hand(symbol, self._dice.choice(list(Side)), self._quantity(symbol))

    async def _move(self) -> None:
        symbol = self._symbol()
        start = PRICES[symbol]
        moved = self._world.source.prices[symbol] * (
            1 + Decimal(self._dice.randint(-120, 120)) / 10_000
        )
        bound = start * WALK_MAX
        moved = min(max(moved, start - bound), start + bound)
        self._world.source.prices[symbol] = moved.quantize(Decimal("0.1"))
        await self._world.until(_next_mark(self._world), "the price to move")

    async def _fund(self) -> None:
        rates = {symbol: f"{Decimal(self._dice.randint(-90, 90)) / 100_000:f}" for symbol in PRICES}
        await self._world.fund(rates)
        await self._world.armed()

    async def _die(self) -> None:
        await self._world.crash()
        for deed in (self._by_hand, self._force):
            if self._dice.random() < 0.4:
                await deed()
        await self._world.begin()

    async def _lose_word(self) -> None:
        event = self._dice.choice(("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"))
        effect = self._dice.choice(("drop", "duplicate", "reorder"))
        rules = [{"event": event, "nth": 1, "effect": effect}]
        await self._world.sim("/sim/event-faults", rules)
        await self._enter()

    async def _stall(self) -> None:
        action = self._dice.choice(("close", "expire"))
        body = {"account_id": DEMO_ACCOUNT_ID, "action": action}
        await self._world.sim("/sim/user-stream", body)
        await self._by_hand()

    async def _force(self) -> None:
        kind = self._dice.choice(("adl", "liquidation"))
        await self._world.surprise(kind, self._symbol())

    async def _transfer(self) -> None:
        if self._dice.random() < 0.5:
            body = {"account_id": DEMO_ACCOUNT_ID, "balance": "500"}
            await self._world.sim("/sim/accounts", body)
        else:
            await self._world.sim(
                "/sim/withdrawals", {"account_id": DEMO_ACCOUNT_ID, "amount": "7.5"}
            )

    async def _change_fees(self) -> None:
        fees = [f"{Decimal(self._dice.randint(-20, 60)) / 100_000:f}" for _ in range(2)]
        taker = f"{abs(Decimal(fees[1])):f}"
        body = {"account_id": DEMO_ACCOUNT_ID, "maker": fees[0], "taker": taker, "rpi": "0"}
        await self._world.sim("/sim/commissions", body)
