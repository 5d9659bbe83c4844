"""Find a strategy's class by its short name or its dotted path."""

import importlib
import inspect
from typing import cast

from services.signal.strategies import SHORT_NAMES
from services.signal.strategies.contract import Parameters, Strategy


def load_strategy(name: str) -> tuple[str, type[Strategy]]:
    """The dotted path and the class.

    Args:
        name: a short name (``rsi_crossover``) or ``package.module.Class``.

    Raises:
        ValueError: there is no such class, or it lacks what a strategy has; says which.
    """
    path = SHORT_NAMES.get(name, name)
    module_name, _, class_name = path.rpartition(".")
    if not module_name:
        known = ", ".join(SHORT_NAMES)
        raise ValueError(f"no strategy {name!r}: known are {known}, or give package.module.Class")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no strategy at {path!r}: {error}") from error
    parameters = getattr(found, "Parameters", None)
    if (
        not inspect.isclass(found)
        or not callable(getattr(found, "on_candle", None))
        or not hasattr(found, "warmup_bars")
        or not (inspect.isclass(parameters) and issubclass(parameters, Parameters))
    ):
        raise ValueError(f"{path} is no strategy: see services/signal/strategies/contract.py")
    return path, cast("type[Strategy]", found)
