"""Who is let in over HTTP, and with what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from infra.oidc_keys import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from tests.api.product import serving
from tests.api.routes import GUARDED, STAFF

if TYPE_CHECKING:
    import httpx

    from infra.settings import Settings
    from tests.api.product import Product

OPEN = ["/v1/products", "/v1/payment-providers", "/health/live", "/health/ready", "/openapi.json", "/docs", "/metrics"]


@pytest.mark.parametrize("path", OPEN)
async def test_open_to_anyone(product: Product, path: str) -> None:
    assert (await product.http.get(path)).status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_nobody_without_a_token(product: Product, method: str, path: str) -> None:
    for header, code in (
        ({}, "token_missing"),
        ({"Authorization": "Bearer"}, "token_malformed"),
        ({"Authorization": "Bearer nonsense"}, "token_malformed"),
        ({"Authorization": "Basic YTpi"}, "token_malformed"),
    ):
        answer = await product.http.request(method, path, headers=header)
        _is_refused(answer, code)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(time.time()) - 60}, "token_expired"),
        ({"nbf": int(time.time()) + 600}, "token_not_yet_valid"),
        ({"aud": "account"}, "token_audience_wrong"),
        ({"iss": "https://evil.example"}, "token_issuer_wrong"),
        ({"sub": "catalog/product/dune"}, "token_subject_invalid"),
        ({"sub": None}, "token_subject_invalid"),
        ({"exp": None}, "token_claims_invalid"),
    ],
)
async def test_each_failure_has_its_code(product: Product, changes: dict[str, Any], code: str) -> None:
    token = product.token("alice", **changes)
    _is_refused(await product.http.get("/v1/orders", headers={"Authorization": f"Bearer {token}"}), code)


async def test_public_key_as_a_secret(product: Product) -> None:
    public = product.settings.dev_jwks_path.read_bytes()
    claims = {"iss": DEVELOPMENT_ISSUER, "aud": DEVELOPMENT_AUDIENCE, "sub": "alice", "exp": int(time.time()) + 60}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(public), algorithms=["HS256"])
    answer = await product.http.get("/v1/orders", headers={"Authorization": f"bearer {token}"})
    _is_refused(answer, "token_algorithm_not_allowed")


async def test_repeated_header_is_ambiguous(product: Product) -> None:
    token = f"Bearer {product.token('alice')}"
    answer = await product.http.get("/v1/orders", headers=[("Authorization", token), ("Authorization", token)])
    assert (answer.status_code, answer.json()["code"]) == (400, "header_repeated")


@pytest.mark.parametrize(("method", "path"), STAFF)
async def test_managing_needs_the_role(product: Product, method: str, path: str) -> None:
    answer = await product.http.request(method, path, headers=product.headers("alice", "user", key="k"))
    assert (answer.status_code, answer.json()["code"]) == (403, "role_missing")


async def test_without_keys_nobody_is_judged(settings: Settings) -> None:
    async with serving(settings) as http:
        answer = await http.get("/v1/orders", headers={"Authorization": "Bearer e30.e30.e30"})
        assert answer.status_code == 401
        answer = await http.get("/v1/orders", headers={"Authorization": f"Bearer {_token_of_nobody()}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unavailable")


async def test_production_has_no_development_tokens(settings: Settings) -> None:
    production = settings.model_copy(update={"environment": "production"})
    with pytest.raises(ValueError, match="BILLING_OIDC_ISSUER"):
        async with serving(production):
            pass


def _token_of_nobody() -> str:
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", auto_kid=True)
    return jwt.encode({"alg": "ES256", "kid": key.kid}, {"sub": "alice"}, key, algorithms=["ES256"])


def _is_refused(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="billing"')
    assert answer.headers["Content-Type"] == "application/problem+json"
