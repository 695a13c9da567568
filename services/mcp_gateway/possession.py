"""A token that is bound to a key is good in the hands of who holds the key (RFC 9449 §7, RFC 8705 §3).

Checked for each request, whatever is remembered of its token: a proof is of one request.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from authcore.bearer import PresentedToken
from authcore.dpop import DPoPProofs, ExpectedProof
from authcore.errors import InvalidToken
from mcp_gateway.proxies import TrustedProxies

DPOP_KEY: Final = "jkt"
CERTIFICATE: Final = "x5t#S256"


class Possession:
    """Knows the ways a token can be bound that can be checked here; one bound in another way is refused."""

    def __init__(
        self,
        proofs: DPoPProofs | None,
        proxies: TrustedProxies,
        *,
        urls: frozenset[str],
        required: bool,
    ) -> None:
        """Prepare.

        Args:
            proofs: checks DPoP proofs; `None` where nothing is shared that could tell a used one.
            proxies: who may say which certificate the client has shown.
            urls: the spellings of our own URL.
            required: whether a token that is bound to nothing is refused.
        """
        self._proofs = proofs
        self._proxies = proxies
        self._urls = urls
        self._required = required

    async def check(self, scope: Scope, presented: PresentedToken, confirmation: Mapping[str, str]) -> None:
        """Return if who sent the request holds everything that the token is bound to.

        Args:
            scope: the request.
            presented: its token.
            confirmation: the members of the token's `cnf`.

        Raises:
            InvalidToken: another scheme than the token's, another key, or none.
            InvalidDPoPProof: no proof, or one that proves nothing.
            TemporarilyUnavailable: nobody could say whether the proof was used before.
        """
        if not confirmation.keys() <= {DPOP_KEY, CERTIFICATE}:
            raise InvalidToken("The access token is bound in a way that is not supported")
        if self._required and not confirmation:
            raise InvalidToken("The access token must be bound to a key")
        if CERTIFICATE in confirmation:
            self._check_certificate(scope, confirmation[CERTIFICATE])
        if DPOP_KEY in confirmation:
            await self._check_proof(scope, presented, confirmation[DPOP_KEY])
        elif presented.scheme != "bearer":
            raise InvalidToken("The access token is not bound to a DPoP key: it is a bearer token")

    def _check_certificate(self, scope: Scope, thumbprint: str) -> None:
        shown = self._proxies.certificate(scope)
        if shown is None or not secrets.compare_digest(shown.encode(), thumbprint.encode()):
            raise InvalidToken("The access token is bound to a client certificate that was not shown")

    async def _check_proof(self, scope: Scope, presented: PresentedToken, thumbprint: str) -> None:
        if self._proofs is None:
            raise InvalidToken("The access token is bound to a key, and DPoP is not offered here")
        if presented.scheme != "dpop":
            # RFC 9449 §7.2: as a bearer token it is a stolen one.
            raise InvalidToken("The access token is bound to a DPoP key and cannot be used as a bearer token")
        proofs = [value.decode("latin-1") for name, value in scope["headers"] if name == b"dpop"]
        expected = ExpectedProof(scope["method"], self._urls, presented.token, thumbprint)
        await self._proofs.key_of(proofs, expected)
