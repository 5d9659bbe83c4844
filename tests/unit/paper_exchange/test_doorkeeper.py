"""The doorkeeper: who is let in, who is told to wait, and who is banned for how long."""

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.doors.doorkeeper import Doorkeeper

MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_000_000_000_000 // MINUTE_NS * MINUTE_NS


@pytest.fixture
def doorkeeper():
    return Doorkeeper(Limits(weight_per_minute_max=10, refusals_before_ban_max=2))


def test_weight_adds_up_per_address_and_starts_anew_each_minute(doorkeeper):
    assert doorkeeper.charge("a", 4, START_NS) == 4
    assert doorkeeper.charge("a", 4, START_NS + 1) == 8
    assert doorkeeper.used("b", START_NS) == 0
    assert doorkeeper.used("a", START_NS + MINUTE_NS) == 0


def test_past_the_limit_it_says_how_long_to_wait(doorkeeper):
    doorkeeper.charge("a", 10, START_NS)
    turned = doorkeeper.admit("a", START_NS + 15_500_000_000)
    text = (
        "Too many requests; current limit of IP(a) is 10 requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    )
    assert (turned.status, turned.body) == (429, {"code": -1003, "msg": text})
    assert dict(turned.headers) == {"Retry-After": "45", "X-MBX-USED-WEIGHT-1M": "10"}
    assert doorkeeper.admit("b", START_NS) is None
    assert doorkeeper.admit("a", START_NS + MINUTE_NS) is None


def banned_for_ms(doorkeeper, now_ns):
    doorkeeper.charge("a", 10, now_ns)
    while (turned := doorkeeper.admit("a", now_ns)).status == 429:
        pass
    assert turned.status == 418
    until_ms = int(turned.body["msg"].split("banned until ")[1].split(".")[0])
    wait_ms = until_ms - now_ns // 1_000_000
    assert turned.headers["Retry-After"] == str(wait_ms // 1_000)
    return wait_ms


def test_who_goes_on_is_banned_each_time_for_longer_up_to_three_days(doorkeeper):
    now_ns, waits = START_NS, []
    for _ in range(14):
        waits.append(banned_for_ms(doorkeeper, now_ns))
        assert doorkeeper.admit("a", now_ns + waits[-1] * 1_000_000 - 1).status == 418
        now_ns += waits[-1] * 1_000_000
        now_ns += -now_ns % MINUTE_NS
        assert doorkeeper.admit("a", now_ns) is None
    assert waits[:3] == [120_000, 240_000, 480_000]
    assert waits[-1] == 3 * 86_400_000
    assert (doorkeeper.refused, doorkeeper.banned) == (14 * 3, 14)


def test_a_pardon_forgets_everything(doorkeeper):
    banned_for_ms(doorkeeper, START_NS)
    doorkeeper.pardon("a")
    assert doorkeeper.admit("a", START_NS) is None
    assert banned_for_ms(doorkeeper, START_NS) == 120_000


def test_it_remembers_so_many_addresses_only():
    doorkeeper = Doorkeeper(Limits(addresses_max=2))
    for address in "abc":
        doorkeeper.charge(address, 1, START_NS)
    assert doorkeeper.used("a", START_NS) == 0
    assert doorkeeper.used("c", START_NS) == 1
