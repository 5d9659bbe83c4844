"""Writes what the feed hears as tapes: ``<local_ns> <combined-stream json>``, gzip, one a symbol.

A tape is closed when the process ends and never continued: a later one gets a name of its own.
Clock frames and klines are not recorded; a tape is played back through the paper exchange, which
makes both itself.
"""

import gzip
import re
from pathlib import Path

from libs.common.runtime.log import get_logger
from services.feed.events import DepthEvent, Frame, MarkEvent, QuoteEvent, TradeEvent

log = get_logger(__name__)

_RECORDED = (QuoteEvent, TradeEvent, DepthEvent, MarkEvent)
_UNSAFE = re.compile(r"\W")
#: Lines are compressed in blocks of about this size.
BLOCK_BYTES = 65_536
#: gzip level 1: a third of the CPU of the default for a tenth more bytes.
COMPRESSION = 1


class Recorder:
    """The open tapes. ``dropped`` counts what came after the limit was reached or a disk failed."""

    def __init__(self, folder: Path, started_ns: int, bytes_max: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._started_s = started_ns // 1_000_000_000
        self._bytes_left = bytes_max
        self._tapes: dict[str, gzip.GzipFile] = {}
        self._blocks: dict[str, bytearray] = {}
        self.lines = 0
        self.dropped = 0

    def write(self, local_ns: int, payload: memoryview, frame: Frame) -> None:
        """Record one frame; called from the reader, so it only compresses now and then."""
        data = frame.data
        if not isinstance(data, _RECORDED):
            return
        size = len(payload) + 21
        if self._bytes_left < size:
            if self.dropped == 0:
                log.warning("recording is full", folder=str(self._folder))
            self.dropped += 1
            return
        self._bytes_left -= size
        block = self._blocks.setdefault(data.symbol, bytearray())
        block += b"%d " % local_ns
        block += payload
        block += b"\n"
        self.lines += 1
        if len(block) >= BLOCK_BYTES:
            self._flush(data.symbol)

    def close(self) -> None:
        """Write what is left and close every tape."""
        for symbol in tuple(self._blocks):
            self._flush(symbol)
        for tape in self._tapes.values():
            tape.close()
        self._tapes.clear()

    def _flush(self, symbol: str) -> None:
        block = self._blocks.pop(symbol)
        try:
            tape = self._tapes.get(symbol)
            if tape is None:
                name = f"{_UNSAFE.sub('', symbol).lower()}_{self._started_s}.gz"
                path = self._folder / name
                tape = self._tapes[symbol] = gzip.open(path, "wb", COMPRESSION)  # noqa: SIM115
            tape.write(block)
        except OSError as error:
            self.dropped += block.count(b"\n")
            self._bytes_left = 0
            log.error("recording stopped", symbol=symbol, error=error.strerror)
