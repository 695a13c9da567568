"""Problem details for HTTP APIs (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse


def problem_response(
    status: int,
    problem_type: str,
    detail: str,
    *,
    title: str | None = None,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return `application/problem+json`.

    Args:
        status: HTTP status.
        problem_type: stable URI that names the kind of problem; clients may compare it (RFC 9457 §3.1.1).
        detail: what happened to this request and what would help. Never a token.
        title: the kind of problem in words, the same for all of its kind; that of the status when absent.
        members: what a program can act on beyond the type (RFC 9457 §3.2).
        headers: further response headers.
    """
    document = {
        "type": problem_type,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    } | dict(members or {})
    return JSONResponse(
        document, status, media_type="application/problem+json", headers=dict(headers) if headers else None
    )
