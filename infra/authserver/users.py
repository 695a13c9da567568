"""Who may sign in, and by which name tokens speak of them."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from authserver.settings import UserSettings


@dataclass(frozen=True, slots=True)
class User:
    """An approved user."""

    email: str
    region: str
    subject: str
    """The `sub` of tokens: stable, and unreadable without the secret it was made with."""


class Users:
    """All approved users. They are configuration: one who is removed has no valid token after a restart."""

    def __init__(self, users: Iterable[UserSettings], secret: bytes) -> None:
        self._by_email = {
            email: User(email, user.region, _subject(email, secret))
            for user in users
            for email in [normal_email(user.email)]
        }

    def find(self, email: str) -> User | None:
        """Return the user with this address, as `normal_email` writes it."""
        return self._by_email.get(email)


def normal_email(email: str) -> str:
    """Return the address in the one spelling used for comparison."""
    return email.strip().lower()


def masked(email: str) -> str:
    """Return the address with all but its first letter and its domain hidden."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••••@{domain}"


def _subject(email: str, secret: bytes) -> str:
    digest = hmac.digest(secret, email.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode("ascii")
