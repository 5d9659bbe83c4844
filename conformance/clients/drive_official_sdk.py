"""Binance's own SDK for USD-M futures: REST, streams and the WebSocket API."""

from __future__ import annotations

import logging
import sys
from typing import Final

from conformance.clients import (
    drive_official_sdk_account,
    drive_official_sdk_algos,
    drive_official_sdk_edges,
    drive_official_sdk_market,
    drive_official_sdk_orders,
    drive_official_sdk_streams,
)
from conformance.driver import run

ABSENT: Final = {
    "account.api_restrictions": "the wallet's endpoints are in another of Binance's SDKs",
    "stream.trade": "the SDK has no method for single trades, which are not in its documents",
}
CHECKS: Final = (
    drive_official_sdk_account,
    drive_official_sdk_algos,
    drive_official_sdk_edges,
    drive_official_sdk_market,
    drive_official_sdk_orders,
    drive_official_sdk_streams,
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    sys.exit(run(ABSENT))
