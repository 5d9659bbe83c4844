"""How many connection attempts the processes of one address make together."""

import random

import pytest
from pydantic import ValidationError

from services.execution.config import ExecutionConfig
from services.feed.backoff import Backoff
from services.feed.config import FeedConfig

VENUE_ATTEMPTS_MAX = 300
VENUE_WINDOW_MS = 300_000
REPLICAS = 2


def user_stream_attempts(seed):
    """Attempts in the venue's window of a user stream that never comes up and fails at once."""
    settings = ExecutionConfig()
    waits = Backoff(settings.reconnect_wait_ms, settings.reconnect_wait_ms_max, random.Random(seed))
    attempts = passed_ms = 0
    while passed_ms < VENUE_WINDOW_MS:
        attempts += 1
        passed_ms += waits.next_ms()
    return attempts


def test_two_replicas_and_the_user_streams_together_stay_below_the_venues_limit():
    settings = FeedConfig()
    assert settings.attempts_window_ms == VENUE_WINDOW_MS
    of_user_streams = max(user_stream_attempts(seed) for seed in range(1_000))
    assert REPLICAS * (settings.attempts_max + of_user_streams) < VENUE_ATTEMPTS_MAX


def test_more_attempts_than_the_venue_allows_an_address_cannot_be_set():
    assert FeedConfig(attempts_max=VENUE_ATTEMPTS_MAX).attempts_max == VENUE_ATTEMPTS_MAX
    with pytest.raises(ValidationError, match="attempts_max"):
        FeedConfig(attempts_max=VENUE_ATTEMPTS_MAX + 1)
