"""The published keys of the demo account, so that a first run needs no set-up.

They open nothing but a simulated account on the machine that runs the paper exchange. Publishing
them is the point: everyone who reads this file may use them.
"""

from __future__ import annotations

from typing import Final

DEMO_ACCOUNT_ID: Final = "demo"

DEMO_TRADE_KEY: Final = "PaperDemoTradeKey00000000000000000000000000000000000000000000001"
DEMO_TRADE_SECRET: Final = "PaperDemoTradeSecret00000000000000000000000000000000000000000001"  # noqa: S105

DEMO_READ_KEY: Final = "PaperDemoReadKey000000000000000000000000000000000000000000000002"
DEMO_READ_SECRET: Final = "PaperDemoReadSecret000000000000000000000000000000000000000000002"  # noqa: S105
