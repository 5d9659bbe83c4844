"""A slice of `make fuzz`: whatever is asked, the venue answers in its own words."""

from decimal import Decimal

import pytest

from fuzz.venue import FuzzedVenue, RuleBrokenError
from services.paper_exchange.state.ledger import FEES

REQUESTS = 2_000


def ask(venue: FuzzedVenue, requests: int) -> None:
    for _ in range(requests):
        venue.step()


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_requests_are_answered_in_the_venues_words(seed):
    venue = FuzzedVenue(seed)
    ask(venue, REQUESTS)
    assert sum(venue.told.values()) == REQUESTS
    assert venue.told["accepted"] > REQUESTS // 5
    assert len(venue.told) > 30, "most of what the venue can refuse is refused"


def test_one_seed_asks_the_same_and_is_told_the_same():
    told = []
    for _ in range(2):
        venue = FuzzedVenue(3)
        ask(venue, 300)
        told.append((venue.told, venue.exchange.ledger.balances))
    assert told[0] == told[1]


def test_money_made_of_nothing_is_noticed():
    venue = FuzzedVenue(4)
    venue.exchange.ledger.balances[FEES] += Decimal("0.00000001")
    with pytest.raises(RuleBrokenError, match="the ledger sums to 1E-8"):
        venue.step()


def test_a_request_that_raises_is_noticed(monkeypatch):
    venue = FuzzedVenue(5)
    monkeypatch.setattr("fuzz.venue.answer", lambda *_: 1 // 0)
    with pytest.raises(RuleBrokenError, match="raised by"):
        ask(venue, 20)
