"""The test's own hand on the bus: on a busy machine it may have to wait, and that is no failure."""

from libs.common.runtime.config import BusConfig

PATIENCE_MS = 20_000


def patient(url: str) -> BusConfig:
    """Settings for a bus by which a test watches services that have settings of their own."""
    return BusConfig(url=url, publish_timeout_ms=PATIENCE_MS)
