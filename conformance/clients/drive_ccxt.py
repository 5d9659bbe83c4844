"""ccxt as binanceusdm: unified REST methods, ccxt.pro for streams and the WebSocket API."""

from __future__ import annotations

import sys
from typing import Final

from conformance.clients import (
    drive_ccxt_account,
    drive_ccxt_algos,
    drive_ccxt_edges,
    drive_ccxt_market,
    drive_ccxt_orders,
    drive_ccxt_streams,
)
from conformance.clients.drive_ccxt_session import rest
from conformance.driver import run

_UNHEARD: Final = "ccxt.pro has no handler of this event (pro/binance.py, handle_message)"
ABSENT: Final = {
    "user_stream.trade_lite": _UNHEARD,
    "user_stream.account_config_update": _UNHEARD,
    "user_stream.listen_key_expired": _UNHEARD,
    "socket_api.listen_key": "ccxt.pro asks for listen keys over REST",
    "socket_api.session": "ccxt.pro signs every request of the WebSocket API",
    "stream.continuous_kline": "ccxt.pro subscribes to klines by symbol only",
    "stream.partial_depth": "ccxt.pro builds every book from the changes and a snapshot",
}
CHECKS: Final = (
    drive_ccxt_account,
    drive_ccxt_algos,
    drive_ccxt_edges,
    drive_ccxt_market,
    drive_ccxt_orders,
    drive_ccxt_streams,
)

if __name__ == "__main__":
    sys.exit(run(ABSENT, before=rest.load_markets))
