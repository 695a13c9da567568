"""Subject tokens that are bound to a key: what is derived from them is not (docs/adr/0036)."""

from tests.token_broker.conftest import Broker
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer


async def test_tokens_of_one_delegation_that_are_bound_to_different_keys_share_nothing(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.exchanged_claims = {"cnf": None}
    keys = {token + name: {"jkt": f"thumbprint-{name}"} for name in ("a", "b")}
    for bound, cnf in keys.items():
        server.knows(bound, delegationId="one", cnf=cnf)
    given: list[str] = [(await broker.exchange(bound)).json()["access_token"] for bound in (*keys, *keys)]
    assert given[:2] == given[2:]
    assert len(set(given)) == server.exchanges == 2
    for _ in range(2):
        for bound, cnf in keys.items():
            described = (await broker.introspect(bound, accept="application/json")).json()
            assert (described["cnf"], described["token_type"]) == (cnf, "DPoP")


async def test_a_bound_subject_token_whose_key_the_server_copies_is_refused(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})
    assert (await broker.exchange(token)).status_code == 503
