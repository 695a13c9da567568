"""Where Redis is, in one URL; and what is wrong with one, without showing its password."""

import re
from pathlib import Path

import pytest

from authcore.redis_url import Credentials, RedisLocation, TlsFiles, parse_redis_url
from tests.support.certificates import Authority

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("redis://h", RedisLocation("single", (("h", 6379),))),
        (
            "rediss://u:p%40%2F@h.example:7000/3",
            RedisLocation(
                "single", (("h.example", 7000),), tls=True, credentials=Credentials("u", "p@/"), database=3
            ),
        ),
        (
            "redis://:p@127.0.0.1:8379/0",
            RedisLocation("single", (("127.0.0.1", 8379),), credentials=Credentials(None, "p")),
        ),
        ("redis://[::1]:7000", RedisLocation("single", (("::1", 7000),))),
        ("unix:///run/redis.sock", RedisLocation("single", path="/run/redis.sock")),
        (
            "redis+sentinel://u:p@a,b:7000/mymaster/2",
            RedisLocation(
                "sentinel",
                (("a", 26379), ("b", 7000)),
                credentials=Credentials("u", "p"),
                database=2,
                master="mymaster",
            ),
        ),
        (
            "rediss+sentinel://a/m?sentinel_username=s&sentinel_password=t%26",
            RedisLocation(
                "sentinel", (("a", 26379),), tls=True, master="m", sentinel_credentials=Credentials("s", "t&")
            ),
        ),
        ("redis+cluster://a,b:7000", RedisLocation("cluster", (("a", 6379), ("b", 7000)))),
        (
            "rediss+cluster://[::1],[::2]:7000/0",
            RedisLocation("cluster", (("::1", 6379), ("::2", 7000)), tls=True),
        ),
    ],
)
def test_a_url_says_where_redis_is_and_who_we_are(url: str, location: RedisLocation) -> None:
    assert parse_redis_url(url) == location


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://u:hunter2@h", "must be a redis://"),
        ("redis+cluster:hunter2", "must be a redis://"),
        ("redis://", "must be a redis://"),
        ("", "must be a redis://"),
        ("redis://u:hunter2@", "must name a host"),
        ("redis://u:hunter2@h:port", "must name a host"),
        ("redis://u:hunter2@h:70000", "must name a host"),
        ("redis://u:hunter2/x@h", "must name a host"),
        ("redis://u:hunter2@a,b", "names several nodes"),
        ("redis://u:hunter2@a/zero", "number of a database"),
        ("redis://u:hunter2@a?socket_timeout=9", "options that are not known"),
        ("redis://u:pa?hunter2@h", "%3F"),
        ("rediss://h?ssl_cert_reqs=none", "options that are not known"),
        ("redis+sentinel://u:hunter2@a", "must name the master"),
        ("redis+cluster://u:hunter2@a/1", "no database but 0"),
        ("unix://u:hunter2@h/x", "must name the socket"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        parse_redis_url(url)
    assert SECRET not in str(caught.value)


def test_a_location_does_not_show_its_passwords() -> None:
    assert SECRET not in repr(parse_redis_url("redis+sentinel://u:hunter2@a/m?sentinel_password=hunter2"))


def test_files_for_tls_are_tried_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client")
    TlsFiles(authority.file, certificate, key).check()
    for files, complaint in (
        (TlsFiles(tmp_path / "missing"), "FileNotFoundError"),
        (TlsFiles(key), "SSLError"),
        (TlsFiles(None, certificate, authority.file), "SSLError"),
        (TlsFiles(None, certificate), "together"),
    ):
        with pytest.raises(ValueError, match=complaint):
            files.check()


def test_a_key_behind_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("client", password=b"passphrase")
    with pytest.raises(ValueError, match="cannot be used"):
        TlsFiles(None, certificate, key).check()
