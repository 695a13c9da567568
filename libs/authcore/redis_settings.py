"""What every service that uses Redis is told of it: `…_REDIS_URL` and the files for TLS."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from authcore.redis_client import require_redis_url
from authcore.redis_url import TlsFiles, parse_redis_url
from authcore.secret_settings import given_or_from_file
from authcore.service import ServiceSettings


class RedisSettings(ServiceSettings):
    """Base of the settings of a service that may do without Redis; one that may not says so itself."""

    redis_url_file: Path | None = Field(default=None, description="file with the URL of Redis")
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="redis://, redis+sentinel:// or redis+cluster://, with TLS rediss…, without a file",
    )
    redis_ca_file: Path | None = Field(
        default=None, description="PEM file: who may certify Redis, besides those the system believes"
    )
    redis_certificate_file: Path | None = Field(
        default=None, description="PEM file with our certificate, if Redis asks for one"
    )
    redis_key_file: Path | None = Field(
        default=None, validate_default=True, description="PEM file with that certificate's key"
    )

    @field_validator("redis_url", mode="before")
    @classmethod
    def _url_or_from_file(cls, value: object, info: ValidationInfo) -> object:
        return given_or_from_file(value, info)

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            require_redis_url(value.get_secret_value())
        return value

    @field_validator("redis_key_file")
    @classmethod
    def _can_be_used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Check all three files: this is the last of them."""
        files = TlsFiles(info.data.get("redis_ca_file"), info.data.get("redis_certificate_file"), value)
        url: SecretStr | None = info.data.get("redis_url")
        if files == TlsFiles() or url is None:
            return value
        if not url.get_secret_value() or not parse_redis_url(url.get_secret_value()).tls:
            raise ValueError("files for TLS were given, but the URL of Redis is not a rediss one")
        files.check()
        return value

    @property
    def redis_tls(self) -> TlsFiles:
        """The files for TLS."""
        return TlsFiles(self.redis_ca_file, self.redis_certificate_file, self.redis_key_file)
