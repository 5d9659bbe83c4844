"""What a service says about itself: is it up, is it ready, and if not, why."""

from enum import StrEnum
from typing import Any

import msgspec


class Level(StrEnum):
    """PASS and WARN are ready; FAIL is not. A halted service is WARN: it must not be restarted."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of readiness and what was seen of it."""

    status: Level
    output: str = ""


class Health:
    """The checks of one service. Every check starts as FAIL: nothing is ready by default."""

    def __init__(self, service: str, checks: tuple[str, ...]) -> None:
        self.service = service
        self.is_started = False
        self._checks = {name: Check(status=Level.FAIL, output="not checked yet") for name in checks}

    def set(self, name: str, status: Level, output: str = "") -> None:
        """Record what was seen of a condition."""
        self._checks[name] = Check(status=status, output=output)

    @property
    def level(self) -> Level:
        """The worst of all checks; FAIL until the service has started."""
        found = {check.status for check in self._checks.values()}
        if not self.is_started or Level.FAIL in found:
            return Level.FAIL
        return Level.WARN if Level.WARN in found else Level.PASS

    def report(self) -> dict[str, Any]:
        """The body of the health endpoints."""
        return {
            "status": self.level,
            "service": self.service,
            "checks": {
                name: {"status": check.status, "output": check.output}
                for name, check in self._checks.items()
            },
        }
