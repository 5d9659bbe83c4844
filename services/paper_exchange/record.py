"""`python -m services.paper_exchange.record`: write live market streams down as tapes.

One gzip file per symbol, lines of `<local_ns> <json>`: what the streams said, word for word, and a
depth snapshot by REST at the start, after every gap and at the start of every further file. Needs
no key and works on any venue that speaks as Binance does. Ends cleanly on SIGINT and SIGTERM.

Exit codes: 0 after a signal or the time asked for, 2 for options or a venue that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp
import msgspec

from libs.common.runtime.clock import wall_ns

PUBLIC_KINDS: Final = ("bookTicker", "trade")
MARKET_KINDS: Final = ("markPrice@1s",)
SNAPSHOT_LEVELS: Final = 1_000
SYMBOLS_MAX: Final = 100
"""Symbols of one recording: a snapshot of each costs 20 of the 2,400 weight of a minute."""
FRAME_BYTES_MAX: Final = 8_388_608
SILENCE_SECONDS_MAX: Final = 60.0
"""A socket that says nothing for so long is given up and opened anew."""
RECONNECT_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
REST_SECONDS_MAX: Final = 15.0
FILE_BYTES_DEFAULT: Final = 1_073_741_824
FILE_BYTES_MIN: Final = 1_024
_BAD_START: Final = 2


class RecordingError(Exception):
    """The venue cannot be recorded; says why."""


class _Said(msgspec.Struct):
    """What the recorder needs to know of a message."""

    s: str
    e: str
    u: int = 0
    pu: int = 0


class _Frame(msgspec.Struct):
    data: _Said | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class TapeFile:
    """The files of one symbol: `<symbol>_<name>`, then `<symbol>_<name>.001` and so on before .gz.

    A file is ended once it holds `bytes_max` bytes of gzip.
    """

    def __init__(self, symbol: str, out: Path, bytes_max: int) -> None:
        self.symbol = symbol
        self.lines = 0
        self.paths: list[Path] = []
        self._out = out
        self._bytes_max = bytes_max
        self._raw: BinaryIO | None = None
        self._gzip: gzip.GzipFile | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to; a new one is to begin with a snapshot."""
        return self._gzip is not None

    def write(self, body: bytes) -> None:
        """Add one line, in the next file where there is none open; raises OSError."""
        if self._gzip is None:
            self._open_next()
        assert self._gzip is not None, "just opened"
        assert self._raw is not None, "opened together"
        self._gzip.write(b"%d %s\n" % (wall_ns(), body))
        self.lines += 1
        if self._raw.tell() >= self._bytes_max:
            self.close()

    def close(self) -> None:
        """End the file so that every line of it can be read."""
        if self._gzip is not None and self._raw is not None:
            self._gzip.close()
            self._raw.close()
        self._gzip = self._raw = None

    def _open_next(self) -> None:
        stem = self._out.name.removesuffix(".gz")
        part = f".{len(self.paths):03d}" if self.paths else ""
        path = self._out.with_name(f"{self.symbol.lower()}_{stem}{part}.gz")
        self._raw = path.open("xb")
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw)
        self.paths.append(path)


class Recorder:
    """Records symbols from one venue until cancelled."""

    def __init__(self, options: argparse.Namespace, symbols: Sequence[str]) -> None:
        self._streams_url = options.streams_url.rstrip("/")
        self._rest_url = options.rest_url.rstrip("/")
        self._depth_kind = options.depth
        self.tapes = {
            symbol: TapeFile(symbol, options.out, options.max_bytes) for symbol in symbols
        }
        self._update_ids: dict[str, int] = {}
        self._wanted: dict[str, None] = {}
        self._is_wanted = asyncio.Event()
        self.gaps = 0

    async def run(self) -> None:
        """Record both doors; raises `RecordingError` or OSError where that cannot go on."""
        timeout = aiohttp.ClientTimeout(total=REST_SECONDS_MAX)
        public = (self._depth_kind, *PUBLIC_KINDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._listen(session, "public", public))
                    tasks.create_task(self._listen(session, "market", MARKET_KINDS))
                    tasks.create_task(self._take_snapshots(session))
            except* (RecordingError, OSError) as errors:
                raise errors.exceptions[0] from None

    def close(self) -> None:
        """End all files."""
        for tape in self.tapes.values():
            tape.close()

    def report(self) -> Mapping[str, object]:
        """What was written."""
        return {
            "files": [str(path) for tape in self.tapes.values() for path in tape.paths],
            "lines": {symbol: tape.lines for symbol, tape in self.tapes.items()},
            "gaps": self.gaps,
        }

    async def _listen(
        self, session: aiohttp.ClientSession, door: str, kinds: Sequence[str]
    ) -> None:
        """Listen at one door for ever; a socket that was open once is opened again."""
        names = "/".join(f"{symbol.lower()}@{kind}" for symbol in self.tapes for kind in kinds)
        url = f"{self._streams_url}/{door}/stream?streams={names}"
        was_open, tries = False, 0
        while True:
            try:
                async with session.ws_connect(
                    url, max_msg_size=FRAME_BYTES_MAX, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
                ) as socket:
                    was_open, tries = True, 0
                    if door == "public":
                        self._want(self.tapes)
                    await self._write_down(socket)
            except (aiohttp.ClientError, TimeoutError) as error:
                if not was_open:
                    raise RecordingError(f"{url}: {error or 'no answer'}") from error
            _say("reconnecting", door=door)
            await asyncio.sleep(RECONNECT_SECONDS[min(tries, len(RECONNECT_SECONDS) - 1)])
            tries += 1

    async def _write_down(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive(timeout=SILENCE_SECONDS_MAX)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            raw = message.data.encode()
            try:
                said = _decode(raw).data
            except msgspec.DecodeError:
                continue
            tape = None if said is None else self.tapes.get(said.s)
            if said is None or tape is None or b"\n" in raw:
                continue
            if said.e == "depthUpdate":
                self._follow(said)
            tape.write(raw)
            if not tape.is_open:
                self._want([said.s])

    def _follow(self, said: _Said) -> None:
        """Ask for a snapshot where the chain of depth updates is broken."""
        before = self._update_ids.get(said.s)
        self._update_ids[said.s] = said.u
        if before is not None and said.pu != before:
            self.gaps += 1
            self._want([said.s])

    def _want(self, symbols: Sequence[str] | Mapping[str, object]) -> None:
        self._wanted.update(dict.fromkeys(symbols))
        self._is_wanted.set()

    async def _take_snapshots(self, session: aiohttp.ClientSession) -> None:
        had: set[str] = set()
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            for symbol in list(self._wanted):
                del self._wanted[symbol]
                raw = await self._snapshot(session, symbol)
                if raw is not None:
                    self.tapes[symbol].write(raw)
                    had.add(symbol)
                elif symbol not in had:
                    raise RecordingError(f"{self._rest_url}: no snapshot of {symbol}")
                else:
                    await asyncio.sleep(RECONNECT_SECONDS[1])
                    self._want([symbol])

    async def _snapshot(self, session: aiohttp.ClientSession, symbol: str) -> bytes | None:
        """The book by REST on one line, or None where the venue does not give it now."""
        parameters = {"symbol": symbol, "limit": str(SNAPSHOT_LEVELS)}
        try:
            async with session.get(f"{self._rest_url}/fapi/v1/depth", params=parameters) as answer:
                raw = await answer.read()
                found = msgspec.json.decode(raw, type=dict[str, Any])
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None
        if answer.status != 200 or "lastUpdateId" not in found:
            return None
        return b" ".join(raw.splitlines())


def main(arguments: Sequence[str] | None = None) -> int:
    """Record until a signal; return the exit code."""
    options = _parse(arguments)
    symbols = [name.strip().upper() for name in options.symbols.split(",") if name.strip()]
    if not 1 <= len(symbols) <= SYMBOLS_MAX or len(set(symbols)) < len(symbols):
        return _refuse(f"--symbols: 1 to {SYMBOLS_MAX} different ones")
    if options.max_bytes < FILE_BYTES_MIN:
        return _refuse(f"--max-bytes: at least {FILE_BYTES_MIN}")
    recorder = Recorder(options, symbols)
    try:
        asyncio.run(_record(recorder, options.seconds))
    except (RecordingError, OSError, ValueError) as error:
        return _refuse(str(error))
    finally:
        recorder.close()
        _say("recorded", **recorder.report())
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m services.paper_exchange.record",
        description="Write live market streams down as tapes that the paper exchange replays.",
    )
    add = parser.add_argument
    add("--streams-url", default="wss://fstream.binance.com", help="of the venue's streams")
    add("--rest-url", default="https://fapi.binance.com", help="where depth snapshots come from")
    add("--symbols", required=True, help="comma-separated, such as BTCUSDT,ETHUSDT")
    add("--out", type=Path, required=True, help="FILE.gz: becomes <symbol>_FILE.gz for each")
    add("--depth", default="depth@100ms", help="depth stream to record (default: depth@100ms)")
    add("--max-bytes", type=int, default=FILE_BYTES_DEFAULT, help="of a file before the next one")
    add("--seconds", type=float, default=None, help="how long (default: until SIGINT)")
    return parser.parse_args(arguments)


async def _record(recorder: Recorder, seconds: float | None) -> None:
    recording = asyncio.current_task()
    assert recording is not None, "run by asyncio.run"
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recording.cancel)
    _say("recording", symbols=list(recorder.tapes))
    try:
        async with asyncio.timeout(seconds):
            await recorder.run()
    except (asyncio.CancelledError, TimeoutError):
        return


def _say(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _refuse(text: str) -> int:
    sys.stderr.write(f"record: {text}\n")
    return _BAD_START


if __name__ == "__main__":
    sys.exit(main())
