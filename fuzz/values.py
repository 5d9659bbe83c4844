"""What a request may say: for every parameter a likely value, and words that are likely nowhere."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

ODD_WORDS: Final = (
    "", " ", "0", "-1", "-0", "1", "00", "0.0", "1e5", "1E-7", "NaN", "Infinity", "+1", "0x1", ".5",
    "5.", "true", "True", "null", "None", "[]", "{}", "[1", '["a"]', "BUY", "STOP", "GTX", "RPI",
    "BOTH", "LONG", "CROSSED", "NOPE", "BTCUSDT", "币安人生USDT", "\x00", "%", "%zz", "a b", "&",
    "9" * 18, "9" * 19, "9" * 40, "-" + "9" * 18, "0." + "1" * 20, "0." + "1" * 30, "1" * 5_000,
    "x" * 36, "x" * 37, "a:b/c", "\ud7ff", "1700000000000", "253402300799000",
)  # fmt: skip
NAMES: Final = (
    "symbol", "side", "type", "timeInForce", "quantity", "price", "reduceOnly", "positionSide",
    "newClientOrderId", "origClientOrderId", "orderId", "fromId", "startTime", "endTime", "limit",
    "leverage", "marginType", "dualSidePosition", "multiAssetsMargin", "stopPrice", "countdownTime",
    "closePosition", "newOrderRespType", "goodTillDate", "priceMatch", "selfTradePreventionMode",
    "algoType", "triggerPrice", "clientAlgoId", "algoId", "workingType", "priceProtect",
    "callbackRate", "activatePrice", "listenKey", "incomeType", "amount", "asset", "feeBurn",
    "batchOrders", "orderIdList", "origClientOrderIdList", "autoCloseType", "interval", "pair",
    "contractType", "recvWindow", "timestamp", "signature", "page",
)  # fmt: skip


@dataclass
class Sight:
    """What the fuzzer has seen of the venue, so that it can ask about what is there."""

    symbols: tuple[str, ...]
    bids: dict[str, Decimal]
    ticks: dict[str, Decimal]
    steps: dict[str, Decimal]
    now_ms: int = 0
    ids: deque[str] = field(default_factory=lambda: deque(["1"], maxlen=50))
    names: deque[str] = field(default_factory=lambda: deque(["mine"], maxlen=50))

    def remember(self, body: object) -> None:
        """Note the ids in an answer."""
        if isinstance(body, list):
            for row in body[:5]:
                self.remember(row)
        elif isinstance(body, dict):
            for name in ("orderId", "algoId", "id"):
                if isinstance(body.get(name), int):
                    self.ids.append(str(body[name]))
            for name in ("clientOrderId", "clientAlgoId"):
                if isinstance(body.get(name), str):
                    self.names.append(body[name])


class Values:
    """Likely values by parameter; all chance comes from ``dice``."""

    def __init__(self, dice: Random, sight: Sight) -> None:
        self._dice = dice
        self._sight = sight
        self._symbol = sight.symbols[0]
        self._makers: dict[str, Callable[[], str]] = self._number_makers() | self._word_makers()

    def begin(self) -> None:
        """Choose the symbol that the next request is about."""
        self._symbol = self._dice.choice(self._sight.symbols)

    def of(self, name: str) -> str:
        """A likely value; an odd word where nothing is likely."""
        maker = self._makers.get(name)
        return self.odd() if maker is None else maker()

    def odd(self) -> str:
        """A word that fits almost nowhere."""
        return self._dice.choice(ODD_WORDS)

    def near(self, percent: int) -> str:
        """A price within so many percent of the market, mostly on the tick."""
        bid, tick = self._sight.bids[self._symbol], self._sight.ticks[self._symbol]
        moved = bid * (10_000 + self._dice.randint(-100 * percent, 100 * percent)) / 10_000
        price = moved // tick * tick
        return f"{price + (tick / 3 if self._dice.random() < 0.02 else 0):f}"[:20]

    def _quantity(self) -> str:
        worth = self._dice.choice((6, 60, 300, 2_000, 20_000))
        step = self._sight.steps[self._symbol]
        if self._dice.random() < 0.05:
            step /= 10
        return f"{worth / self._sight.bids[self._symbol] // step * step + step:f}"

    def _time(self) -> str:
        return str(self._sight.now_ms - self._dice.choice((0, 1_000, 3_600_000, 8 * 86_400_000)))

    def _one_of(self, *words: str) -> Callable[[], str]:
        return lambda: self._dice.choice(words)

    def _batch(self) -> str:
        names = ("symbol", "side", "type", "timeInForce", "quantity", "price", "positionSide")
        orders = []
        for _ in range(self._dice.randint(0, 6)):
            order = {name: self.of(name) for name in names if self._dice.random() < 0.95}
            if self._dice.random() < 0.3:
                order["orderId"] = self.of("orderId")
            orders.append(order)
        return msgspec.json.encode(orders).decode()

    def _number_makers(self) -> dict[str, Callable[[], str]]:
        dice, sight = self._dice, self._sight
        return {
            "quantity": self._quantity,
            "price": lambda: self.near(dice.choice((0, 1, 4, 12))),
            "triggerPrice": lambda: self.near(dice.choice((0, 1, 5))),
            "stopPrice": lambda: self.near(2),
            "activatePrice": lambda: self.near(1),
            "callbackRate": self._one_of("0.1", "1", "10", "0.05", "11"),
            "orderId": lambda: dice.choice(sight.ids),
            "algoId": lambda: dice.choice(sight.ids),
            "fromId": lambda: dice.choice(sight.ids),
            "startTime": self._time,
            "endTime": self._time,
            "limit": self._one_of("1", "5", "100", "500", "1000", "1501"),
            "leverage": self._one_of("1", "5", "20", "50", "125", "126"),
            "amount": self._one_of("1", "10", "100.5", "100000"),
            "countdownTime": self._one_of("0", "1000", "60000"),
            "goodTillDate": lambda: str(sight.now_ms + dice.choice((601_000, 700_000, 1_000))),
            "recvWindow": self._one_of("5000", "1", "60000", "60001", "0", "-1"),
            "page": self._one_of("1", "2"),
            "orderIdList": lambda: f"[{dice.choice(sight.ids)},{dice.choice(sight.ids)}]",
            "batchOrders": self._batch,
        }

    def _word_makers(self) -> dict[str, Callable[[], str]]:
        dice, sight, one_of = self._dice, self._sight, self._one_of
        return {
            "symbol": lambda: self._symbol,
            "pair": lambda: self._symbol,
            "side": one_of("BUY", "SELL"),
            "type": one_of(
                "LIMIT", "LIMIT", "LIMIT", "MARKET", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET",
                "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET", "1", "2",
            ),
            "timeInForce": one_of("GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD", "RPI"),
            "reduceOnly": one_of("true", "false"),
            "closePosition": one_of("true", "false"),
            "priceProtect": one_of("TRUE", "FALSE"),
            "dualSidePosition": one_of("true", "false"),
            "multiAssetsMargin": one_of("true", "false"),
            "feeBurn": one_of("true", "false"),
            "positionSide": one_of("BOTH", "BOTH", "LONG", "SHORT"),
            "marginType": one_of("ISOLATED", "CROSSED"),
            "newOrderRespType": one_of("ACK", "RESULT"),
            "workingType": one_of("MARK_PRICE", "CONTRACT_PRICE"),
            "priceMatch": one_of("NONE", "OPPONENT", "QUEUE", "OPPONENT_5", "QUEUE_20"),
            "selfTradePreventionMode": one_of(
                "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"
            ),
            "algoType": one_of("CONDITIONAL"),
            "newClientOrderId": lambda: f"c{dice.randint(1, 200)}",
            "clientAlgoId": lambda: f"a{dice.randint(1, 200)}",
            "origClientOrderId": lambda: dice.choice(sight.names),
            "origClientOrderIdList": lambda: f'["{dice.choice(sight.names)}"]',
            "incomeType": one_of("COMMISSION", "REALIZED_PNL", "FUNDING_FEE", "TRANSFER"),
            "asset": one_of("USDT", "BNB"),
            "autoCloseType": one_of("LIQUIDATION", "ADL"),
            "interval": one_of("1m", "5m", "1h", "1d", "1s", "2m"),
            "contractType": one_of("PERPETUAL", "CURRENT_QUARTER"),
        }  # fmt: skip
