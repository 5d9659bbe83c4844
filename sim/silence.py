"""Takes the services' logs away, or into the story: a log line costs more than a step."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sim.loop import LIFE

if TYPE_CHECKING:
    from sim.world import World

_SERVICES = ("libs.common.", "services.")
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


class _Silence:
    """A logger that says nothing."""

    def __init__(self) -> None:
        for level in _LEVELS:
            setattr(self, level, _nothing)


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


@contextmanager
def silenced(world: "World") -> Iterator[None]:
    """Replace the logger of every loaded module of ours until the world has ended."""
    logger: Any = _Silence() if world.story is None else _Teller(world)
    replaced = []
    for name, module in list(sys.modules.items()):
        if name.startswith(_SERVICES):
            for attribute in ("log", "_log"):
                if hasattr(getattr(module, attribute, None), "bind"):
                    replaced.append((module, attribute, getattr(module, attribute)))
                    setattr(module, attribute, logger)
    try:
        yield
    finally:
        for module, attribute, original in replaced:
            setattr(module, attribute, original)
