"""The holes of one series of candles: each is found once, and each ends filled or lost."""


class Gaps:
    """Counts holes; ``found`` is always ``filled`` + ``lost`` + ``open``."""

    def __init__(self) -> None:
        self.found = self.filled = self.lost = self.open = 0
        self._lost_from_ns = self._lost_until_ns = 0

    def find(self) -> None:
        """A hole shows itself."""
        self.found += 1
        self.open += 1

    def fill(self) -> None:
        """Every open hole is closed: what was missing is known."""
        self.filled += self.open
        self.open = 0

    def lose(self, from_ns: int, until_ns: int) -> None:
        """The open holes cannot be filled; nobody knows the candles between two times."""
        if self.open == 0:
            self.find()
        self.lost += self.open
        self.open = 0
        self._lost_from_ns, self._lost_until_ns = from_ns, until_ns

    def report(self) -> dict[str, object]:
        """The counts, for people."""
        return {"gaps": self.found, "gaps_filled": self.filled, "gaps_lost": self.lost}

    def is_grave(self, next_open_ns: int, limit_ns: int) -> bool:
        """Whether candles that are lost span more than a limit, and not as much was whole since.

        Args:
            next_open_ns: where the series goes on.
            limit_ns: how much may be missing.
        """
        is_long = self._lost_until_ns - self._lost_from_ns > limit_ns
        return is_long and next_open_ns < self._lost_until_ns + limit_ns
