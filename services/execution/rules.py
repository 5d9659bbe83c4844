"""The venue's rules of our symbols, read one by one: a bad entry costs its own symbol alone."""

from collections.abc import Collection, Mapping

import msgspec

from libs.common.model.instrument import Instrument
from libs.common.venue.payloads import ExchangeInfo, PayloadError

#: Status of a symbol whose rules were known once and can no longer be read.
UNREADABLE = "UNREADABLE"


def rules_of(
    wanted: Collection[str], info: ExchangeInfo, known: Mapping[str, Instrument]
) -> tuple[tuple[Instrument, ...], dict[str, str]]:
    """The rules of every wanted symbol that has any, and why the others are refused.

    A symbol that was known before keeps its last rules under the status UNREADABLE: nothing is
    entered, and an exit can still be cut to a size that the venue may take.
    """
    infos, unreadable = info.read()
    entries = {one.symbol: one for one in infos}
    found: list[Instrument] = []
    refused: dict[str, str] = {}
    for symbol in dict.fromkeys(wanted):
        if symbol not in entries:
            refused[symbol] = f"{symbol} {unreadable.get(symbol, 'is not listed')}"
        else:
            try:
                found.append(entries[symbol].to_instrument())
            except PayloadError as error:
                refused[symbol] = str(error)
        if symbol in refused and symbol in known:
            found.append(msgspec.structs.replace(known[symbol], status=UNREADABLE))
    return tuple(found), refused
