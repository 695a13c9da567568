"""Who may do what at this API, decided from a verified token and nothing else."""

from typing import Final

from authcore.claims import VerifiedToken, covers
from authcore.errors import InsufficientScope

READ: Final = "stocks/read"


class ContextMissing(Exception):
    """The token lacks claims that this API decides by. `claims` names them."""

    def __init__(self, claims: tuple[str, ...]) -> None:
        super().__init__(", ".join(claims))
        self.claims = claims


def require_scope(token: VerifiedToken, scope: str) -> None:
    """Return if the token grants the scope, itself or through one that contains it.

    Raises:
        InsufficientScope: it does not.
    """
    required = frozenset({scope})
    if not covers(token.scope, required):
        raise InsufficientScope("The token does not reach this operation", scope=required)


def readable_region(token: VerifiedToken) -> str:
    """Return the only region whose stocks this token may read.

    Raises:
        InsufficientScope: the token may not read stocks.
        ContextMissing: region, client type or assurance level is absent. Level 0 is a level.
    """
    require_scope(token, READ)
    missing = token.context.missing()
    region = token.context.region
    if missing or region is None:
        raise ContextMissing(missing)
    return region
