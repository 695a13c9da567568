"""The users of Redis: the lines of `infra/redis/users.acl`, with passwords.

`python -m demo.redis_users` writes the file for those users whose `<USER>_PASSWORD` is in the environment.
"""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

TEMPLATE: Final = Path(__file__).resolve().parents[1] / "redis" / "users.acl"
CONFIGURATION: Final = TEMPLATE.with_name("redis.conf")

ADMIN: Final = "admin"


def acl_file(passwords: Mapping[str, str]) -> str:
    """Return the content of an ACL file with those users who have a password, and the default user off.

    Raises:
        KeyError: a password for somebody who is not in the template.
    """
    lines = TEMPLATE.read_text("utf-8").splitlines()
    chosen = [line for line in lines if line == "user default off"]
    by_user = {line.split()[1]: line for line in lines}
    for user, password in passwords.items():
        digest = hashlib.sha256(password.encode()).hexdigest()
        chosen.append(by_user[user].replace(f" #{user} ", f" #{digest} ", 1))
    return "\n".join(chosen) + "\n"


class Passwords(BaseSettings):
    """One for each user of the template."""

    model_config = SettingsConfigDict(env_prefix="", frozen=True)

    admin_password: SecretStr | None = None
    broker_password: SecretStr | None = None
    gateway_password: SecretStr | None = None
    stocks_password: SecretStr | None = None
    ticker_password: SecretStr | None = None
    audit_password: SecretStr | None = None
    replication_password: SecretStr | None = None
    sentinel_password: SecretStr | None = None

    def given(self) -> dict[str, str]:
        """Return the passwords of those who have one."""
        return {
            name.removesuffix("_password"): value.get_secret_value()
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), SecretStr)
        }


if __name__ == "__main__":
    sys.stdout.write(acl_file(Passwords().given()))
