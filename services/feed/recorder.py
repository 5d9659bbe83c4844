"""Writes what the feed hears as tapes: ``<local_ns> <combined-stream json>``, gzip, one a symbol.

A tape goes on over reconnects; it is closed when the process ends and never continued: a later one
gets a name of its own. What two sockets tell while one replaces the other is written once. Clock
frames and klines are not recorded; a tape is played back through the paper exchange, which makes
both itself. A tape that cannot be written any more is closed as it stands, and the feed goes on.
"""

import gzip
import re
from pathlib import Path
from typing import Any

from libs.common.runtime.log import get_logger
from services.feed.events import DepthEvent, Frame, MarkEvent, QuoteEvent, TradeEvent

log = get_logger(__name__)

_UNSAFE = re.compile(r"\W")
#: Lines are compressed in blocks of about this size.
BLOCK_BYTES = 65_536
#: gzip level 1: a third of the CPU of the default for a tenth more bytes.
COMPRESSION = 1
#: Messages of a stream by which one that two sockets tell is known.
NUMBERS_REMEMBERED_MAX = 512


class Recorder:
    """The open tapes.

    Attributes:
        lines: lines taken; ``repeated`` were told twice and are not among them.
        dropped: what came after the end, or was lost with a disk that failed.
        stopped: why nothing is recorded any more; empty while it is.
    """

    def __init__(self, folder: Path, started_ns: int, bytes_max: int) -> None:
        self._folder = folder
        self._started_s = started_ns // 1_000_000_000
        self._bytes_left = bytes_max
        self._tapes: dict[str, gzip.GzipFile] = {}
        self._blocks: dict[str, bytearray] = {}
        self._recent: dict[str, dict[int, None]] = {}
        self.lines = 0
        self.repeated = 0
        self.dropped = 0
        self.stopped = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._end(f"{folder} cannot be made: {error.strerror}")

    def write(self, local_ns: int, payload: bytes, frame: Frame) -> None:
        """Record one frame; called from the reader, so it only compresses now and then."""
        data = frame.data
        if isinstance(data, QuoteEvent):
            number = data.update_id
        elif isinstance(data, TradeEvent):
            number = data.trade_id
        elif isinstance(data, DepthEvent):
            number = data.last_id
        elif isinstance(data, MarkEvent):
            number = data.event_ms
        else:
            return
        recent = self._recent.setdefault(frame.stream, {})
        if number in recent:
            self.repeated += 1
            return
        recent[number] = None
        if len(recent) > NUMBERS_REMEMBERED_MAX:
            del recent[next(iter(recent))]
        self._add(local_ns, data.symbol, payload)

    def write_snapshot(self, local_ns: int, symbol: str, payload: bytes) -> None:
        """Record an order book as REST told it: a tape's changes need one to stand on."""
        self._add(local_ns, symbol, payload)

    def _add(self, local_ns: int, symbol: str, payload: bytes) -> None:
        size = len(payload) + 21
        if not self.stopped and self._bytes_left < size:
            self._end("its size limit is reached (record_bytes_max)")
        if self.stopped:
            self.dropped += 1
            return
        self._bytes_left -= size
        block = self._blocks.setdefault(symbol, bytearray())
        block += b"%d " % local_ns
        block += payload
        block += b"\n"
        self.lines += 1
        if len(block) >= BLOCK_BYTES:
            self._flush(symbol)

    def on_reconnected(self, streams: tuple[str, ...]) -> None:
        """These streams begin anew, and a venue may count from new numbers."""
        for stream in streams:
            self._recent.pop(stream, None)

    def close(self) -> None:
        """Write what is left and close every tape."""
        for symbol in tuple(self._blocks):
            self._flush(symbol)
        for symbol, tape in tuple(self._tapes.items()):
            try:
                tape.close()
            except OSError as error:
                # Closing writes too; the file itself is closed all the same.
                self._end(f"the tape of {symbol} cannot be closed: {error.strerror}")
        self._tapes.clear()

    def status(self) -> dict[str, Any]:
        """A part of ``/v1/status``."""
        return {
            "lines": self.lines,
            "repeated": self.repeated,
            "dropped": self.dropped,
            "stopped": self.stopped,
        }

    def _flush(self, symbol: str) -> None:
        block = self._blocks.pop(symbol, None)
        if block is None:
            return
        try:
            tape = self._tapes.get(symbol)
            if tape is None:
                name = f"{_UNSAFE.sub('', symbol).lower()}_{self._started_s}.gz"
                path = self._folder / name
                tape = self._tapes[symbol] = gzip.open(path, "wb", COMPRESSION)  # noqa: SIM115
            tape.write(block)
        except OSError as error:
            self.dropped += block.count(b"\n")
            self._end(f"the tape of {symbol} cannot be written: {error.strerror}")

    def _end(self, why: str) -> None:
        """Stop recording and keep what there is; whoever listens to the market goes on."""
        if self.stopped:
            return
        self.stopped = f"recording stopped: {why}"
        log.error("recording stopped", folder=str(self._folder), why=why)
        self.close()
