"""What this machine is worth at the moment, by which figures of another machine or hour can be compared."""

from time import process_time
from typing import Final

from joserfc import jwt
from joserfc.jwk import ECKey

_TIMES: Final = 1000


def verification_microseconds() -> float:
    """Return the CPU time of one ES256 verification by joserfc, which no authenticated request can avoid."""
    key = ECKey.generate_key("P-256", private=True)
    token = jwt.encode({"alg": "ES256"}, {"sub": "yardstick"}, key)
    began = process_time()
    for _ in range(_TIMES):
        jwt.decode(token, key)
    return 1_000_000 * (process_time() - began) / _TIMES
