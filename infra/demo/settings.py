"""What the demo itself reads from its environment; everything else is an option."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Two conventions that users know from elsewhere."""

    model_config = SettingsConfigDict(frozen=True)

    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    no_color: str = Field(default="", validation_alias="NO_COLOR")
