"""The clients that judge the venue: each one's driver and the lock of its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DRIVERS: Final = Path(__file__).resolve().parent / "clients"


@dataclass(frozen=True)
class Client:
    """A third-party client, as one column of the table."""

    name: str
    lock: str
    driver: str

    @property
    def path(self) -> Path:
        """The driver's file."""
        return _DRIVERS / self.driver


CLIENTS: Final = (
    Client("python-binance", "python-binance", "drive_python_binance.py"),
    Client("python-binance async", "python-binance", "drive_python_binance_async.py"),
    Client("futures-connector", "binance-futures-connector", "drive_futures_connector.py"),
    Client("ccxt", "ccxt", "drive_ccxt.py"),
    Client("official SDK", "official-sdk", "drive_official_sdk.py"),
)
