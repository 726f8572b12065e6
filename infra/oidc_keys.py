"""Public keys of the issuer of tokens: over HTTPS from an identity provider, or from a file in development."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import httpx
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, RSAKey

from infra.logging import get_logger
from infra.oidc import ALGORITHMS, KeysUnavailableError, TokenVerifier
from infra.settings import SettingsInvalidError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from domain.ports import Clock
    from infra.oidc import AsymmetricKey
    from infra.settings import Settings

log = get_logger(__name__)

DEVELOPMENT_ISSUER = "billing-development"
DEVELOPMENT_AUDIENCE = "billing"

_REFRESH_S = 600.0
"""Keys older than this are read anew, while the old ones go on being served."""
_UNKNOWN_KEY_DELAY_S = 30.0
"""A name that nobody knows may cost the issuer one request in this time, whatever strangers send."""
_FAILED_DELAY_S = 2.0
_DEADLINE_S = 5.0
_ANSWER_BYTES_MAX = 256 * 1024
_KEYS_MAX = 100
_RSA_BITS_MIN = 2048
_FOUND = 200


class KeysInvalidError(Exception):
    """What was read is no set of keys."""


class KeysOfIssuer:
    """Keys of an OpenID provider: one request at a time, a deadline on each, stale keys rather than none."""

    def __init__(
        self,
        *,
        issuer: str,
        jwks_url: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._client = httpx.AsyncClient(
            timeout=_DEADLINE_S, transport=transport, headers={"accept": "application/json"}
        )
        self._monotonic = monotonic
        self._keys: dict[str, AsymmetricKey] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, key_type: str) -> AsymmetricKey | None:
        """See KeySource."""
        now = self._monotonic()
        if self._read_at is None:
            if self._since_try(now) >= _FAILED_DELAY_S or self._reading is not None:
                await self._read_once(now)
            if self._read_at is None:
                raise KeysUnavailableError(f"the keys of {self._issuer} cannot be read")
        elif now - self._read_at > _REFRESH_S and self._since_try(now) >= _UNKNOWN_KEY_DELAY_S:
            self._begin_read(now)
        key = choose(self._keys, kid, key_type)
        if key is None and (self._reading is not None or self._since_try(now) >= _UNKNOWN_KEY_DELAY_S):
            await self._read_once(now)
            key = choose(self._keys, kid, key_type)
        return key

    async def close(self) -> None:
        """See KeySource."""
        if self._reading is not None:
            self._reading.cancel()
        await self._client.aclose()

    def _since_try(self, now: float) -> float:
        return float("inf") if self._tried_at is None else now - self._tried_at

    def _begin_read(self, now: float) -> asyncio.Task[None]:
        if self._reading is None:
            self._tried_at = now
            self._reading = asyncio.create_task(self._read(), name="oidc-keys")
        return self._reading

    async def _read_once(self, now: float) -> None:
        """Wait for the one read that is under way; one waiter that gives up does not end it for the others."""
        await asyncio.shield(self._begin_read(now))

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(2 * _DEADLINE_S):
                keys = parse_keys(await self._get(self._jwks_url or await self._discover()))
            if not keys:
                raise KeysInvalidError("the issuer has no key that we can use")
        except (httpx.HTTPError, httpx.InvalidURL, KeysInvalidError, TimeoutError) as error:
            log.warning("oidc.keys.unreadable", issuer=self._issuer, error=repr(error), stale=self._read_at is not None)
        else:
            self._keys, self._read_at = keys, self._monotonic()
            log.info("oidc.keys.read", issuer=self._issuer, keys=len(keys))
        finally:
            self._reading = None

    async def _discover(self) -> str:
        document = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise KeysInvalidError("the discovery document is of another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str):
            raise KeysInvalidError("the discovery document has no jwks_uri")
        return url

    async def _get(self, url: str) -> dict[str, Any]:
        body = bytearray()
        async with self._client.stream("GET", url) as response:
            if response.status_code != _FOUND:
                raise KeysInvalidError(f"{url} answered {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _ANSWER_BYTES_MAX:
                    raise KeysInvalidError(f"{url} answered more than {_ANSWER_BYTES_MAX} bytes")
        return _json_object(bytes(body))


class KeysInFile:
    """The key of development tokens, which `billing up` writes into the data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._keys: dict[str, AsymmetricKey] = {}

    async def find(self, kid: str | None, key_type: str) -> AsymmetricKey | None:
        """See KeySource."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                self._keys = parse_keys(_json_object(self._path.read_bytes()))
                self._seen = seen
        except (OSError, KeysInvalidError) as error:
            raise KeysUnavailableError(f"the key of development tokens is not at {self._path}: {error}") from error
        return choose(self._keys, kid, key_type)

    async def close(self) -> None:
        """See KeySource."""


def choose(keys: dict[str, AsymmetricKey], kid: str | None, key_type: str) -> AsymmetricKey | None:
    """The key of that name; where no name is given, the only key of that type."""
    if kid is not None:
        return keys.get(kid)
    suitable = [key for key in keys.values() if key.key_type == key_type]
    return suitable[0] if len(suitable) == 1 else None


def parse_keys(document: dict[str, Any]) -> dict[str, AsymmetricKey]:
    """The usable signing keys of a JWK set by name; the rest is passed over. Raises KeysInvalidError."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise KeysInvalidError("a JWK set has `keys`")
    keys: dict[str, AsymmetricKey] = {}
    for entry in listed[:_KEYS_MAX]:
        if not isinstance(entry, dict) or entry.get("kty") not in ALGORITHMS.values() or entry.get("use") == "enc":
            continue
        try:
            key = cast("AsymmetricKey", JWKRegistry.import_key(entry))
            if isinstance(key, RSAKey) and key.raw_value.key_size < _RSA_BITS_MIN:
                continue
            key.ensure_kid()
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("oidc.key.unusable", error=repr(error))
            continue
        keys[str(key.kid)] = key
    return keys


def require_identity(settings: Settings) -> None:
    """Raise SettingsInvalidError where production has no identity provider: anybody could make tokens there."""
    if settings.environment == "production" and not settings.oidc_issuer:
        raise SettingsInvalidError("production needs an identity provider: set BILLING_OIDC_ISSUER")


def verifier_of(settings: Settings, clock: Clock) -> TokenVerifier:
    """The verifier that these settings ask for. Raises SettingsInvalidError."""
    require_identity(settings)
    if settings.oidc_issuer:
        return TokenVerifier(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            keys=KeysOfIssuer(issuer=settings.oidc_issuer, jwks_url=settings.oidc_jwks_url),
            clock=clock,
        )
    return TokenVerifier(
        issuer=DEVELOPMENT_ISSUER,
        audience=DEVELOPMENT_AUDIENCE,
        keys=KeysInFile(settings.dev_jwks_path),
        clock=clock,
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise KeysInvalidError(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise KeysInvalidError("no JSON object")
    return document
