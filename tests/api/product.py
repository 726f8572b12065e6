"""The product around the API, for its tests: a real broker, database, engine, projector and gateway."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from joserfc import jwt

from api.app import create_app
from cli.token import signing_key
from infra.clock import SystemClock
from infra.embedded.process import ChildProcess
from infra.kafka.topics import Topics, create_topics
from infra.memory.provider import MemoryProvider
from infra.oidc_keys import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from infra.postgres.migrations import upgrade
from infra.settings import Settings
from processors.gateway import Gateway
from projections.projector import Projector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tests.stack import Stack

PARTITIONS = 4
OPEN_ORDERS_MAX = 5
"""So few that a test can have them all."""
WAIT_S = 60.0
WEBHOOK_SECRETS = ("whsec_retiring", "whsec_current")
FILM_PRICE = {"amount": 999, "currency": "USD"}


@dataclass(kw_only=True)
class Product:
    """A running product, and clients of its API."""

    settings: Settings
    provider: MemoryProvider
    http: httpx.AsyncClient
    """The API in this process."""
    other: httpx.AsyncClient
    """Another API, as if it were another process: it shares nothing but broker and database."""

    def account(self) -> str:
        """An account that no other test uses."""
        return f"account-{uuid.uuid4().hex[:12]}"

    def token(self, account: str, *roles: str, **changes: Any) -> str:
        """A development token."""
        return token(self.settings, account, *roles, **changes)

    def headers(self, account: str, *roles: str, key: str | None = None, wait: int | None = None) -> dict[str, str]:
        """Headers of a request: who asks, and for commands the key and how long to wait."""
        headers = {"Authorization": f"Bearer {self.token(account, *roles)}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return headers

    async def film(self) -> str:
        """A new film on sale; its price's id."""
        name = f"film-{uuid.uuid4().hex[:12]}"
        await self.define(
            name, {"kind": "film", "title": "A film", "prices": [{"id": f"{name}:buy", "amount": FILM_PRICE}]}
        )
        return f"{name}:buy"

    async def plan(self) -> str:
        """A new subscription plan by the month; its price's id."""
        name = f"plan-{uuid.uuid4().hex[:12]}"
        price = {"id": f"{name}:monthly", "amount": FILM_PRICE, "period": {"count": 1, "unit": "month"}}
        await self.define(name, {"kind": "subscription", "title": "A plan", "role": name, "prices": [price]})
        return f"{name}:monthly"

    async def define(self, product_id: str, body: dict[str, Any]) -> None:
        """Have the product defined, and wait until the engine sells it."""
        answer = await self.http.put(
            f"/v1/admin/products/{product_id}",
            json=body,
            headers=self.headers("boss", "manager", key=uuid.uuid4().hex, wait=30),
        )
        assert answer.status_code == 200, answer.text
        price_id = body["prices"][0]["id"]
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            tried = await self.order(price_id, expected_total={"amount": 1, "currency": "USD"})
            if tried.json()["code"] != "price_unknown":
                return
        raise AssertionError(f"{product_id} never came on sale")

    async def order(self, price_id: str, account: str | None = None, **more: Any) -> httpx.Response:
        """Order one thing and wait."""
        key, body = more.pop("key", uuid.uuid4().hex), {"items": [{"price_id": price_id}], **more}
        return await self.http.post(
            "/v1/orders", json=body, headers=self.headers(account or self.account(), key=key, wait=30)
        )

    async def until(
        self, ask: Callable[[], Awaitable[httpx.Response]], enough: Callable[[httpx.Response], bool]
    ) -> Any:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = await ask()
            if enough(answer):
                return answer.json()
            assert time.monotonic() < deadline, answer.text


def usd(amount: int) -> dict[str, Any]:
    """So many cents, as requests and answers have it."""
    return {"amount": amount, "currency": "USD"}


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Hold an answer to be this problem, whole, and return it."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert "Traceback" not in answer.text
    return problem


def token(settings: Settings, account: str, *roles: str, **changes: Any) -> str:
    """A token of the development key; `changes` to its claims, None leaves one out."""
    key = signing_key(settings)
    claims = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": DEVELOPMENT_AUDIENCE,
        "sub": account,
        "exp": int(time.time()) + 3600,
        "roles": list(roles or ("user",)),
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API with these settings, in this process."""
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(_with_state(app, dict(state or {})), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test", timeout=60) as client:
            yield client


def _with_state(app: ASGIApp, state: dict[str, Any]) -> ASGIApp:
    """What a server does with the state of a lifespan."""

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(state)
        await app(scope, receive, send)

    return with_state


@asynccontextmanager
async def running_product(stack: Stack, data_dir: Path) -> AsyncIterator[Product]:
    """Everything that a sale needs, on topics and in a database of its own."""
    topics = Topics(f"test-{uuid.uuid4().hex[:12]}")
    await create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS)
    async with AsyncExitStack() as running:
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=stack.kafka_bootstrap,
            topic_prefix=topics.prefix,
            partitions=PARTITIONS,
            database_url=running.enter_context(stack.fresh_database()),
            data_dir=data_dir,
            stripe_secret_key="sk_test_api",
            stripe_webhook_secrets=WEBHOOK_SECRETS,
        )
        signing_key(settings)
        await asyncio.to_thread(upgrade, settings.database_url)
        engine = _engine(settings)
        running.callback(engine.stop)
        provider = MemoryProvider(name="stripe")
        await running.enter_async_context(_working(Projector(settings)))
        await running.enter_async_context(_working(Gateway(settings, {"stripe": provider}, SystemClock())))
        http = await running.enter_async_context(serving(settings))
        other = await running.enter_async_context(serving(settings))
        product = Product(settings=settings, provider=provider, http=http, other=other)
        for client in (http, other):
            await product.until(partial(client.get, "/health/ready"), lambda found: found.is_success)
        yield product


def _engine(settings: Settings) -> ChildProcess:
    """The engine is a process: Faust takes one for itself."""
    environment = {
        **os.environ,
        "BILLING_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "BILLING_TOPIC_PREFIX": settings.topic_prefix,
        "BILLING_PARTITIONS": str(settings.partitions),
        "BILLING_DATABASE_URL": settings.database_url,
        "BILLING_DATA_DIR": str(settings.data_dir),
        "BILLING_POLICY_OPEN_ORDERS_MAX": str(OPEN_ORDERS_MAX),
    }
    command = [sys.executable, "-m", "cli.main", "worker", "engine"]
    return ChildProcess(command, log_path=settings.data_dir / "engine.log", environment=environment)


@asynccontextmanager
async def _working(role: Projector | Gateway) -> AsyncIterator[None]:
    """The role as a task of this process; its failure is the tests'."""
    task = asyncio.create_task(role.run())
    try:
        yield
    finally:
        role.stop()
        await asyncio.wait_for(task, WAIT_S)
