"""Our client of the WebSocket API against the paper exchange's side of it, written apart."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_socket import VenueSocket
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import Accepted, Rejected

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def venue_url() -> Iterator[str]:
    """A paper exchange whose market stands still."""
    options = ("-m", "services.paper_exchange", "--hold", "--symbols", "BTCUSDT")
    process = subprocess.Popen([sys.executable, *options], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if json.loads(line).get("event") == "listening":
                yield f"http://127.0.0.1:{json.loads(line)['port']}"
                break
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def test_the_paper_exchange_takes_orders_over_the_socket(venue_url: str) -> None:
    async with aiohttp.ClientSession(base_url=venue_url) as session:
        async with session.post("/sim/accounts", json={"balance": "10000"}) as made:
            account = await made.json()
        async with session.get("/sim/clock") as clock:
            now_ns = int((await clock.json())["now_ns"])
    socket = VenueSocket(
        venue_url.replace("http", "ws", 1) + "/ws-fapi/v1",
        api_key=account["api_key"],
        api_secret=Secret(account["secret"]),
        dice=random.Random(1),
    )
    socket.start()
    async with asyncio.timeout(5):
        while not socket.is_open:
            await asyncio.sleep(0.01)
    client = VenueClient(
        venue_url,
        lambda: now_ns,
        api_key=account["api_key"],
        api_secret=Secret(account["secret"]),
        order_socket=socket,
    )
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": "20000.10",
        "newClientOrderId": "socket-1",
    }
    placed = await client.place_order(order, timestamp_ms=client.timestamp_ms())
    assert isinstance(placed, Accepted), placed
    assert placed.headers["x-mbx-order-count-10s"] == "1"
    found = await client.query_order("BTCUSDT", "socket-1")
    assert found is not None
    assert found.status == "NEW"
    assert isinstance(await client.cancel_order("BTCUSDT", "socket-1"), Accepted)
    again = await client.cancel_order("BTCUSDT", "socket-1")
    assert isinstance(again, Rejected)
    assert again.reason is Reason.NOT_FOUND
    assert socket.answers_lost == socket.strays == socket.unreadable == 0
    await client.close_connection()
