"""Calls with a token that is bound to a key."""

from typing import Any, Final

import httpx

from tests.mcp_gateway.conftest import RESOURCE, Gateway
from tests.support.dpop import DPoPKey
from tests.support.messages import LEGACY, call_message

CALL: Final = call_message("fetch-stock-prices")


def bind(gateway: Gateway, key: DPoPKey) -> None:
    """Let the authorization server have issued one token that is bound to the key."""
    gateway.network.broker.tokens["bound"] = {"cnf": {"jkt": key.thumbprint}, "delegationId": "d-bound"}


async def call(
    gateway: Gateway, *proofs: str, scheme: str = "DPoP", token: str = "bound", **headers: str
) -> httpx.Response:
    given = [*LEGACY.items(), ("authorization", f"{scheme} {token}"), *headers.items()]
    given += [("dpop", proof) for proof in proofs]
    return await gateway.http.post("/mcp", json=CALL, headers=given)


def proof(key: DPoPKey, **changes: Any) -> str:
    return key.proof("POST", RESOURCE, "bound", **changes)


def challenge(response: httpx.Response) -> str:
    return response.headers["www-authenticate"]
