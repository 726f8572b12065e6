"""Access tokens: who asks, proven by a signature of the identity provider.

Only asymmetric signatures are known here, so the public key can never be taken for a shared secret, and `none` is no
algorithm. Tokens are judged by the time of the machine: the development clock moves the business, not the issuer.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from domain.ids import CATALOG_PREFIX

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    from domain.ports import Clock

    AsymmetricKey = RSAKey | ECKey | OKPKey

ALGORITHMS: dict[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
"""The signatures that are accepted, each with the type of key that makes it."""
KNOWN_ROLES = frozenset({"user", "manager", "admin"})

_TOKEN_LENGTH_MAX = 8192
_ACCOUNT_LENGTH_MAX = 128
_LEEWAY_S = 30
_CACHED_S_MAX = 300
"""A key that was withdrawn stops opening doors after this long, however long its tokens are valid."""
_CACHED_MAX = 10_000


class TokenError(Exception):
    """A token that proves nothing: `code` is stable, `detail` says what is wrong and never holds the token."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class KeysUnavailableError(Exception):
    """The issuer's keys have never been read, and cannot be read now: nobody can be judged."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    account: str
    roles: frozenset[str]


class KeySource(Protocol):
    """Where public keys come from."""

    async def find(self, kid: str | None, key_type: str) -> AsymmetricKey | None:
        """Return the key of that name, or the only one of that type where no name is given.

        Raises KeysUnavailableError.
        """

    async def close(self) -> None:
        """Release connections."""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    not_before: float
    until: float


class TokenVerifier:
    """Verifies tokens of one issuer for one audience, and remembers those that it has verified, within bounds."""

    def __init__(self, *, issuer: str, audience: str, keys: KeySource, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._clock = clock
        self._registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Return who asks. Raises TokenError, KeysUnavailableError."""
        now = self._clock.now().timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._verified.get(digest)
        if found is not None and found.not_before <= now < found.until:
            self._verified.move_to_end(digest)
            return found.principal
        verified = await self._verify(token, now)
        self._verified[digest] = verified
        self._verified.move_to_end(digest)
        if len(self._verified) > _CACHED_MAX:
            self._verified.popitem(last=False)
        return verified.principal

    async def close(self) -> None:
        """Release the source of keys."""
        await self._keys.close()

    async def _verify(self, token: str, now: float) -> _Verified:
        claims = await self._signed_claims(token)
        if claims.get("iss") != self._issuer:
            raise TokenError("token_issuer_wrong", "The token is from another issuer.")
        audience = claims.get("aud")
        if audience != self._audience and not (isinstance(audience, list) and self._audience in audience):
            raise TokenError("token_audience_wrong", "The token is for another audience.")
        expires_at = _moment(claims, "exp")
        if expires_at is None:
            raise TokenError("token_claims_invalid", "The token has no `exp`.")
        if now >= expires_at + _LEEWAY_S:
            raise TokenError("token_expired", "The token has expired; get a new one.")
        not_before = _moment(claims, "nbf") or 0.0
        if now < not_before - _LEEWAY_S:
            raise TokenError("token_not_yet_valid", "The token is not valid yet.")
        principal = Principal(account=_account(claims), roles=_roles(claims))
        return _Verified(principal, not_before - _LEEWAY_S, min(expires_at + _LEEWAY_S, now + _CACHED_S_MAX))

    async def _signed_claims(self, token: str) -> dict[str, Any]:
        """The claims, after the signature has been proven."""
        if len(token) > _TOKEN_LENGTH_MAX or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004
            raise TokenError("token_malformed", "The token is no signed JSON Web Token.")
        try:
            extracted = jws.extract_compact(token.encode("ascii"), None, self._registry)
            header = extracted.headers()
        except (JoseError, ValueError, RecursionError) as error:
            raise TokenError("token_malformed", "The token is no signed JSON Web Token.") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise TokenError("token_algorithm_not_allowed", "The token's algorithm is not allowed.")
        if "crit" in header or "b64" in header or not isinstance(kid, str | None):
            raise TokenError("token_malformed", "The token's header is not understood.")
        key = await self._keys.find(kid, ALGORITHMS[algorithm])
        if key is None or key.key_type != ALGORITHMS[algorithm] or key.alg not in {None, algorithm}:
            raise TokenError("token_key_unknown", "The token is signed by no key of the issuer.")
        try:
            genuine = jws.validate_compact(extracted, key, registry=self._registry)
        except (JoseError, ValueError) as error:
            raise TokenError("token_signature_invalid", "The token's signature is not valid.") from error
        if not genuine:
            raise TokenError("token_signature_invalid", "The token's signature is not valid.")
        try:
            claims = msgspec.json.decode(extracted.payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TokenError("token_claims_invalid", "The token's claims are no JSON.") from error
        if not isinstance(claims, dict):
            raise TokenError("token_claims_invalid", "The token's claims are no JSON object.")
        return claims


def is_account(value: object) -> bool:
    """Tell whether a subject can be an account id: it becomes a Kafka key, and may not look like the catalogue's."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _ACCOUNT_LENGTH_MAX
        and all("!" <= character <= "~" for character in value)
        and not value.startswith(CATALOG_PREFIX)
    )


def _account(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    if not is_account(subject):
        raise TokenError(
            "token_subject_invalid",
            f"The token's `sub` is no account id: 1 to {_ACCOUNT_LENGTH_MAX} printable ASCII characters without "
            f"spaces, not beginning with {CATALOG_PREFIX!r}.",
        )
    return str(subject)


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    """The roles that we know, from `roles` or, as Keycloak has it, from `realm_access.roles`."""
    realm_access = claims.get("realm_access")
    roles: set[str] = set()
    for listed in (claims.get("roles"), realm_access.get("roles") if isinstance(realm_access, dict) else None):
        if isinstance(listed, list):
            roles.update(role for role in listed if isinstance(role, str))
    return KNOWN_ROLES & roles


def _moment(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate in seconds, or None where it is absent."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:  # noqa: PLR2004
        raise TokenError("token_claims_invalid", f"The token's `{name}` is no time.")
    return float(value)
