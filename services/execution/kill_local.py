"""Halts that hold in this process before the journal says so: by file, or with the broker away.

While the halt file exists nothing leaves this process. It is looked at from a loop of its own,
which waits for nobody. What halted us is journaled as soon as the journal can be written.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from services.execution.commands import HALT_FILE

log = get_logger(__name__)

REASON_LENGTH_MAX = 500
RETRY_WAIT_S = 0.5
#: Why nothing leaves while a halt asked over HTTP is not in the journal.
UNJOURNALED = "a halt that is not journaled yet"

Halt = Callable[[str, str], Awaitable[None]]


class LocalHalt:
    """Keeps the gate of this process shut, and the journal informed of it."""

    def __init__(self, closing: set[str], halt: Halt, path: Path | None, poll_wall_ms: int) -> None:
        self._closing = closing
        self._halt = halt
        self._path = path
        self._poll_s = poll_wall_ms / 1000
        self._untold: dict[str, tuple[str, str]] = {}

    def hold(self, actor: str, reason: str) -> None:
        """Halt now, and journal it when that is possible."""
        self._closing.add(UNJOURNALED)
        self._untold[UNJOURNALED] = (actor, reason)

    async def watch_file(self) -> None:
        """Shut the gate while the file exists. Lifting the halt itself takes a person."""
        while self._path is not None:
            self.look()
            await asyncio.sleep(self._poll_s)

    def look(self) -> None:
        """Look at the file once."""
        reason = _read(self._path) if self._path is not None else None
        if reason is None:
            self._closing.discard(HALT_FILE)
            self._untold.pop(HALT_FILE, None)
        elif HALT_FILE not in self._closing:
            log.warning("halted by file", path=str(self._path), reason=reason)
            self._closing.add(HALT_FILE)
            self._untold[HALT_FILE] = (HALT_FILE, reason)

    async def tell_journal(self) -> None:
        """Journal every local halt, however long that takes."""
        while True:
            for name, (actor, reason) in tuple(self._untold.items()):
                try:
                    await self._halt(actor, reason)
                except BusError as error:
                    log.warning("a halt is in force and not journaled yet", error=str(error))
                else:
                    self._untold.pop(name, None)
                    if name is UNJOURNALED:
                        self._closing.discard(UNJOURNALED)
            await asyncio.sleep(RETRY_WAIT_S if self._untold else self._poll_s)


def _read(path: Path) -> str | None:
    """What the file says; ``None`` if there is none. A file that cannot be read is there."""
    try:
        with path.open("rb") as file:
            text = file.read(REASON_LENGTH_MAX).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path.name} cannot be looked at: {error.strerror}"
    return text or f"{path.name} exists"
