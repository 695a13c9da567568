"""The gateway in a pod: it proves itself at the broker with the service-account token of a file."""

import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager

from authcore.errors import TemporarilyUnavailable
from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from authcore.service import load_settings
from mcp_gateway.broker_proof import MAX_TOKEN_BYTES, ProjectedToken
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import API, RESOURCE, Gateway, running
from tests.support.issuer import ISSUER, JWKS_URI, NOW, Clock, Issuer, ec_key
from tests.token_broker.conftest import BROKER_KEY, URL
from tests.token_broker.fake_authorization_server import INTROSPECT, TOKEN, FakeAuthorizationServer
from token_broker.app import create_app as create_broker
from token_broker.settings import CallerSettings
from token_broker.settings import Settings as BrokerSettings

CLUSTER = "https://kubernetes.default.svc.cluster.local"
ACCOUNT = "system:serviceaccount:delegant:mcp-gateway"
BAD = {
    "empty": b"",
    "blank": b" \n",
    "an opaque token": b"secret-opaque",
    "two tokens": b"secret.a.b\nsecret.c.d",
    "no text": b"secret.\xff.c",
    "too long": b"secret." + b"a" * MAX_TOKEN_BYTES + b".c",
}


@dataclass
class Pod:
    """What the kubelet does for the gateway: `token` leads to whatever was put there last."""

    volume: Path
    cluster: Issuer
    generation: int = 0

    @property
    def file(self) -> Path:
        return self.volume / "token"

    def put(self, content: bytes | None) -> None:
        """Replace what is there at once, as the kubelet does; `None` for a volume without the file."""
        self.generation += 1
        directory = self.volume / f"..{self.generation}"
        directory.mkdir()
        if content is not None:
            (directory / "token").write_bytes(content)
        link = self.volume / "..next"
        link.symlink_to(directory.name)
        link.replace(self.volume / "..data")
        if not self.file.is_symlink():
            self.file.symlink_to("..data/token")

    def renew(self, *, expires_at: int) -> str:
        token = self.cluster.sign({"typ": "JWT"}, aud=[URL], sub=ACCOUNT, exp=expires_at)
        self.put(token.encode() + b"\n")
        return token


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    pod = Pod(tmp_path / "volume", Issuer(CLUSTER, ec_key("cluster")))
    pod.volume.mkdir()
    return pod


@pytest.fixture
def server(clock: Clock) -> FakeAuthorizationServer:
    return FakeAuthorizationServer(clock, [BROKER_KEY])


@pytest.fixture
def broker_settings(redis_url: str, tmp_path: Path, pod: Pod) -> BrokerSettings:
    keys = tmp_path / "cluster.json"
    keys.write_bytes(pod.cluster.jwks())
    workload = CallerSettings(
        service_accounts=frozenset({ACCOUNT}),
        resource=RESOURCE,
        audiences=frozenset({API}),
        scopes=frozenset({"stocks/read"}),
    )
    return BrokerSettings.model_validate(
        {
            "url": URL,
            "issuer": ISSUER,
            "jwks_uri": JWKS_URI,
            "introspection_endpoint": INTROSPECT,
            "token_endpoint": TOKEN,
            "client_key": json.dumps(BROKER_KEY.as_dict(private=True)),
            "redis_url": redis_url,
            "sealing_key": "A" * 43,
            # Another name than the gateway's own default: the account says who it is.
            "callers": json.dumps({"workload": workload.model_dump(mode="json")}),
            "service_account_issuer": CLUSTER,
            "service_account_jwks_file": keys,
        }
    )


@pytest.fixture
async def gateway(
    settings: Settings,
    broker_settings: BrokerSettings,
    server: FakeAuthorizationServer,
    pod: Pod,
    clock: Clock,
) -> AsyncGenerator[Gateway]:
    """The gateway with the real broker, each in memory."""
    pod.renew(expires_at=NOW + 600)
    told = settings.model_copy(update={"broker_client_key_file": None, "broker_token_file": pod.file})
    broker = create_broker(broker_settings, transport=server.transport(), now=clock)
    async with LifespanManager(broker) as serving, running(told, clock) as gateway:
        server.issuer = gateway.network.issuer
        gateway.network.real_broker = httpx.ASGITransport(serving.app)
        yield gateway


async def fetched(gateway: Gateway, server: FakeAuthorizationServer, token: str) -> httpx.Response:
    """What an agent with a token that nobody has seen gets from a tool."""
    server.knows(f"{token}-{id(gateway)}", exp=NOW + 900, delegationId=f"{token}-{id(gateway)}")
    return await gateway.call("fetch-stock-prices", token=f"{token}-{id(gateway)}")


async def test_a_pod_serves_its_agents_and_goes_on_with_each_token_the_kubelet_brings(
    gateway: Gateway, server: FakeAuthorizationServer, pod: Pod, clock: Clock
) -> None:
    assert not (await fetched(gateway, server, "first")).json()["result"]["isError"]
    clock.seconds = NOW + 500
    pod.renew(expires_at=NOW + 1200)
    # The one of the start would have expired.
    clock.seconds = NOW + 700
    assert not (await fetched(gateway, server, "second")).json()["result"]["isError"]


async def test_a_token_that_the_broker_no_longer_takes_is_no_fault_of_the_agents(
    gateway: Gateway, server: FakeAuthorizationServer, clock: Clock
) -> None:
    clock.seconds = NOW + 700
    assert (await fetched(gateway, server, "any")).status_code == 503


@pytest.mark.parametrize("content", [None, *BAD.values()], ids=["missing", *BAD])
async def test_while_the_file_holds_no_token_agents_are_told_to_come_back(
    gateway: Gateway,
    server: FakeAuthorizationServer,
    pod: Pod,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    pod.put(content)
    clock.seconds += 1
    for _ in range(2):
        response = await fetched(gateway, server, "any")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "secret" not in response.text
    token = pod.renew(expires_at=NOW + 600)
    assert (await fetched(gateway, server, "any")).status_code == 200
    assert "our token for the broker" in caplog.text
    assert "secret" not in caplog.text
    assert token not in caplog.text


def test_the_file_is_read_once_in_a_second(pod: Pod, clock: Clock) -> None:
    first = pod.renew(expires_at=NOW + 600)
    proof = ProjectedToken(pod.file, now=clock)
    second = pod.renew(expires_at=NOW + 700)
    form = {"client_assertion_type": CLIENT_ASSERTION_JWT_BEARER, "client_assertion": first}
    assert proof.parameters(URL) == form
    clock.seconds += 1
    assert proof.parameters(URL) == form | {"client_assertion": second}
    pod.put(None)
    assert proof.parameters(URL) == form | {"client_assertion": second}
    clock.seconds += 1
    with pytest.raises(TemporarilyUnavailable, match="cannot be read: FileNotFoundError"):
        proof.parameters(URL)
    assert second not in repr(proof)


@pytest.mark.parametrize("content", [None, *BAD.values()], ids=["missing", *BAD])
def test_a_file_without_a_token_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pod: Pod, content: bytes | None
) -> None:
    pod.put(content)
    line = refusal(monkeypatch, capsys, BROKER_TOKEN_FILE=str(pod.file))
    assert line.startswith("GATEWAY_BROKER_TOKEN_FILE: ")
    assert "secret" not in line


def test_exactly_one_way_to_prove_ourselves_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings, pod: Pod
) -> None:
    pod.renew(expires_at=NOW + 600)
    key = str(settings.broker_client_key_file)
    neither = refusal(monkeypatch, capsys)
    both = refusal(monkeypatch, capsys, BROKER_TOKEN_FILE=str(pod.file), BROKER_CLIENT_KEY_FILE=key)
    for line in (neither, both):
        assert line.startswith("GATEWAY_BROKER_TOKEN_FILE: ")
        assert "either GATEWAY_BROKER_CLIENT_KEY_FILE or GATEWAY_BROKER_TOKEN_FILE" in line


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **given: str) -> str:
    """Return the one line that a start with these settings ends with."""
    for name in ("RESOURCE", "ISSUER", "JWKS_URI", "BROKER_URL", "API_URL", "API_AUDIENCE"):
        monkeypatch.setenv(f"GATEWAY_{name}", "https://somewhere.test/mcp")
    for name, value in given.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SystemExit):
        load_settings(Settings)
    (line,) = capsys.readouterr().err.splitlines()
    return line
