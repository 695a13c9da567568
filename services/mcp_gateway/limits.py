"""How often an agent may call: limits as data, and what they mean for one call."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from mcp_gateway.caller import Caller

Subject = Literal["delegation", "client", "tool", "address"]

_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_GRAMMAR: Final = re.compile(
    r"(?P<subject>delegation|client|tool):?(?P<tool>(?<=:)[A-Za-z0-9_./-]{1,64})? "
    r"(?P<quota>[1-9][0-9]{0,8})/(?P<window>second|minute|hour|day)"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls at once, and as many again in each window: a bucket that fills up evenly."""

    subject: Subject
    tool: str | None
    """For `tool`: which one, by one delegation."""
    quota: int
    window_seconds: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Return the limit in a text like `delegation 600/minute` or `tool:place-order 20/hour`.

        Raises:
            ValueError: it is not one.
        """
        found = _GRAMMAR.fullmatch(text.strip())
        if found is None or (found["subject"] == "tool") != (found["tool"] is not None):
            raise ValueError(f"{text!r} is not like 'delegation 600/minute' or 'tool:place-order 20/hour'")
        subject: Subject = "delegation" if found["subject"] == "delegation" else "client"
        if found["tool"] is not None:
            subject = "tool"
        return cls(subject, found["tool"], int(found["quota"]), _WINDOWS[found["window"]])

    @property
    def name(self) -> str:
        """What answers call it."""
        return f"{self.tool or self.subject}-{self.window_seconds}s"

    @property
    def policy(self) -> str:
        """The item of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10 §3)."""
        return f'"{self.name}";q={self.quota};w={self.window_seconds}'


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one somebody. `key` tells nobody whose it is."""

    limit: Limit
    key: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What a bucket gave."""

    calls: int
    remaining: int
    """Left in the bucket afterwards."""
    full_after_seconds: float
    """When it is full again, if nobody takes anything."""
    retry_after_seconds: float
    """When there is one again, if there is none now."""


class Limits:
    """Finds the buckets of a caller."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._general: list[Limit] = []
        self._by_tool: defaultdict[str, list[Limit]] = defaultdict(list)
        for limit in limits:
            (self._general if limit.tool is None else self._by_tool[limit.tool]).append(limit)

    def general(self, caller: Caller) -> list[Bucket]:
        """Return what every request of the caller takes from."""
        return [_bucket(limit, caller) for limit in self._general]

    def of_tool(self, caller: Caller, message: Mapping[str, Any]) -> list[Bucket]:
        """Return what a message takes from besides, as the call of a tool."""
        params: object = message.get("params")
        if not self._by_tool or message.get("method") != "tools/call" or not isinstance(params, dict):
            return []
        name = cast("dict[str, object]", params).get("name")
        limits = self._by_tool.get(name, ()) if isinstance(name, str) else ()
        return [_bucket(limit, caller) for limit in limits]


def _bucket(limit: Limit, caller: Caller) -> Bucket:
    token = caller.token
    if limit.subject == "client":
        who = token.client_id or ""
    else:
        who = caller.delegation or token.delegation_id or f"{token.subject}|{token.client_id}"
    # The numbers are part of the name: another quota begins with a full bucket.
    text = f"{limit.subject}|{limit.tool}|{limit.quota}|{limit.window_seconds}|{who}"
    return Bucket(limit, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32])
