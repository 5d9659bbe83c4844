"""What has to hold before anything risk-increasing may be sent."""

CHECKS = ("journal", "filters", "settings", "user_stream", "clock", "marks", "reconciled")


class Arming:
    """The checks of this process's life. All start as not passed; each says why."""

    def __init__(self) -> None:
        self._failing = dict.fromkeys(CHECKS, "not checked yet")

    def passed(self, check: str) -> None:
        """The check holds now."""
        assert check in CHECKS, check
        self._failing.pop(check, None)

    def failed(self, check: str, why: str) -> None:
        """The check does not hold (any more)."""
        assert check in CHECKS, check
        self._failing[check] = why

    def is_failing(self, check: str) -> bool:
        """Whether the check does not hold, or was not made yet."""
        assert check in CHECKS, check
        return check in self._failing

    @property
    def unarmed(self) -> tuple[str, ...]:
        """The checks that do not hold, with the reason; empty when armed."""
        return tuple(f"{check}: {why}" for check, why in sorted(self._failing.items()))
