"""`STOCKS_*`: what the API is told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from authcore.service import ServiceSettings


class Settings(ServiceSettings):
    """Whom to trust has no default."""

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
