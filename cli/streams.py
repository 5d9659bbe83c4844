"""Reads a stored stream from its first message to its last, as it was when reading began."""

import asyncio
from collections.abc import AsyncIterator

from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusUnavailable

READ_AHEAD_MAX = 64


async def read_stream(bus: Bus, stream: str) -> AsyncIterator[RawStreamMsg]:
    """The messages of a stream in order; none if there is no such stream.

    Raises:
        BusUnavailable: the broker did not answer.
    """
    try:
        info = await bus.jetstream.stream_info(stream)
    except NotFoundError:
        return
    except (NatsError, TimeoutError) as error:
        raise BusUnavailable(f"the broker did not tell of {stream}: {error!r}") from error
    start, last = max(1, info.state.first_seq), info.state.last_seq
    while start <= last:
        end = min(start + READ_AHEAD_MAX, last + 1)
        batch = await asyncio.gather(*(bus.read_message(stream, n) for n in range(start, end)))
        for message in batch:
            if message is not None:
                yield message
        start = end
