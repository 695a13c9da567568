"""How the broker proves to the authorization server who it is (RFC 6749 §2.3.1, RFC 7523 §2.2)."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from authcore.client_assertion import ClientAssertionSigner


@dataclass(frozen=True, slots=True)
class Proof:
    """What to add to one request."""

    form: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)


Prove = Callable[[str], Proof]
"""Returns the proof for a request to an endpoint, given its URL."""


def by_assertion(signer: ClientAssertionSigner, audience: str | None) -> Prove:
    """Prove by an assertion for `audience`, else for the endpoint itself."""
    return lambda endpoint: Proof(form=signer.parameters(audience or endpoint))


def by_basic(client_id: str, secret: str) -> Prove:
    """Prove by a secret in the header. Both parts are form-encoded first, which RFC 6749 §2.3.1 asks for."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode("ascii")
    header = {"authorization": "Basic " + b64encode(pair).decode("ascii")}
    return lambda _: Proof(headers=header)


def by_post(client_id: str, secret: str) -> Prove:
    """Prove by a secret in the form."""
    form = {"client_id": client_id, "client_secret": secret}
    return lambda _: Proof(form=form)
