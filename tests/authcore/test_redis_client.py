"""Connecting: over TLS, through a socket, as a user; and asking Sentinels."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from authcore.errors import TemporarilyUnavailable
from authcore.redis_client import BoundedRedis, Script, connect
from authcore.redis_sentinel import Sentinels
from authcore.redis_settings import RedisSettings
from authcore.redis_url import TlsFiles
from tests.support.certificates import Authority
from tests.support.redis_server import RedisServer, free_port

NO_FILES = TlsFiles()


async def reason(redis: BoundedRedis) -> str:
    """Why Redis cannot be used; nothing if it can."""
    try:
        await redis.check()
    except TemporarilyUnavailable as error:
        return error.reason
    finally:
        await redis.aclose()
    return ""


@dataclass
class TlsFront:
    """TLS in front of a Redis, as its own would be: it asks for a certificate of the same authority."""

    port: int
    authority: Authority


@pytest.fixture
async def front(own_redis: RedisServer, tmp_path: Path) -> AsyncGenerator[TlsFront]:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("server"))
    async with forwarding(own_redis.port, context) as port:
        yield TlsFront(port, authority)


@asynccontextmanager
async def forwarding(target: int, context: ssl.SSLContext) -> AsyncGenerator[int]:
    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pipe(reader, back_writer), pipe(back_reader, writer))

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context):
        yield port


def over_tls(front: TlsFront, files: TlsFiles, host: str = "127.0.0.1") -> BoundedRedis:
    return connect(f"rediss://{host}:{front.port}/0", tls=files, timeout_seconds=2, max_connections=2)


async def test_over_tls_both_sides_show_a_certificate(front: TlsFront) -> None:
    files = TlsFiles(front.authority.file, *front.authority.issue("client"))
    assert await reason(over_tls(front, files)) == ""


async def test_a_server_that_nobody_vouches_for_is_not_talked_to(front: TlsFront, tmp_path: Path) -> None:
    client = front.authority.issue("client")
    for files in (TlsFiles(None, *client), TlsFiles(Authority(tmp_path, "other").file, *client)):
        assert await reason(over_tls(front, files)) == "redis: ConnectionError"


async def test_a_certificate_for_another_name_is_not_enough(front: TlsFront) -> None:
    files = TlsFiles(front.authority.file, *front.authority.issue("client"))
    assert await reason(over_tls(front, files, host="localhost")) == "redis: ConnectionError"


async def test_without_a_certificate_of_our_own_the_server_refuses_us(front: TlsFront) -> None:
    assert await reason(over_tls(front, TlsFiles(front.authority.file))) == "redis: ConnectionError"


async def test_a_redis_without_tls_is_not_taken_for_one_with_it(own_redis: RedisServer) -> None:
    url = own_redis.url.replace("redis:", "rediss:")
    assert await reason(connect(url, timeout_seconds=1, max_connections=1)) != ""


async def test_a_user_is_who_the_url_says(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    server = RedisServer(
        arguments=("--unixsocket", str(socket), "--user", "reader", "on", ">p@ss", "~delegations", "+exists")
    )
    server.start()
    try:
        for place in (f"reader:p%40ss@127.0.0.1:{server.port}", f"reader:wrong@127.0.0.1:{server.port}"):
            redis = connect(f"redis://{place}/0", timeout_seconds=1, max_connections=1)
            expected = "" if "wrong" not in place else "redis: AuthenticationError"
            assert await reason(redis) == expected
        redis = connect(f"unix://reader:p%40ss@{socket}", timeout_seconds=1, max_connections=1)
        assert await reason(redis) == ""
    finally:
        server.discard()


async def test_more_uses_than_connections_wait_for_their_turn_and_not_for_ever(
    own_redis: RedisServer,
) -> None:
    redis = connect(own_redis.url, timeout_seconds=0.1, max_connections=1)
    async with redis.places:
        with pytest.raises(TemporarilyUnavailable, match="TimeoutError"):
            await redis.check()
    await asyncio.gather(*(redis.check() for _ in range(20)))
    await redis.aclose()


async def test_a_script_runs_where_nobody_has_seen_it_yet(own_redis: RedisServer) -> None:
    redis = connect(own_redis.url, timeout_seconds=1, max_connections=1)
    script = Script("return {KEYS[1], ARGV[1]}")
    for _ in range(2):
        async with redis.use() as client:
            assert await script.run(client, keys=["k"], args=[b"a"]) == [b"k", b"a"]
    await redis.aclose()


class Silent:
    """A Sentinel that answers when told."""

    def __init__(self, masters: Callable[[], dict[str, object]]) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self._masters = masters

    async def sentinel_masters(self) -> dict[str, object]:
        self.asked.set()
        await self.may_answer.wait()
        return self._masters()


async def test_no_sentinel_is_forgotten_however_many_ask_at_once() -> None:
    good = {"m": {"is_master": True, "is_sdown": False, "is_odown": False, "ip": "h", "port": 1}}
    good["m"]["num-other-sentinels"] = 2
    knowing = [Silent(lambda: {}), Silent(lambda: dict(good)), Silent(lambda: dict(good))]
    sentinels = Sentinels([])
    sentinels.sentinels = cast(Any, list(knowing))
    asking = [asyncio.create_task(sentinels.discover_master("m")) for _ in range(3)]
    for sentinel in knowing[:2]:
        await sentinel.asked.wait()
        sentinel.may_answer.set()
    assert await asyncio.gather(*asking) == [("h", 1)] * 3
    assert set(sentinels.sentinels) == set(knowing)
    # The one that answered well is asked first from now on.
    knowing[0].asked.clear()
    assert await sentinels.discover_master("m") == ("h", 1)
    assert not knowing[0].asked.is_set()


class Settings(RedisSettings):
    """Settings of some service."""


def test_files_for_tls_without_tls_are_a_mistake(tmp_path: Path) -> None:
    file = Authority(tmp_path).file
    with pytest.raises(ValidationError, match="not a rediss one"):
        Settings(redis_url="redis://h", redis_ca_file=file)  # pyright: ignore[reportArgumentType]
    settings = Settings(redis_url="rediss://h", redis_ca_file=file)  # pyright: ignore[reportArgumentType]
    assert settings.redis_tls == TlsFiles(file)
    assert Settings().redis_tls == NO_FILES
