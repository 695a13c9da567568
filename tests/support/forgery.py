"""Tokens that must never be accepted, by what is wrong with them."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

from tests.support.issuer import NOW, Issuer, ec_key


def segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).decode()


def signed(issuer: Issuer, header: dict[str, Any], payload: object) -> str:
    """Sign with the issuer's true key what no decent library would."""
    head = {"alg": "ES256", "kid": issuer.key.kid, "typ": "at+jwt"} | header
    message = f"{segment(head)}.{segment(payload)}"
    signature = JWSRegistry.algorithms["ES256"].sign(message.encode(), issuer.key)
    return f"{message}.{segment(signature)}"


def keyed_with(issuer: Issuer, secret: bytes) -> str:
    """An HS256 token keyed with something public."""
    message = f"{segment({'alg': 'HS256', 'kid': 'k1', 'typ': 'at+jwt'})}.{segment(issuer.claims())}"
    return f"{message}.{segment(hmac.digest(secret, message.encode(), hashlib.sha256))}"


def unsigned(issuer: Issuer, signature: str) -> str:
    return f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{segment(issuer.claims())}.{signature}"


def swapped(issuer: Issuer) -> str:
    head, _, signature = issuer.sign().split(".")
    return f"{head}.{segment(issuer.claims(scope='stocks', sub='admin'))}.{signature}"


FORGERIES: Final[dict[str, Callable[[Issuer], str]]] = {
    "expired": lambda i: i.sign(exp=NOW - 31),
    "another audience": lambda i: i.sign(aud="https://elsewhere.test"),
    "an audience that only looks alike": lambda i: i.sign(aud=i.claims()["aud"] + ".evil.test"),
    "another issuer": lambda i: i.sign(iss="https://evil.test"),
    "an issuer with a slash more": lambda i: i.sign(iss=i.issuer + "/"),
    "no issuer": lambda i: i.sign(iss=None),
    "no expiry": lambda i: i.sign(exp=None),
    "an expiry that is text": lambda i: i.sign(exp="9999999999"),
    "an expiry that never comes": lambda i: signed(i, {}, json.dumps(i.claims(exp=float("inf"))).encode()),
    "no audience": lambda i: i.sign(aud=None),
    "no subject": lambda i: i.sign(sub=None),
    "not valid yet": lambda i: i.sign(nbf=NOW + 31),
    "issued in the future": lambda i: i.sign(iat=NOW + 31),
    "another key under the same id": lambda i: i.sign(key=ec_key("k1")),
    "an unknown key": lambda i: i.sign(key=ec_key("k2")),
    "another type": lambda i: i.sign(header={"typ": "JWT"}),
    "a key of its own": lambda i: signed(
        i, {"jwk": ec_key().as_dict(private=False), "kid": "mine"}, i.claims()
    ),
    "alg none": lambda i: unsigned(i, ""),
    "alg none with a signature": lambda i: unsigned(i, "c2ln"),
    "HS256 keyed with the public JWK": lambda i: keyed_with(
        i, json.dumps(i.key.as_dict(private=False)).encode()
    ),
    "HS256 keyed with the public PEM": lambda i: keyed_with(i, i.key.as_pem(private=False)),
    "a swapped payload": swapped,
    "a critical extension": lambda i: signed(i, {"crit": ["x"], "x": 1}, i.claims()),
    "a critical extension that is a number": lambda i: signed(i, {"crit": 5}, i.claims()),
    "critical extensions that are numbers": lambda i: signed(i, {"crit": [5]}, i.claims()),
    "an expiry of 400 digits": lambda i: i.sign(exp=10**400),
    "a beginning before all time": lambda i: i.sign(nbf=-1),
    "a payload that is a list": lambda i: signed(i, {}, [i.claims()]),
    "a payload nested without end": lambda i: signed(i, {}, b"[" * 3000),
    "a header nested without end": lambda i: f"{segment(b'[' * 3000)}.{segment(i.claims())}.c2ln",
    "scopes that are numbers": lambda i: i.sign(scope=[1, 2]),
    "an actor chain without end": lambda i: i.sign(act=chain(9)),
    "bound to a key": lambda i: i.sign(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
}


def chain(depth: int) -> dict[str, Any]:
    """An `act` chain of so many links."""
    return {"sub": f"actor-{depth}"} | ({"act": chain(depth - 1)} if depth > 1 else {})
