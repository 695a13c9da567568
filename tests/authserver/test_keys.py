"""Signing keys: which algorithm, and how one follows the other."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from authcore.clock import system_clock
from authcore.jwks import JwksClient
from authcore.oauth2_types import MEDIA_TYPE_INTROSPECTION_JWT, MEDIA_TYPE_JWT
from authcore.validator import TokenProfile, TokenValidator
from authserver.database import StateOfAnotherVersion
from authserver.key_rotation import NOTICE_SECONDS, RotationUnderWay, rotate_file
from authserver.settings import MAX_TOKEN_SECONDS
from tests.authserver.server import API, ISSUER, MCP, AuthServer, Json, serving, unverified
from tests.support.issuer import Clock

WAIT_SECONDS = 10
AHEAD = 600


async def published(server: AuthServer) -> list[Json]:
    return (await server.http.get(f"{ISSUER}/jwks")).json()["keys"]


async def kids(server: AuthServer) -> list[str]:
    return [key["kid"] for key in await published(server)]


async def noticed(server: AuthServer, count: int) -> None:
    """Wait until the running server publishes so many keys."""
    async with asyncio.timeout(WAIT_SECONDS):
        found = len(await kids(server))
        while found != count:
            await asyncio.sleep(0.05)
            found = len(await kids(server))


async def rotate(server: AuthServer) -> int:
    """Rotate from outside, as the command does."""
    return await rotate_file(server.state_files()[0], "ES256", server.clock(), AHEAD)


async def signer(server: AuthServer, token: str) -> str:
    return (await server.verified((await server.introspect(token, MEDIA_TYPE_JWT)).text)).header["kid"]


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "RS256"])
async def test_every_signature_is_of_the_algorithm_that_was_chosen(tmp_path: Path, algorithm: str) -> None:
    async with serving(tmp_path, signing_algorithm=algorithm) as server:
        token = await server.token()
        derived = (await server.exchange(token)).json()["access_token"]
        phantom = (await server.introspect(token, MEDIA_TYPE_JWT)).text
        answer = (await server.introspect(token, MEDIA_TYPE_INTROSPECTION_JWT)).text
        for signed in (derived, phantom, answer):
            assert (await server.verified(signed)).header["alg"] == algorithm
        for accepted in (derived, phantom):
            assert (await server.introspect(accepted)).json()["active"] is True
        metadata = (await server.http.get(f"{ISSUER}/.well-known/openid-configuration")).json()
        assert metadata["introspection_signing_alg_values_supported"] == [algorithm]
        assert {key["alg"] for key in await published(server)} == {algorithm}


async def test_the_next_key_is_published_before_it_is_needed_and_survives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        before = await kids(server)
        assert len(before) == 2
        token, broker_key = await server.token(), server.broker_key
        assert await signer(server, token) in before
    async with serving(tmp_path, broker_key=broker_key) as server:
        assert await kids(server) == before


async def test_another_algorithm_takes_over_at_a_restart_and_tokens_of_the_old_one_stay_good(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server:
        token, broker_key = await server.token(), server.broker_key
        old = (await server.exchange(token)).json()["access_token"]
    async with serving(tmp_path, broker_key=broker_key, signing_algorithm="PS256") as server:
        assert sorted(key["alg"] for key in await published(server)) == ["ES256", "PS256", "PS256"]
        assert (await server.introspect(old)).json()["active"] is True
        assert (await server.verified((await server.exchange(old)).json()["access_token"])).header[
            "alg"
        ] == "PS256"


async def test_a_rotation_is_noticed_by_the_running_server_and_the_new_key_waits_its_time(
    server: AuthServer,
) -> None:
    token = await server.token()
    first, following = await signer(server, token), (await kids(server))[0]
    assert await rotate(server) == server.clock() + AHEAD
    await noticed(server, 3)
    server.clock.seconds += AHEAD - 1
    assert await signer(server, token) == first
    server.clock.seconds += 1
    assert await signer(server, token) == following
    assert first in await kids(server)


async def test_a_retired_key_stays_published_until_all_it_signed_has_expired(server: AuthServer) -> None:
    token = await server.token()
    retired = await signer(server, token)
    server.clock.seconds += AHEAD
    assert await rotate(server) == server.clock()
    await noticed(server, 3)
    server.clock.seconds += MAX_TOKEN_SECONDS + NOTICE_SECONDS - 1
    assert retired in await kids(server)
    server.clock.seconds += 1
    assert retired not in await kids(server)
    assert len(await kids(server)) == 2


async def test_one_rotation_at_a_time(server: AuthServer) -> None:
    signs_from = await rotate(server)
    with pytest.raises(RotationUnderWay) as refused:
        await rotate(server)
    assert refused.value.signs_from == signs_from
    server.clock.seconds += AHEAD
    assert await rotate(server) == signs_from + AHEAD - AHEAD


async def test_two_rotations_lose_no_call_of_those_who_verify_offline(server: AuthServer) -> None:
    validators = {
        audience: TokenValidator(
            TokenProfile(issuer=ISSUER, audience=frozenset({audience})),
            JwksClient(server.http, f"{ISSUER}/jwks", now=server.clock),
            now=server.clock,
        )
        for audience in (MCP, API)
    }
    used: set[str] = set()
    last: list[tuple[int, str]] = []
    token, expires_at = "", 0
    for step in range(150):
        if step in (20, 80):
            await rotate(server)
            await noticed(server, 3 if step == 20 else 4)
        if server.clock() >= expires_at - 20:
            token = await server.token()
            expires_at = (await server.introspect(token)).json()["exp"]
        phantom = (await server.introspect(token, MEDIA_TYPE_JWT)).text
        derived = (await server.exchange(token)).json()["access_token"]
        await validators[MCP].validate(phantom)
        await validators[API].validate(derived)
        used.add((await server.verified(derived)).header["kid"])
        last.append((unverified(derived)["exp"], derived))
        while last and last[0][0] <= server.clock() + 10:
            await validators[API].validate(last.pop(0)[1])
        server.clock.seconds += 10
    assert len(used) == 3


async def test_rotations_can_be_scheduled(tmp_path: Path) -> None:
    async with serving(tmp_path, key_rotation_seconds=3600) as server:
        token = await server.token()
        first = await signer(server, token)
        server.clock.seconds += 3600
        await noticed(server, 3)
        assert await signer(server, await server.token()) != first


async def run(state: Path, *arguments: str) -> tuple[int, str]:
    environment = {
        "AUTHSERVER_ISSUER": ISSUER,
        "AUTHSERVER_STATE_PATH": str(state),
        "AUTHSERVER_MCP_RESOURCE": MCP,
        "AUTHSERVER_API_AUDIENCES": f'["{API}"]',
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authserver", *arguments),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_command_rotates_while_the_server_runs(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=Clock(system_clock())) as server:
        status, said = await run(server.state_files()[0], "keys", "rotate")
        assert (status, "another one is published" in said) == (0, True)
        await noticed(server, 3)
        status, said = await run(server.state_files()[0], "keys", "rotate")
        assert (status, "under way" in said) == (1, True)


def test_the_command_makes_no_state_of_its_own(tmp_path: Path) -> None:
    status, said = asyncio.run(run(tmp_path / "absent.sqlite", "keys", "rotate"))
    assert (status, "does not exist" in said) == (1, True)
    assert list(tmp_path.iterdir()) == []


async def test_a_state_file_of_another_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.sqlite") as state:
        state.execute("CREATE TABLE signing_keys (kid TEXT)")
    state.close()
    with pytest.raises(StateOfAnotherVersion, match="remove it"):
        async with serving(tmp_path):
            pass
