"""What operators do with delegations: see them, and end them.

An operator authenticates with a client assertion as the bearer token, since neither GET nor DELETE has a form
to carry it. Seeing and ending are separate rights.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from authcore.errors import OAuthError
from authcore.oauth2_types import NO_STORE, WireModel
from token_broker.delegation_list import Filter, KeptToken, ListedDelegation
from token_broker.delegations import tag_named
from token_broker.openapi import ERRORS, NO_CONTENT, OPERATOR
from token_broker.state import broker_of

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

router = APIRouter(tags=["operators"], dependencies=[OPERATOR])


class UnknownDelegation(OAuthError):
    """There is no such delegation, or no longer."""

    error = "not_found"
    status = 404


class DelegationDocument(WireModel):
    """A delegation, without anything that could be used, or would tell who the user is."""

    id: str = Field(description="name it so to see or end it")
    user: str = Field(description="keyed hash of the user: equal for all delegations of one user")
    client: str = Field(description="the agent's client id")
    audiences: list[str] = Field(description="for whom tokens have been exchanged")
    created_at: str = Field(description="RFC 3339, when the broker first saw it")
    last_used_at: str = Field(description="RFC 3339, to the minute; callers remember answers for a while")
    expires_at: str = Field(description="RFC 3339, when the last of its tokens is no longer given out")


class TokenDocument(WireModel):
    """An exchanged token in the cache."""

    audience: str
    scope: str
    expires_at: str


class DelegationDetails(DelegationDocument):
    """A delegation with what is kept of it."""

    tokens: list[TokenDocument] = Field(description="what the exchanged tokens are good for; not the tokens")


class DelegationPage(WireModel):
    """Delegations in the order in which they expire."""

    delegations: list[DelegationDocument]
    next: str | None = Field(
        default=None,
        description="`cursor` of the next page; absent on the last. A page may be short or empty",
    )


@router.get(
    "/delegations",
    summary="List delegations",
    responses=ERRORS | {200: {"model": DelegationPage}},
)
async def list_delegations(
    request: Request,
    client: Annotated[str | None, Query(description="only this client's", max_length=2048)] = None,
    user: Annotated[str | None, Query(description="only this user's, by the hash", max_length=64)] = None,
    audience: Annotated[
        str | None, Query(description="only with a token exchanged for this audience", max_length=2048)
    ] = None,
    limit: Annotated[int, Query(description="longest page", ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="`next` of the page before", max_length=512)] = None,
) -> Response:
    """Page by page, in the order in which they expire.

    A delegation that lives from the first page to the last is on one of them, or on two if it was renewed.
    One request looks at a thousand delegations at most: with a filter that matches few, follow `next`.
    """
    broker = broker_of(request)
    await broker.clients.authenticate_operator(request, "read")
    page = await broker.delegations.page(
        Filter(client=client, user=user, audience=audience), cursor=cursor, limit=limit
    )
    documents = [DelegationDocument(**_members(delegation)) for delegation in page.delegations]
    return _answer(DelegationPage(delegations=documents, next=page.cursor))


DelegationId = Annotated[str, Path(description="as it is listed, or as the authorization server names it")]


@router.get(
    "/delegations/{delegation:path}",
    summary="See a delegation",
    responses=ERRORS | {200: {"model": DelegationDetails}},
)
async def show_delegation(request: Request, delegation: DelegationId) -> Response:
    """One delegation, with what its exchanged tokens are good for."""
    broker = broker_of(request)
    await broker.clients.authenticate_operator(request, "read")
    found = await broker.delegations.find(tag_named(delegation))
    if found is None:
        raise UnknownDelegation("There is no such delegation, or no longer")
    tokens = [_token(token) for token in found.tokens]
    return _answer(DelegationDetails(**_members(found), tokens=tokens))


@router.delete(
    "/delegations/{delegation:path}",
    summary="End a delegation",
    status_code=204,
    responses=ERRORS | NO_CONTENT,
)
async def end_delegation(request: Request, delegation: DelegationId) -> Response:
    """End a delegation by its id, known or not: no token of it will be given out again.

    It ends here, for all who ask this broker; the authorization server is not told.
    """
    broker = broker_of(request)
    await broker.clients.authenticate_operator(request, "revoke")
    await broker.revocation.revoke(tag_named(delegation), "operator")
    return Response(status_code=204, headers=NO_STORE)


def _members(delegation: ListedDelegation) -> dict[str, Any]:
    return {
        "id": delegation.tag,
        "user": delegation.user,
        "client": delegation.client,
        "audiences": sorted(delegation.audiences),
        "created_at": _moment(delegation.created_at),
        "last_used_at": _moment(delegation.used_at),
        "expires_at": _moment(delegation.expires_at),
    }


def _token(token: KeptToken) -> TokenDocument:
    return TokenDocument(audience=token.audience, scope=token.scope, expires_at=_moment(token.expires_at))


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _answer(document: WireModel) -> Response:
    return JSONResponse(document.document(), headers=NO_STORE)
