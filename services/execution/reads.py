"""The venue's reads as execution's own upkeep uses them: tried again, every attempt accounted for.

Nothing that an order waits for is read this way: a retry may take seconds. What a decision needs at
once is asked of the venue client itself, once.
"""

import random

from libs.common.runtime.retry_read import OnEnd, OnRetry, retry_read
from libs.common.runtime.venue_client import VenueClient


class PatientReads:
    """Reads of a venue client, each with up to three retries. What fails after that is raised."""

    def __init__(
        self, venue: VenueClient, dice: random.Random, on_retry: OnRetry, on_end: OnEnd
    ) -> None:
        patient = retry_read(dice, on_retry=on_retry, on_end=on_end)
        self.query_order = patient(venue.query_order)
        self.query_order_of = patient(venue.query_order_of)
        self.all_orders = patient(venue.all_orders)
        self.user_trades = patient(venue.user_trades)
        self.position_risk = patient(venue.position_risk)
        self.income = patient(venue.income)
        self.balance = patient(venue.balance)
        self.exchange_info = patient(venue.exchange_info)
        self.server_time = patient(venue.server_time)


Reads = VenueClient | PatientReads
