"""OpenTelemetry for every service: tracing set up from the standard `OTEL_*` variables.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is recorded; trace context is still passed on.
"""

from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

UNTRACED_PATHS: Final = frozenset({"/livez", "/readyz"})


def configure_tracing(service_name: str, endpoint: str | None) -> TracerProvider | None:
    """Export this process's spans when there is somewhere to send them.

    Only trace context crosses a hop: baggage comes from the agent and could carry anything to anybody.

    Args:
        service_name: the `service.name` of every span.
        endpoint: the OTLP/HTTP base URL; `None` exports nothing.

    Returns:
        The provider, to be shut down at the end of the process so that no span is lost.
    """
    set_global_textmap(TraceContextTextMapPropagator())
    if endpoint is None:
        return None
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def fastapi_telemetry(*untraced: str) -> Any:  # noqa: ANN401  FastAPI's TypedDict, on which authcore does not depend
    """Return the `telemetry` of a FastAPI application: one server span a request, none for health checks.

    Args:
        untraced: further paths that make their own spans.
    """
    quiet = UNTRACED_PATHS | set(untraced)

    def exclude(scope: Scope) -> bool:
        return scope.get("path") in quiet

    return {
        "operation_spans": False,
        "metrics": False,
        # Exceptions are logged by us; the native record would carry their messages into spans.
        "logs": False,
        "auto_configure": False,
        "exclude": exclude,
    }
