"""The development authorization server's inbox, as a user's mail program would read it."""

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from demo.browser import BrowserError
from demo.network import Network

TIMEOUT_SECONDS: Final = 5.0


class Mail(BaseModel):
    """One message, newest first in the inbox."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    recipient: str
    code: str


class Mails(BaseModel):
    """The inbox."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mails: list[Mail]


async def newest_password(inbox_url: str, email: str, *, network: Network | None = None) -> str:
    """Return the newest one-time password for an address.

    Raises:
        BrowserError: none has arrived, or the inbox cannot be read.
    """
    async with (network or Network()).client(timeout_seconds=TIMEOUT_SECONDS) as client:
        response = await client.get(f"{inbox_url}.json", params={"to": email})
    try:
        mails = Mails.model_validate_json(response.content)
    except ValidationError:
        raise BrowserError(f"the inbox answered HTTP {response.status_code} with something else") from None
    for mail in mails.mails:
        if mail.recipient == email:
            return mail.code
    raise BrowserError(f"no one-time password for {email} in the inbox")
