"""Changing the signing key without anybody noticing: publish, sign, retire.

There is always one key that signs and one that is only published. A rotation lets the published one sign, but
not before everybody who keeps our key set for a while has read it again; the one that signed stays published
until the last token it signed has expired; and another one is published for the next time.
"""

import asyncio
import json
from pathlib import Path
from typing import Final

from joserfc.jwk import ECKey, RSAKey

from authserver.database import open_database
from authserver.settings import MAX_TOKEN_SECONDS, SigningAlgorithm
from authserver.state_thread import Row, Transaction

NOTICE_SECONDS: Final = 60
"""A running server has noticed a rotation within this time; until then it signs with the old key."""

RSA_BITS: Final = 2048


class RotationUnderWay(Exception):
    """The next key does not sign yet; only then another one can follow."""

    def __init__(self, signs_from: int) -> None:
        super().__init__("a rotation is under way")
        self.signs_from = signs_from


async def prepare(transaction: Transaction, algorithm: SigningAlgorithm, now: int) -> None:
    """Have a key of this algorithm sign and another one wait.

    Another algorithm than before is a change of configuration, which those who verify have to make as well:
    it takes effect at once.
    """
    rows = await _keys(transaction)
    if not any(_takes_part(row, algorithm) for row in rows if row["published_until"] is None):
        await _retire(transaction, rows, now)
        await _add(transaction, algorithm, now, signs_from=now)
    await _publish_next(transaction, algorithm, now)


async def rotate(
    transaction: Transaction, algorithm: SigningAlgorithm, now: int, publish_ahead_seconds: int
) -> int:
    """Let the next key take over; return from when on it signs.

    Raises:
        RotationUnderWay: a key is about to take over already.
    """
    rows = await _keys(transaction)
    coming = [row["signs_from"] for row in rows if (row["signs_from"] or 0) > now]
    if coming:
        raise RotationUnderWay(max(coming))
    following = await _publish_next(transaction, algorithm, now)
    signs_from = max(now, following["created_at"] + publish_ahead_seconds)
    await _retire(transaction, rows, signs_from)
    await transaction.run(
        "UPDATE signing_keys SET signs_from = ? WHERE kid = ?", signs_from, following["kid"]
    )
    await _publish_next(transaction, algorithm, now)
    return signs_from


async def rotate_file(path: Path, algorithm: SigningAlgorithm, now: int, publish_ahead_seconds: int) -> int:
    """Do as `rotate` in a state file, whether or not a server is using it.

    Raises:
        RotationUnderWay: as there.
    """
    async with open_database(path) as database:
        async with database.transaction() as transaction:
            await prepare(transaction, algorithm, now)
        async with database.transaction() as transaction:
            return await rotate(transaction, algorithm, now, publish_ahead_seconds)


async def _keys(transaction: Transaction) -> list[Row]:
    return await transaction.run("SELECT * FROM signing_keys")


def _takes_part(row: Row, algorithm: SigningAlgorithm) -> bool:
    return row["signs_from"] is not None and row["algorithm"] == algorithm


async def _publish_next(transaction: Transaction, algorithm: SigningAlgorithm, now: int) -> Row:
    # One of another algorithm never signed anything.
    await transaction.run("DELETE FROM signing_keys WHERE signs_from IS NULL AND algorithm <> ?", algorithm)
    waiting = [row for row in await _keys(transaction) if row["signs_from"] is None]
    return waiting[0] if waiting else await _add(transaction, algorithm, now, signs_from=None)


async def _retire(transaction: Transaction, rows: list[Row], at: int) -> None:
    for row in rows:
        if row["signs_from"] is not None and row["published_until"] is None:
            await transaction.run(
                "UPDATE signing_keys SET published_until = ? WHERE kid = ?",
                at + NOTICE_SECONDS + MAX_TOKEN_SECONDS,
                row["kid"],
            )


async def _add(
    transaction: Transaction, algorithm: SigningAlgorithm, now: int, *, signs_from: int | None
) -> Row:
    key = await asyncio.to_thread(_generate, algorithm)
    rows = await transaction.run(
        "INSERT INTO signing_keys (kid, algorithm, private_jwk, created_at, signs_from)"
        " VALUES (?, ?, ?, ?, ?) RETURNING *",
        key.kid,
        algorithm,
        json.dumps(key.as_dict(private=True)),
        now,
        signs_from,
    )
    return rows[0]


def _generate(algorithm: SigningAlgorithm) -> ECKey | RSAKey:
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", {"alg": algorithm, "use": "sig"}, private=True, auto_kid=True)
    return RSAKey.generate_key(RSA_BITS, {"alg": algorithm, "use": "sig"}, private=True, auto_kid=True)
