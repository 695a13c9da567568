"""A flood of bad tokens from one address ends here, not at the broker. Known tokens pass all the same."""

import hashlib

from starlette.types import Scope

from authcore.clock import Monotonic
from mcp_gateway.limit_buckets import LocalBuckets
from mcp_gateway.limiter import TooManyRequests
from mcp_gateway.limits import Bucket, Limit
from mcp_gateway.proxies import TrustedProxies


class Strangers:
    """Counts refused tokens by address, in this process: whoever floods all replicas meets this in each."""

    def __init__(self, per_minute: int, proxies: TrustedProxies, *, now: Monotonic) -> None:
        self._limit = Limit("address", None, per_minute, 60) if per_minute else None
        self._proxies = proxies
        self._buckets = LocalBuckets(now=now)

    def require_room(self, scope: Scope) -> Bucket | None:
        """Return what a refused token of this request is counted in; `None` if none is.

        Raises:
            TooManyRequests: it is full of them.
        """
        if self._limit is None:
            return None
        address = self._proxies.client_address(scope)
        bucket = Bucket(self._limit, hashlib.sha256(address.encode()).hexdigest())
        room = self._buckets.take_now(bucket, 0)
        if room.remaining == 0:
            raise TooManyRequests(self._limit, room.retry_after_seconds)
        return bucket

    def count(self, bucket: Bucket | None) -> None:
        """Remember that a token was refused."""
        if bucket is not None:
            self._buckets.take_now(bucket, 1)
