"""One JSON line per event on stdout, with the service's name on each."""

import logging
import sys
from typing import Any

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
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
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
