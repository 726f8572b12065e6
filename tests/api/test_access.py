"""Who is let in over HTTP, and with what."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api.app import create_app
from infra.oidc_keys import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from infra.settings import Settings, SettingsInvalidError
from tests.api.product import serving

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product

GUARDED = [
    ("GET", "/v1/orders"),
    ("POST", "/v1/orders"),
    ("GET", "/v1/orders/1"),
    ("POST", "/v1/orders/1/cancel"),
    ("GET", "/v1/payments"),
    ("GET", "/v1/payments/1"),
    ("GET", "/v1/subscriptions"),
    ("GET", "/v1/subscriptions/current"),
    ("POST", "/v1/payments/1/refunds"),
    ("GET", "/v1/refunds"),
    ("GET", "/v1/refunds/1"),
    ("GET", "/v1/payment-methods"),
    ("DELETE", "/v1/payment-methods/1"),
    ("GET", "/v1/subscriptions/1"),
    ("POST", "/v1/subscriptions/1/cancel"),
    ("POST", "/v1/subscriptions/1/resume"),
    ("POST", "/v1/subscriptions/1/pause"),
    ("POST", "/v1/subscriptions/1/change-plan"),
    ("GET", "/v1/subscriptions/1/preview"),
    ("POST", "/v1/trials"),
    ("GET", "/v1/admin/subscriptions"),
    ("GET", "/v1/admin/subscriptions/1"),
    ("GET", "/v1/admin/subscriptions/1/history"),
    ("POST", "/v1/admin/subscriptions/1/extend"),
    ("POST", "/v1/admin/subscriptions/1/cancel"),
    ("POST", "/v1/admin/subscriptions/1/migrate"),
    ("GET", "/v1/entitlements"),
    ("GET", "/v1/entitlements/film:dune"),
    ("GET", "/v1/commands/1"),
    ("GET", "/v1/admin/disputes"),
    ("GET", "/v1/admin/disputes/1"),
    ("GET", "/v1/commands/1/explanation"),
    ("GET", "/v1/orders/1/explanation"),
    ("GET", "/v1/payments/1/explanation"),
    ("GET", "/v1/refunds/1/explanation"),
    ("GET", "/v1/admin/ledger/balances"),
    ("GET", "/v1/admin/ledger/entries"),
    ("GET", "/v1/admin/reports/revenue"),
    ("GET", "/v1/admin/reports/subscriptions"),
    ("GET", "/v1/admin/reports/dunning"),
    ("PUT", "/v1/admin/products/dune"),
    ("POST", "/v1/admin/products/dune/archive"),
    ("GET", "/v1/admin/overdue"),
    ("POST", "/v1/admin/overdue/1/resume"),
    ("GET", "/v1/admin/products"),
    ("GET", "/v1/admin/products/dune"),
    ("GET", "/v1/admin/products/dune/history"),
    ("POST", "/v1/quotes"),
    ("GET", "/v1/credits"),
    ("GET", "/v1/admin/months-discounts"),
    ("PUT", "/v1/admin/months-discounts"),
    ("GET", "/v1/admin/months-discounts/history"),
    ("GET", "/v1/admin/personal-discounts"),
    ("POST", "/v1/admin/accounts/ada/personal-discounts"),
    ("POST", "/v1/admin/accounts/ada/personal-discounts/1/revoke"),
    ("GET", "/v1/admin/accounts/ada/personal-discounts/1/history"),
    ("GET", "/v1/admin/promo-codes"),
    ("PUT", "/v1/admin/promo-codes/HALF"),
    ("GET", "/v1/admin/promo-codes/HALF"),
    ("POST", "/v1/admin/promo-codes/HALF/archive"),
    ("GET", "/v1/admin/promo-codes/HALF/uses"),
    ("GET", "/v1/admin/promo-codes/HALF/history"),
    ("GET", "/v1/admin/orders"),
    ("GET", "/v1/admin/orders/1"),
    ("GET", "/v1/admin/orders/1/history"),
    ("GET", "/v1/admin/payments"),
    ("GET", "/v1/admin/payments/1"),
    ("GET", "/v1/admin/payments/1/history"),
    ("GET", "/v1/admin/refunds"),
    ("GET", "/v1/admin/refunds/1"),
    ("GET", "/v1/admin/refunds/1/history"),
    ("POST", "/v1/admin/payments/1/refunds"),
    ("GET", "/v1/admin/accounts/ada/credits"),
    ("POST", "/v1/admin/accounts/ada/credits"),
    ("POST", "/v1/admin/accounts/ada/credits/take-back"),
    ("GET", "/v1/admin/grants"),
    ("POST", "/v1/admin/accounts/ada/grants"),
    ("POST", "/v1/admin/accounts/ada/grants/film:dune/revoke"),
    ("GET", "/v1/admin/accounts/ada/grants/film:dune/history"),
]
OPEN = ["/v1/products", "/v1/payment-providers", "/health/live", "/health/ready", "/openapi.json", "/docs", "/metrics"]


def test_every_route_is_guarded_or_known_to_be_open() -> None:
    document = create_app(Settings(_env_file=None)).openapi()
    is_open = ("/v1/products", "/v1/payment-providers", "/v1/webhooks/", "/health/")
    found = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if not path.startswith(is_open)
    }
    named = {
        (method, path)
        for method, path in found
        for guarded_method, guarded in GUARDED
        if method == guarded_method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), guarded)
    }
    assert found == named


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


@pytest.mark.parametrize(("method", "path"), [route for route in GUARDED if "admin" in route[1]])
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
    with pytest.raises(SettingsInvalidError, match="BILLING_OIDC_ISSUER"):
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
