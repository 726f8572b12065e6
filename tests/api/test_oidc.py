"""Access tokens: who is let in, and every way of not being let in."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from infra.oidc import KeysUnavailableError, Principal, TokenError, TokenVerifier
from infra.oidc_keys import KeysInFile, KeysOfIssuer

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://id.example"
AUDIENCE = "billing"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

RSA_KEY = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
EC_KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
OKP_KEY = OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True)
STRANGE_KEY = ECKey.generate_key("P-256", auto_kid=True)


class SetClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


class Issuer:
    """An identity provider on the other side of a transport: keys, failures, and a count of requests."""

    def __init__(self) -> None:
        self.keys: list[Any] = [RSA_KEY, EC_KEY, OKP_KEY]
        self.is_down = False
        self.requests: list[str] = []
        self.issuer = ISSUER

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        await asyncio.sleep(0)
        if self.is_down:
            raise httpx.ConnectError("down")
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json={"issuer": self.issuer, "jwks_uri": f"{ISSUER}/keys"})
        return httpx.Response(200, json=KeySet(self.keys).as_dict(private=False))

    @property
    def reads(self) -> int:
        return self.requests.count("/keys")


class Stand:
    """A verifier with everything that it depends on."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.clock = SetClock()
        self.elapsed_s = 1000.0
        keys = KeysOfIssuer(
            issuer=ISSUER, transport=httpx.MockTransport(self.issuer.handle), monotonic=lambda: self.elapsed_s
        )
        self.verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys, clock=self.clock)

    async def code_of(self, token: str) -> str:
        with pytest.raises(TokenError) as caught:
            await self.verifier.verify(token)
        return caught.value.code


@pytest.fixture
def stand() -> Stand:
    return Stand()


def claims(**changes: Any) -> dict[str, Any]:
    full = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(NOW.timestamp()) + 600, "roles": ["user"]}
    return {name: value for name, value in (full | changes).items() if value is not None}


def token(content: Any = None, *, key: Any = EC_KEY, alg: str = "ES256", header: dict[str, Any] | None = None) -> str:
    return jws.serialize_compact(
        {"alg": alg, "kid": key.kid} | (header or {}),
        json.dumps(claims() if content is None else content),
        key,
        algorithms=[alg],
    )


def unsigned(header: dict[str, Any], content: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, content))
    return ".".join((*parts, ""))


@pytest.mark.parametrize(
    ("key", "alg"),
    [(RSA_KEY, "RS256"), (RSA_KEY, "PS256"), (RSA_KEY, "RS512"), (EC_KEY, "ES256"), (OKP_KEY, "Ed25519")],
)
async def test_asymmetric_signatures_are_accepted(stand: Stand, key: Any, alg: str) -> None:
    principal = await stand.verifier.verify(token(key=key, alg=alg))
    assert principal == Principal(account="alice", roles=frozenset({"user"}))


@pytest.mark.parametrize(
    ("changes", "roles"),
    [
        ({"roles": ["manager", "chef"]}, {"manager"}),
        ({"roles": None, "realm_access": {"roles": ["admin", "offline_access"]}}, {"admin"}),
        ({"roles": "admin"}, set()),
        ({"roles": [7, {"admin": 1}], "realm_access": ["admin"]}, set()),
        ({"roles": None}, set()),
    ],
)
async def test_roles(stand: Stand, changes: dict[str, Any], roles: set[str]) -> None:
    assert (await stand.verifier.verify(token(claims(**changes)))).roles == roles


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://other.example"}, "token_issuer_wrong"),
        ({"iss": None}, "token_issuer_wrong"),
        ({"aud": "account"}, "token_audience_wrong"),
        ({"aud": ["account"]}, "token_audience_wrong"),
        ({"aud": {"billing": 1}}, "token_audience_wrong"),
        ({"aud": None}, "token_audience_wrong"),
        ({"exp": int(NOW.timestamp()) - 31}, "token_expired"),
        ({"exp": None}, "token_claims_invalid"),
        ({"exp": "soon"}, "token_claims_invalid"),
        ({"exp": True}, "token_claims_invalid"),
        ({"exp": 10**30}, "token_claims_invalid"),
        ({"nbf": int(NOW.timestamp()) + 31}, "token_not_yet_valid"),
        ({"sub": None}, "token_subject_invalid"),
        ({"sub": ""}, "token_subject_invalid"),
        ({"sub": 7}, "token_subject_invalid"),
        ({"sub": "a" * 129}, "token_subject_invalid"),
        ({"sub": "alice smith"}, "token_subject_invalid"),
        ({"sub": "alice\n"}, "token_subject_invalid"),
        ({"sub": "ålice"}, "token_subject_invalid"),
        ({"sub": "catalog/product/dune"}, "token_subject_invalid"),
    ],
)
async def test_claims_that_prove_nothing(stand: Stand, changes: dict[str, Any], code: str) -> None:
    assert await stand.code_of(token(claims(**changes))) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["account", AUDIENCE]},
        {"exp": int(NOW.timestamp()) - 29},
        {"nbf": int(NOW.timestamp()) + 29},
        {"exp": NOW.timestamp() + 0.5},
        {"sub": "a" * 128},
        {"sub": "!catalog/~"},
    ],
)
async def test_claims_at_the_edge(stand: Stand, changes: dict[str, Any]) -> None:
    assert (await stand.verifier.verify(token(claims(**changes)))).account


async def test_no_algorithm_is_not_allowed(stand: Stand) -> None:
    for name in ("none", "None", "nOnE", "", None, 7):
        made = unsigned({"alg": name, "kid": EC_KEY.kid}, claims())
        assert await stand.code_of(made) in {"token_algorithm_not_allowed", "token_malformed"}, name


async def test_public_key_is_no_shared_secret(stand: Stand) -> None:
    for public in (RSA_KEY.as_pem(private=False), json.dumps(RSA_KEY.as_dict(private=False)).encode()):
        secret = OctKey.import_key(base64.b64encode(public) if public.startswith(b"-") else public)
        made = token(key=secret, alg="HS256", header={"kid": RSA_KEY.kid})
        assert await stand.code_of(made) == "token_algorithm_not_allowed"


async def test_key_of_another_algorithm(stand: Stand) -> None:
    header, content, _ = token().split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": EC_KEY.kid}).encode()).rstrip(b"=").decode()
    assert await stand.code_of(f"{forged}.{content}.AAAA") == "token_key_unknown"
    assert await stand.code_of(f"{header}.{content}.AAAA") == "token_signature_invalid"


async def test_changed_claims(stand: Stand) -> None:
    header, _, signature = token().split(".")
    content = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).rstrip(b"=").decode()
    assert await stand.code_of(f"{header}.{content}.{signature}") == "token_signature_invalid"


async def test_unknown_key(stand: Stand) -> None:
    assert await stand.code_of(token(key=STRANGE_KEY)) == "token_key_unknown"
    # The key that the token itself brings along is nobody's.
    brought = token(key=STRANGE_KEY, header={"jwk": STRANGE_KEY.as_dict(private=False), "kid": EC_KEY.kid})
    assert await stand.code_of(brought) == "token_signature_invalid"


@pytest.mark.parametrize(
    "made",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "ä.b.c",
        "e30.e30.e30",
        "\ud800.b.c",
        f"{'a' * 9000}.b.c",
        "bnVsbA.e30.e30",
        "W10.e30.",
    ],
)
async def test_malformed(stand: Stand, made: str) -> None:
    assert await stand.code_of(made) in {"token_malformed", "token_algorithm_not_allowed"}


@pytest.mark.parametrize("content", [[], "alice", 7, None])
async def test_claims_that_are_no_object(stand: Stand, content: Any) -> None:
    made = jws.serialize_compact({"alg": "ES256", "kid": EC_KEY.kid}, json.dumps(content), EC_KEY, algorithms=["ES256"])
    assert await stand.code_of(made) == "token_claims_invalid"


async def test_critical_header_is_refused(stand: Stand) -> None:
    header = {"alg": "ES256", "kid": EC_KEY.kid, "crit": ["b64"], "b64": False}
    made = unsigned(header, claims()) + "AAAA"
    assert await stand.code_of(made) == "token_malformed"


async def test_without_a_name_the_only_key_of_the_type_is_meant(stand: Stand) -> None:
    made = jws.serialize_compact({"alg": "ES256"}, json.dumps(claims()), EC_KEY, algorithms=["ES256"])
    assert (await stand.verifier.verify(made)).account == "alice"


async def test_without_a_name_no_key_is_guessed(stand: Stand) -> None:
    stand.issuer.keys = [EC_KEY, STRANGE_KEY]
    made = jws.serialize_compact({"alg": "ES256"}, json.dumps(claims()), EC_KEY, algorithms=["ES256"])
    assert await stand.code_of(made) == "token_key_unknown"


async def test_keys_are_read_once(stand: Stand) -> None:
    accounts = [f"user-{number}" for number in range(20)]
    principals = await asyncio.gather(*(stand.verifier.verify(token(claims(sub=name))) for name in accounts))
    assert [principal.account for principal in principals] == accounts
    assert stand.issuer.reads == 1


async def test_unknown_names_cost_the_issuer_one_request_in_30_seconds(stand: Stand) -> None:
    await stand.verifier.verify(token())
    for _ in range(3):
        assert await stand.code_of(token(key=STRANGE_KEY)) == "token_key_unknown"
    assert stand.issuer.reads == 1
    stand.elapsed_s += 30
    strangers = (token(claims(sub=f"s{number}"), key=STRANGE_KEY) for number in range(10))
    assert set(await asyncio.gather(*map(stand.code_of, strangers))) == {"token_key_unknown"}
    assert stand.issuer.reads == 2


async def test_rotated_key_is_found(stand: Stand) -> None:
    await stand.verifier.verify(token())
    stand.issuer.keys = [STRANGE_KEY]
    stand.elapsed_s += 30
    assert (await stand.verifier.verify(token(key=STRANGE_KEY))).account == "alice"


async def test_withdrawn_key_stops_opening_doors(stand: Stand) -> None:
    made = token()
    await stand.verifier.verify(made)
    stand.issuer.keys = [OKP_KEY]
    stand.elapsed_s += 601
    stand.clock.moment += timedelta(seconds=301)
    with pytest.raises(TokenError):  # noqa: PT012
        async with asyncio.timeout(60):
            while True:
                stand.clock.moment += timedelta(seconds=10)
                await stand.verifier.verify(made)
                await asyncio.sleep(0)


async def test_stale_keys_are_served_while_the_issuer_is_down(stand: Stand) -> None:
    await stand.verifier.verify(token())
    stand.issuer.is_down = True
    stand.elapsed_s += 10_000
    assert (await stand.verifier.verify(token(claims(sub="bob")))).account == "bob"


async def test_without_keys_nobody_is_judged(stand: Stand) -> None:
    stand.issuer.is_down = True
    for _ in range(3):
        with pytest.raises(KeysUnavailableError):
            await stand.verifier.verify(token())
    assert len(stand.issuer.requests) == 1
    stand.issuer.is_down = False
    stand.elapsed_s += 2
    assert (await stand.verifier.verify(token())).account == "alice"


async def test_discovery_of_another_issuer_is_refused(stand: Stand) -> None:
    stand.issuer.issuer = "https://evil.example"
    with pytest.raises(KeysUnavailableError):
        await stand.verifier.verify(token())


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_weak_and_secret_keys_are_passed_over(stand: Stand) -> None:
    weak = RSAKey.generate_key(1024, auto_kid=True)
    secret = OctKey.generate_key(256, auto_kid=True)
    encryption = ECKey.generate_key("P-256", {"use": "enc"}, auto_kid=True)
    stand.issuer.keys = [weak, secret, encryption, EC_KEY]
    assert (await stand.verifier.verify(token())).account == "alice"
    twin = ECKey.import_key(encryption.as_dict(private=True) | {"use": "sig"})
    assert await stand.code_of(token(key=twin)) == "token_key_unknown"


async def test_cached_token_expires(stand: Stand) -> None:
    made = token()
    await stand.verifier.verify(made)
    stand.clock.moment += timedelta(seconds=629)
    await stand.verifier.verify(made)
    stand.clock.moment += timedelta(seconds=1)
    assert await stand.code_of(made) == "token_expired"


async def test_development_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=KeysInFile(path), clock=SetClock())
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(token())
    path.write_text("[]")
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(token())
    path.write_text(json.dumps(KeySet([EC_KEY]).as_dict(private=False)))
    assert (await verifier.verify(token())).account == "alice"
