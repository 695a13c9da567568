"""Problem details for HTTP APIs (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse


def problem_response(
    status: int, problem_type: str, detail: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return `application/problem+json`.

    Args:
        status: HTTP status.
        problem_type: stable URI that names the kind of problem; clients may compare it (RFC 9457 §3.1.1).
        detail: what happened to this request and what would help. Never a token.
        headers: further response headers.
    """
    document = {"type": problem_type, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(
        document, status, media_type="application/problem+json", headers=dict(headers) if headers else None
    )
