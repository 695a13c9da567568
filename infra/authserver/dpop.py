"""DPoP at our own endpoints: a token is bound to the key whose proof came with the request (RFC 9449 §5)."""

from starlette.requests import Request

from authcore.dpop import ExpectedProof
from authserver.state import Server


async def proven_key(server: Server, request: Request, endpoint: str) -> str | None:
    """Return the thumbprint of the key that the request proves possession of, `None` without a proof.

    Raises:
        InvalidDPoPProof: RFC 9449 §4.3, or the proof was used before.
    """
    proofs = request.headers.getlist("dpop")
    if not proofs:
        return None
    expected = ExpectedProof(request.method, frozenset({server.where.url(endpoint)}))
    return await server.dpop.key_of(proofs, expected)
