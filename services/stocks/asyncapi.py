"""`python -m stocks.asyncapi FILE` writes the AsyncAPI document of the price streams."""

import json
import sys
from pathlib import Path

from faststream.redis import RedisBroker

from stocks.ticker_app import NOWHERE, declare_publishers, specification


def document() -> str:
    """Return the document as it is kept in the repository."""
    broker = RedisBroker(NOWHERE)
    declare_publishers(broker, stream_length=10_000)
    described = specification(broker).to_specification().to_jsonable()
    return json.dumps(described, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), "utf-8")
