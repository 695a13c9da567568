"""Reading `application/x-www-form-urlencoded` request bodies strictly (RFC 6749 §3.2 and appendix B)."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from starlette.requests import Request

from authcore.errors import InvalidRequest

MAX_FORM_BYTES = 64 * 1024
MAX_FORM_FIELDS = 64


class Form:
    """Parameters of one request. Empty values count as absent (RFC 6749 §3.2)."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = [(name, value) for name, value in pairs if value]
        self._values: dict[str, list[str]] = {}
        for name, value in self._pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str | None:
        """Return the one value.

        Raises:
            InvalidRequest: the parameter is there more than once.
        """
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise InvalidRequest(f"The parameter {name} must not be repeated")
        return values[0]

    def require(self, name: str) -> str:
        """Return the one value.

        Raises:
            InvalidRequest: the parameter is missing, empty or repeated.
        """
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is required")
        return value

    def get_all(self, name: str) -> list[str]:
        """Return every value, for parameters that may repeat (`audience`, `resource`: RFC 8693 §2.1)."""
        return list(self._values.get(name, ()))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)


def parse_form(text: str) -> Form:
    """Parse a query string or form body.

    Raises:
        InvalidRequest: not UTF-8, malformed, or too many fields.
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS, encoding="utf-8"
        )
    except (ValueError, UnicodeError) as error:
        raise InvalidRequest("The form is malformed") from error
    return Form(pairs)


async def read_form(request: Request) -> Form:
    """Read and parse the body of a request.

    Raises:
        InvalidRequest: wrong media type, too large or malformed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidRequest("The body must be application/x-www-form-urlencoded")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise InvalidRequest("The form is too large")
    try:
        return parse_form(body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise InvalidRequest("The form is malformed") from error
