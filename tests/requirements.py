"""What binds us: requirement id → where it is written → what we do. Tests name the ids they show.

Where we do otherwise, or not yet, it says why. `tests/test_requirements.py` keeps the two complete.
"""

from dataclasses import dataclass
from typing import Final

MCP: Final = "https://modelcontextprotocol.io/specification/2026-07-28/basic/"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One behaviour somebody else's document asks of us."""

    source: str
    behaviour: str
    divergence: str | None = None
    """What of it we do not do, and why."""


REQUIREMENTS: Final[dict[str, Requirement]] = {
    "user-wanted": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9470#section-3",
        "What the authorization server demands of the user is in the challenge, and nothing else it said",
    ),
    "prm-document": Requirement(
        MCP + "authorization/authorization-server-discovery",
        "The RFC 9728 document names the authorization server, with the resource's path and at the root",
    ),
    "bearer-header": Requirement(
        MCP + "authorization#token-requirements",
        "Every request needs a bearer token in the header; one in the query string is none",
    ),
    "token-validated": Requirement(
        MCP + "authorization#token-handling",
        "Tokens are validated, audience included, before anything is processed; bad ones get 401",
    ),
    "no-passthrough": Requirement(
        MCP + "authorization/security-considerations",
        "The agent's token goes to the broker alone; the API gets another one",
    ),
    "token-secrecy": Requirement(
        MCP + "authorization/security-considerations",
        "No token is in a log, an error or readable in Redis",
    ),
    "challenge-scope": Requirement(
        MCP + "authorization#protected-resource-metadata-discovery-requirements",
        "Challenges name the scope to ask for, and never offline_access",
    ),
    "challenge-quoting": Requirement(
        "https://www.rfc-editor.org/rfc/rfc6750#section-3",
        "Parameters of a challenge are quoted, and nothing in them can end the quotes",
    ),
    "insufficient-scope": Requirement(
        MCP + "authorization#runtime-insufficient-scope-errors",
        "403 insufficient_scope with all scopes of the operation, before the transport",
    ),
    "request-state": Requirement(
        MCP + "patterns/mrtr#server-requirements-basic-workflow",
        "requestState is sealed with keys of all replicas, bound to user, client, tool and arguments; "
        "it ends, and what it stands for happens once",
    ),
    "scope-hierarchy": Requirement(
        MCP + "authorization#runtime-insufficient-scope-errors", "A wider scope grants what is below it"
    ),
    "canonical-resource": Requirement(
        MCP + "authorization#canonical-server-uri",
        "A token for the resource with or without a trailing slash is for us",
    ),
    "issuer-exact": Requirement(
        "https://www.rfc-editor.org/rfc/rfc8414#section-3.3",
        "An issuer is the same string everywhere, without a slash that a URL type adds",
    ),
    "origin-and-host": Requirement(
        MCP + "transports/streamable-http#security-warning",
        "A foreign Origin gets 403; a foreign Host is not served",
    ),
    "no-error-without-credentials": Requirement(
        "https://www.rfc-editor.org/rfc/rfc6750#section-3.1",
        "A request without credentials gets a challenge without an error code",
    ),
    "dpop-proof": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9449#section-4.3",
        "A DPoP-bound token is served with one good proof of its key for this request and token, every time",
    ),
    "dpop-scheme": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9449#section-7.2",
        "A DPoP-bound token as a bearer token, and a bearer token by the scheme DPoP, are refused",
    ),
    "dpop-replay": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9449#section-11.1",
        "A proof is good once, for all replicas together",
    ),
    "dpop-nonce": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9449#section-9",
        "Where proofs must carry a nonce, refusals and answers bring one that every replica accepts",
    ),
    "dpop-metadata": Requirement(
        "https://www.rfc-editor.org/rfc/rfc9728#section-2",
        "Metadata and challenges say that tokens may, or must, be bound to DPoP keys",
    ),
    "certificate-bound": Requirement(
        "https://www.rfc-editor.org/rfc/rfc8705#section-3",
        "A certificate-bound token needs its certificate, which a trusted proxy alone may name (RFC 9440)",
    ),
    "rate-limits": Requirement(
        "https://www.rfc-editor.org/rfc/rfc6585#section-4",
        "Who calls too often, in all replicas together, gets 429 with Retry-After and RateLimit",
    ),
    "both-eras": Requirement(
        MCP + "transports/streamable-http", "Clients of 2026-07-28 and of 2025 are served on one endpoint"
    ),
    "body-decides": Requirement(
        MCP + "transports/streamable-http",
        "Authorization reads the body; a header that says otherwise changes nothing",
    ),
    "routing-headers": Requirement(
        MCP + "transports/streamable-http#server-validation",
        "Mcp-Method and Mcp-Name that differ from the body are error -32020 with status 400",
    ),
    "discover": Requirement(
        "https://modelcontextprotocol.io/specification/2026-07-28/server/discover",
        "server/discover names the versions, the capabilities and who we are, and needs no handshake",
    ),
    "result-type": Requirement(MCP + "patterns/mrtr", "Every result of a modern request has a resultType"),
    "hang-up": Requirement(
        MCP + "patterns/cancellation",
        "A client that closes its request has cancelled it, and nothing goes on working for it",
    ),
    "progress": Requirement(
        MCP + "patterns/progress",
        "A call with a progress token may hear of progress",
        divergence="Sending it is the server's choice, and every tool here is one bounded request: answers "
        "are one JSON document, which costs half of a stream (docs/adr/0009)",
    ),
    "listen": Requirement(
        MCP + "patterns/subscriptions",
        "subscriptions/listen acknowledges first, stamps the id, keeps to the filter, ends with a result",
        divergence="Nothing changes yet that could be subscribed to: the server declares no such capability "
        "and refuses the method. It comes with live prices",
    ),
    "listen-authorization": Requirement(
        MCP + "authorization#token-handling",
        "A stream ends with the token or the delegation it was opened with, and holds up no shutdown",
        divergence="There is no stream yet. What is open for a call is cut off on revocation already",
    ),
    "trace-context": Requirement(
        "https://modelcontextprotocol.io/seps/414-request-meta",
        "Trace context in _meta goes on to the API, baggage does not, and neither decides anything",
    ),
    "tools-list-private": Requirement(
        MCP + "patterns/caching",
        "tools/list holds what this token may use, in a fixed order, cacheScope private",
    ),
    "post-only": Requirement(MCP + "transports/streamable-http", "GET and DELETE on the endpoint get 405"),
    "unknown-tool": Requirement(MCP + "patterns/errors", "An unknown tool is JSON-RPC error -32602"),
    "as-discovery": Requirement(
        MCP + "authorization/authorization-server-discovery",
        "The authorization server's metadata is at every well-known form, the issuer identical in each",
    ),
    "page-origins": Requirement(
        "https://fetch.spec.whatwg.org/#http-cors-protocol",
        "Pages of configured origins may send every header that MCP clients send, and read what they need",
    ),
    "server-card": Requirement(
        "https://github.com/modelcontextprotocol/experimental-ext-server-card",
        "A server card and a catalog tell who we are and where, to anybody, and nothing of tools",
    ),
    "as-pkce": Requirement(
        MCP + "authorization/security-considerations",
        "S256 is advertised, and no client gets a token without its verifier",
    ),
    "as-iss": Requirement(
        MCP + "authorization/security-considerations",
        "Success and error redirects name the issuer (RFC 9207), and the metadata says so",
    ),
    "as-client-metadata": Requirement(
        MCP + "authorization/client-registration",
        "A client is known by the https URL of its metadata document, fetched safely and cached",
    ),
    "as-registration": Requirement(
        MCP + "authorization/client-registration",
        "Older clients register; one policy holds for them and for metadata documents",
    ),
    "as-redirect-uris": Requirement(
        MCP + "authorization/security-considerations",
        "Redirect URIs match exactly, but for the port on loopback; https or loopback, no fragment",
    ),
    "as-short-tokens": Requirement(
        MCP + "authorization/security-considerations",
        "Access tokens are short-lived; refresh tokens, where policy has them, are rotated",
    ),
    "as-resource": Requirement(
        MCP + "authorization#resource-parameter-implementation",
        "The resource is honoured in authorization and token requests; an unknown one is invalid_target",
    ),
    "as-client-credentials": Requirement(
        "https://modelcontextprotocol.io/extensions/auth/oauth-client-credentials",
        "Machines get tokens of their own by client_credentials with private_key_jwt",
    ),
    "as-enterprise": Requirement(
        "https://modelcontextprotocol.io/extensions/auth/enterprise-managed-authorization",
        "An enterprise's identity provider lets agents in by identity assertions (ID-JAG, RFC 7523)",
    ),
}
