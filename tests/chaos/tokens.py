"""Access tokens for any number of customers, signed by the key of the stack's data directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from joserfc import jwt

from cli.token import AUDIENCE, ISSUER, signing_key
from infra.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

LIFETIME_S = 12 * 3600
ALGORITHM = "ES256"


class Tokens:
    """One for each account, made once."""

    def __init__(self, data_dir: Path) -> None:
        self._key = signing_key(Settings(_env_file=None, data_dir=data_dir))
        self._made: dict[str, str] = {}

    def of(self, account: str) -> str:
        """The account's token."""
        made = self._made.get(account)
        if made is None:
            now = int(time.time())
            claims = {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "sub": account,
                "iat": now,
                "exp": now + LIFETIME_S,
                "roles": ["user"],
            }
            header = {"alg": ALGORITHM, "kid": self._key.kid, "typ": "JWT"}
            made = self._made[account] = jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
        return made
