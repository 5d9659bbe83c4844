"""W3C trace context on the bus: one trace from the candle to the fill.

Spans are made by the OpenTelemetry SDK. They are exported only where
``OTEL_EXPORTER_OTLP_ENDPOINT`` is set; without it the ids still travel, so that log lines and
messages of one trace can be joined. Market data at thousands of messages a second gets ids but no
span: a span costs about 24 microseconds, an id less than one.
"""

import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

EXPORT_TIMEOUT_S = 2
SHUTDOWN_WAIT_S = 2.0

_provider: TracerProvider | None = None


def configure_tracing(service: str) -> None:
    """Install the tracer of this process; export only where an endpoint is configured."""
    global _provider
    _provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)))
    trace.set_tracer_provider(_provider)


def shutdown_tracing() -> None:
    """Flush what is left, for at most two seconds: an absent collector must not hold the exit."""
    if _provider is None:
        return
    worker = threading.Thread(target=_provider.shutdown, daemon=True)
    worker.start()
    worker.join(SHUTDOWN_WAIT_S)


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run the body inside a span that continues the trace found in the message's headers."""
    context = propagate.extract(dict(headers)) if headers else None
    with trace.get_tracer("portcullis").start_as_current_span(name, context=context):
        yield


def trace_headers() -> dict[str, str]:
    """The headers that carry the current trace; a new trace where there is none."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers or new_trace_headers()


def new_trace_headers() -> dict[str, str]:
    """Headers of a fresh trace without a span (W3C: version, trace id, span id, not sampled)."""
    ids = secrets.token_hex(24)
    return {"traceparent": f"00-{ids[:32]}-{ids[32:]}-00"}
