"""`TICKER_*`: what the publisher of prices is told by its environment."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from authcore.redis_settings import RedisSettings


class TickerSettings(RedisSettings):
    """Where prices go and how they move."""

    model_config = SettingsConfigDict(env_prefix="TICKER_", frozen=True)

    port: int = Field(default=8083, ge=1, le=65535, description="port to listen on, for health checks")
    redis_timeout_seconds: float = Field(
        default=0.5, gt=0, le=10, description="limit for connecting to Redis and for each of its answers"
    )
    updates_per_second: float = Field(
        default=2.0, gt=0, le=10_000, description="steps of the random walk, of all stocks together"
    )
    seed: int = Field(default=0, description="the walk's; the same seed walks the same way")
    replay: Path | None = Field(
        default=None, description="CSV file with time, symbol, price: publish these quotes instead of walking"
    )
    speed: float = Field(default=1.0, gt=0, description="how many times faster than recorded to replay")
    stream_length: int = Field(
        default=10_000, ge=100, description="updates kept in the stream of each region, about"
    )

    @field_validator("redis_url")
    @classmethod
    def _is_given(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("is required, or TICKER_REDIS_URL_FILE")
        return value
