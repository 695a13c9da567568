"""Who the demo's agent says it is, whether it registers or is known by its metadata document."""

from typing import Final

NAME: Final = "Demo agent"
REDIRECT_URI: Final = "http://127.0.0.1:33418/callback"
