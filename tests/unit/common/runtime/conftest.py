"""The scripted venue the client's tests talk to."""

from collections.abc import AsyncIterator

import pytest

from libs.common.testing.scripted_venue import ScriptedVenue, answer, scripted_venue
from libs.common.testing.venue_calls import ACK


@pytest.fixture
async def venue() -> AsyncIterator[ScriptedVenue]:
    async with scripted_venue() as one:
        one.default = answer(200, ACK)
        yield one
