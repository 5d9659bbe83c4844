"""What a strategy is: parameters that were checked, state of its own, and wishes per candle."""

import hashlib
from typing import Any, ClassVar, Protocol

import msgspec
from pydantic import BaseModel, ConfigDict

from libs.common.messages.market import Candle
from libs.common.model.intent import Purpose
from libs.common.model.order import Side


class Parameters(BaseModel):
    """The settings of a strategy: frozen, checked, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy wants now. Size, price and permission are for others to decide.

    Attributes:
        purpose: ENTER takes a position, EXIT gives all of it back.
        side: of the order: an EXIT from a long position sells.
    """

    purpose: Purpose
    side: Side


class Strategy(Protocol):
    """A fold over candles: equal candles give equal wishes, so its state can be rebuilt by replay.

    It sees the closed candles of one symbol and interval, gap-free and in order, and no clock. It
    asks for at most one thing per candle. It does not learn of fills: where its belief is wrong,
    risk and the gate refuse.
    """

    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: Any) -> None: ...

    @property
    def warmup_bars(self) -> int:
        """Candles it needs before it can wish for anything."""

    def on_candle(self, candle: Candle) -> tuple[Wish, ...]:
        """Fold one candle; returns what it wants now, most often nothing."""


def hash_parameters(strategy: str, parameters: Parameters) -> str:
    """Twelve hex digits that stand for a strategy's class and all of its settings."""
    canonical = msgspec.json.encode(
        [strategy, parameters.model_dump(mode="json")], order="deterministic"
    )
    return hashlib.sha256(canonical).hexdigest()[:12]
