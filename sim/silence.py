"""Takes the services' logs and metrics away (or the logs into the story): they cost time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics import MetricWrapperBase

from sim.loop import LIFE

if TYPE_CHECKING:
    from sim.world import World

_SERVICES = ("libs.common.", "services.")
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_LOGGERS = ("log", "_log")


class _Silence:
    """A logger that says nothing."""

    def __init__(self) -> None:
        for level in _LEVELS:
            setattr(self, level, _nothing)


class _NoMetric:
    """A metric that counts nothing."""

    def labels(self, *_: object) -> "_NoMetric":
        return self

    inc = dec = set = observe = staticmethod(lambda *_: None)


class _Teller:
    """A logger that tells the story what a process said."""

    def __init__(self, world: "World") -> None:
        self._world = world
        for level in _LEVELS:
            setattr(self, level, self._tell)

    def _tell(self, event: str, *_: object, **fields: object) -> None:
        life = LIFE.get()
        shown = " ".join(f"{name}={value}" for name, value in fields.items() if name != "exc_info")
        self._world.note(f"    {life.name if life else '?'}: {event} {shown}"[:300])


def _nothing(*_: object, **__: object) -> None:
    return None


@cache
def _spoken(modules: int) -> tuple[tuple[ModuleType, str, Any], ...]:
    """Every logger and metric of our modules; looked up again only when modules were loaded."""
    assert modules
    found = []
    for name, module in list(sys.modules.items()):
        if not name.startswith(_SERVICES):
            continue
        for attribute, value in vars(module).items():
            is_logger = attribute in _LOGGERS and hasattr(value, "bind")
            if is_logger or isinstance(value, MetricWrapperBase):
                found.append((module, attribute, value))
    return tuple(found)


@contextmanager
def silenced(world: "World") -> Iterator[None]:
    """Replace every logger and metric until the world has ended."""
    logger: Any = _Silence() if world.story is None else _Teller(world)
    metric = _NoMetric()
    found = _spoken(len(sys.modules))
    for module, attribute, _ in found:
        setattr(module, attribute, logger if attribute in _LOGGERS else metric)
    try:
        yield
    finally:
        for module, attribute, original in found:
            setattr(module, attribute, original)
