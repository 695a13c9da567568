"""Ending a delegation: its holder's way (RFC 7009) and the authorization server's (RFC 8935)."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from authcore.forms import read_form
from authcore.oauth2_types import NO_STORE
from authcore.security_events import MEDIA_TYPE_SECEVENT, RefusedSet
from token_broker.openapi import EVENTS, REVOKE
from token_broker.state import broker_of

router = APIRouter()


@router.post("/revoke", **REVOKE)
async def revoke(request: Request) -> Response:
    """End the delegation of a token (RFC 7009 §2.1).

    A token that is unknown, or not for this caller, is answered like any other: it is not good for anything
    here, and that is all the caller wants (RFC 7009 §2.2).
    """
    broker = broker_of(request)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    subject = await broker.introspection.subject(form.require("token"), caller)
    if subject is not None:
        await broker.revocation.revoke(subject.delegation.tag, "caller")
    return Response(status_code=200, headers=NO_STORE)


@router.post("/events", **EVENTS)
async def receive_event(request: Request) -> Response:
    """Take a security event token that the authorization server pushes (RFC 8935 §2).

    It needs no client authentication: the signature says who sent it.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type != MEDIA_TYPE_SECEVENT:
            raise RefusedSet(f"The body must be {MEDIA_TYPE_SECEVENT}")
        await broker_of(request).pushed_events.receive((await request.body()).decode("ascii", "replace"))
    except RefusedSet as error:
        document = {"err": error.err, "description": str(error)}
        return JSONResponse(document, 400, NO_STORE | {"content-language": "en"})
    return Response(status_code=202, headers=NO_STORE)
