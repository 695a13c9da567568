"""`STOCKS_*`: what the API is told by its environment."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from authcore.secret_settings import given_or_from_file
from authcore.service import ServiceSettings
from stocks.store import require_store_url

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Limit = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class Settings(ServiceSettings):
    """Whom to trust, and where orders are kept, have no default."""

    model_config = SettingsConfigDict(env_prefix="STOCKS_", frozen=True)

    port: int = Field(default=8082, ge=1, le=65535, description="port to listen on")
    issuer: str = Field(description="issuer of the access tokens, exactly as in their `iss`")
    jwks_uri: str = Field(description="where that issuer publishes its signing keys")
    audience: str = Field(description="this API's name in `aud`, such as https://api.demo.example")
    signing_algorithms: frozenset[str] = Field(
        default=frozenset({"ES256"}), description="accepted signature algorithms, as a JSON array"
    )
    clock_skew_seconds: int = Field(default=30, ge=0, le=300, description="how far clocks may differ")
    http_timeout_seconds: float = Field(default=5.0, gt=0, description="limit for fetching keys")
    store_url_file: Path | None = Field(default=None, description="file that holds the next")
    store_url: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="where orders and past prices are kept: sqlite:////absolute/path, or redis:// or "
        "rediss:// with appendonly yes and maxmemory-policy noeviction; this or its file is required",
    )
    allowed_actors: frozenset[str] = Field(
        default=frozenset(),
        description="services that may act for users here, by their name in `act`, as a JSON array; where "
        "some are named, agents place orders through them only",
    )
    trusted_client_types: frozenset[str] = Field(
        default=frozenset(),
        description="client types whose orders are not held to the rules for agents, as a JSON array",
    )
    agent_order_limits: Mapping[Currency, Limit] = Field(
        default={"USD": Decimal(10_000), "EUR": Decimal(10_000)},
        description="what one order by an agent may be worth, by currency, as a JSON object; "
        "none in a currency that is not named",
    )

    @field_validator("store_url", mode="before")
    @classmethod
    def _or_from_file(cls, value: object, info: ValidationInfo) -> object:
        return given_or_from_file(value, info)

    @field_validator("store_url")
    @classmethod
    def _names_a_store(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("say where orders are kept, such as sqlite:////var/lib/stocks/stocks.sqlite")
        require_store_url(value.get_secret_value())
        return value
