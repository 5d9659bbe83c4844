"""The venue's own word about a book, heard beside the feed, to compare the feed's book with."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final

import aiohttp

from libs.common.messages.market import BookLevel, Depth

LEVELS: Final = 20
SNAPSHOTS_MAX: Final = 2_000
"""Snapshots kept, oldest forgotten: ten seconds of wall time at the speed of the drills."""

Levels = list[tuple[Decimal, Decimal]]


class BookWitness:
    """The best levels of one symbol after each change that the venue's snapshot stream told."""

    def __init__(self) -> None:
        self._by_update: dict[int, tuple[Levels, Levels]] = {}

    def hear(self, text: str) -> None:
        """Take one message of the stream; garbage, which drills throw at every socket, is none."""
        try:
            said = json.loads(text)["data"]
        except ValueError:
            return
        self._by_update[said["u"]] = _rows(said["b"]), _rows(said["a"])
        if len(self._by_update) > SNAPSHOTS_MAX:
            del self._by_update[next(iter(self._by_update))]

    def agrees(self, said: Depth) -> bool:
        """Whether a book is the venue's as of the change it names; no, where that was not told."""
        told = self._by_update.get(said.update_id)
        return told is not None and told == (_levels(said.bids), _levels(said.asks))


@contextlib.asynccontextmanager
async def book_witness(venue_url: str, symbol: str) -> AsyncIterator[BookWitness]:
    """A witness with a socket of its own."""
    witness = BookWitness()
    url = f"{venue_url}/public/stream?streams={symbol.lower()}@depth{LEVELS}@100ms"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:

        async def listen() -> None:
            async for message in socket:
                witness.hear(message.data)

        listening = asyncio.create_task(listen(), name="book-witness")
        try:
            yield witness
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _levels(levels: Sequence[BookLevel]) -> Levels:
    return [(one.price, one.quantity) for one in levels[:LEVELS]]


def _rows(rows: Sequence[Sequence[str]]) -> Levels:
    return [(Decimal(price), Decimal(quantity)) for price, quantity in rows]
