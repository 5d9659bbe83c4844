"""One JSON line per event on stdout, with the service's name on each."""

import logging
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from stamina.instrumentation import set_on_retry_hooks

_RESERVED = ("secret", "signature", "password", "token")


def _redact(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Blank any field whose name says it should never have been passed here."""
    for key in event:
        if key.endswith(_RESERVED):
            event[key] = "***"
    return event


def _render(_: Any, __: str, event: structlog.typing.EventDict) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


class _Lines:
    """Standard output, a line at a time and never held back.

    A line that finds no room (a full volume, a reader that is gone) is lost and counted: nothing
    that is decided may fail because its words could not be written. The count is the first thing
    said where there is room again.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._write_some: Callable[[bytes], int | None] = getattr(file, "raw", file).write
        self._is_torn = False
        self._lost = 0

    def write(self, line: bytes) -> int:
        """Write a line, or lose it."""
        if self._lost and not self._put(_render_lost(self._lost)):
            self._lost += 1
            return 0
        self._lost = 0 if self._put(line) else 1
        return len(line)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def _put(self, line: bytes) -> bool:
        rest = b"\n" + line if self._is_torn else line
        try:
            while rest:
                written = self._write_some(rest)
                if not written:
                    return False
                self._is_torn, rest = written < len(rest), rest[written:]
        except OSError:
            return False
        return True


def _render_lost(lines: int) -> bytes:
    event = {"event": "log lines lost: no room", "level": "error", "lines": lines}
    return msgspec.json.encode(event) + b"\n"


def configure_logging(service: str, level: str = "info") -> None:
    """Send structlog's and the standard library's records to stdout as JSON lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*chain, _render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Lines(sys.stdout.buffer))),
        cache_logger_on_first_use=False,
    )
    set_on_retry_hooks(())  # retry_read tells each retry itself; stamina would tell it once more
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)

    class _Bridge(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger = structlog.get_logger(module=record.name)
            logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info)

    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Bridge()], force=True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger
