"""Which strategies run, on which symbols, with which parameters; and how far back they warm up."""

from functools import partial
from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from libs.common.model.settings import Section, ServiceConfig
from libs.common.runtime.config import CommonConfig
from libs.common.runtime.errors import ConfigError
from services.signal.core import Series, StrategyRun
from services.signal.loading import load_strategy
from services.signal.strategies.contract import Parameters, Strategy, hash_parameters


class StrategyConfig(Section):
    """One strategy at work.

    Attributes:
        id: how its intents, orders and figures are called.
        strategy: a short name or the dotted path of its class.
        symbols: none means all symbols of the common configuration.
        interval: none means the first candle interval of the common configuration.
        intent_ttl_ms: market time after the candle's close at which its intents expire.
        parameters: the strategy's own settings; it checks them itself.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    strategy: str
    symbols: tuple[str, ...] | None = None
    interval: str | None = None
    intent_ttl_ms: int = Field(5_000, ge=1, le=60_000)
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _strategy_exists(self) -> "StrategyConfig":
        self.load()
        return self

    def load(self) -> tuple[type[Strategy], Parameters, str]:
        """The class, its checked parameters and their hash.

        Raises:
            ValueError: no such strategy, or a parameter it does not take.
        """
        path, strategy = load_strategy(self.strategy)
        try:
            parameters = strategy.Parameters.model_validate(self.parameters)
        except ValidationError as error:
            faults = "; ".join(
                ".".join(("parameters", *(str(part) for part in fault["loc"])))
                + f": {fault['msg']}"
                for fault in error.errors(include_input=False, include_url=False)
            )
            raise ValueError(f"{self.strategy}: {faults}") from None
        return strategy, parameters, hash_parameters(path, parameters)


class SignalConfig(ServiceConfig):
    """Settings of signal.

    Attributes:
        strategies: both that ship, unless told otherwise; an empty list proposes nothing.
        warmup_bars: stored candles per symbol and interval that a start replays.
        warmup_messages_max: stored candles of any kind that a start looks through for them.
        warmup_batch: stored candles asked for at once.
    """

    title: ClassVar[str] = "signal"

    http_port: int = 8102
    strategies: tuple[StrategyConfig, ...] = (
        StrategyConfig(id="rsi", strategy="rsi_crossover"),
        StrategyConfig(id="ema", strategy="ema_cross"),
    )
    warmup_bars: int = Field(2_000, ge=0, le=100_000)
    warmup_messages_max: int = Field(50_000, ge=0, le=1_000_000)
    warmup_batch: int = Field(100, ge=1, le=1_000)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "SignalConfig":
        ids = [strategy.id for strategy in self.strategies]
        if len(set(ids)) != len(ids):
            raise ValueError(f"strategies need different ids, not {', '.join(ids)}")
        return self


def build_series(common: CommonConfig, settings: SignalConfig) -> dict[tuple[str, str], Series]:
    """The series of candles that are folded: every common one, with the strategies that follow it.

    Raises:
        ConfigError: a strategy asks for candles that feed does not make, or for a longer warm-up.
    """
    runs: dict[tuple[str, str], list[StrategyRun]] = {
        (symbol, interval): [] for symbol in common.symbols for interval in common.candle_intervals
    }
    for entry in settings.strategies:
        kind, parameters, parameter_hash = entry.load()
        needed = kind(parameters).warmup_bars
        if needed > settings.warmup_bars:
            raise ConfigError(
                f"signal.strategies: {entry.id!r} needs {needed} candles to warm up;"
                f" signal.warmup_bars is {settings.warmup_bars}"
            )
        interval = entry.interval or common.candle_intervals[0]
        for symbol in common.symbols if entry.symbols is None else entry.symbols:
            if (symbol, interval) not in runs:
                raise ConfigError(
                    f"signal.strategies: {entry.id!r} wants {interval} candles of {symbol}, which"
                    " are not in symbols and candle_intervals of the common configuration"
                )
            runs[symbol, interval].append(
                StrategyRun(
                    strategy_id=entry.id,
                    parameter_hash=parameter_hash,
                    intent_ttl_ms=entry.intent_ttl_ms,
                    build=partial(kind, parameters),
                )
            )
    return {key: Series(tuple(found)) for key, found in runs.items()}
