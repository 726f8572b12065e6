"""`billing token`: an access token for development, signed by a key of the data directory."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from cli.common import DataDirOption, UsageError, settings_in
from infra.embedded.data_dir import read_intact
from infra.embedded.stack_file import write_private
from infra.oidc import is_account

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from infra.settings import Settings

ISSUER = "billing-development"
AUDIENCE = "billing"
_LIFETIME_S = 12 * 3600
_ALGORITHM = "ES256"


class Role(StrEnum):
    """What a person may do here."""

    USER = "user"
    MANAGER = "manager"
    ADMIN = "admin"


def token(
    account: Annotated[str, typer.Option("--account", help="Whose token: the account's id.")],
    role: Annotated[list[Role] | None, typer.Option("--role", help="Repeatable. [default: user]")] = None,
    email: Annotated[str, typer.Option("--email", help="The e-mail address to claim.")] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Print an access token for development; refused where an identity provider is configured."""
    from joserfc import jwt

    settings = settings_in(data_dir)
    if settings.oidc_issuer:
        raise UsageError("an identity provider is configured (BILLING_OIDC_ISSUER): get the token there")
    if settings.environment == "production":
        raise UsageError("in production there are no development tokens (BILLING_ENVIRONMENT)")
    if not is_account(account):
        raise UsageError(
            "an account's id has 1 to 128 printable ASCII characters without spaces, no catalog/ before them"
        )
    key = signing_key(settings)
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": account,
        "iat": now,
        "exp": now + _LIFETIME_S,
        "roles": [str(each) for each in role or [Role.USER]],
    }
    if email:
        claims["email"] = email
    typer.echo(jwt.encode({"alg": _ALGORITHM, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[_ALGORITHM]))


def signing_key(settings: Settings) -> ECKey:
    """The key of the data directory, made at the first call, with its public part beside it for the API."""
    from joserfc.jwk import ECKey, KeySet

    path = settings.dev_signing_key_path
    if not path.exists():
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": _ALGORITHM}, private=True, auto_kid=True)
        write_private(path, orjson.dumps(key.as_dict(private=True)))
    key = read_intact(path, lambda content: ECKey.import_key(orjson.loads(content)))
    if not settings.dev_jwks_path.exists():
        write_private(settings.dev_jwks_path, orjson.dumps(KeySet([key]).as_dict(private=False)))
    return key
