"""DPoP at our own endpoints: a token is bound to the key whose proof came with the request (RFC 9449 §5)."""

from typing import Final

from starlette.requests import Request

from authcore.dpop import ExpectedProof
from authserver.state import Server

NONCE_HEADER: Final = "dpop-nonce"


def next_nonce(server: Server) -> dict[str, str]:
    """Return the header with the nonce for the next proof, if proofs must hold one (RFC 9449 §8.2)."""
    return {} if server.dpop_nonces is None else {NONCE_HEADER: server.dpop_nonces.current()}


async def proven_key(server: Server, request: Request, endpoint: str) -> str | None:
    """Return the thumbprint of the key that the request proves possession of, `None` without a proof.

    Raises:
        InvalidDPoPProof: RFC 9449 §4.3, or the proof was used before.
        UseDPoPNonce: it does not hold a nonce of ours, and must.
    """
    proofs = request.headers.getlist("dpop")
    if not proofs:
        return None
    expected = ExpectedProof(request.method, frozenset({server.where.url(endpoint)}))
    return await server.dpop.key_of(proofs, expected)
