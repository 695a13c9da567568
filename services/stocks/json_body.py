"""Reading the JSON of a request so that whoever inspected it before us has read the same."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictRoute(APIRoute):
    """A route whose bodies can be read one way only; what cannot be is answered with 400."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the usual handler, reading strictly."""
        handler = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def json(self) -> Any:  # noqa: ANN401  whatever JSON can be
        """Return the value: in UTF-8, without repeated members and numbers that JSON does not know."""
        text = (await self.body()).decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)
