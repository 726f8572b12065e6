"""The API while broker or database are away: it says so, loses nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from cli.token import signing_key
from infra.kafka.topics import create_topics, topics_of
from infra.postgres.migrations import upgrade
from infra.settings import Settings
from tests.api.product import serving, token
from tests.api.test_webhooks import PATH, paid, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from infra.embedded.kafka import EmbeddedKafka
    from infra.embedded.postgres import EmbeddedPostgres

WAIT_S = 60.0
BODY = {"items": [{"price_id": "dune:buy"}]}


async def _until(ask: Callable[[], object], is_enough: Callable[[httpx.Response], bool]) -> httpx.Response:
    deadline = time.monotonic() + WAIT_S
    while True:
        answer: httpx.Response = await ask()  # type: ignore[misc]  # a coroutine of httpx
        if is_enough(answer):
            return answer
        assert time.monotonic() < deadline, answer.text


@pytest.fixture
def local(data_dir: Path) -> Settings:
    """Settings that lack broker and database."""
    return Settings(
        _env_file=None,
        data_dir=data_dir,
        kafka_bootstrap="127.0.0.1:1",
        database_url="postgresql://postgres@127.0.0.1:1/billing",
        partitions=2,
        stripe_secret_key="sk_test_api",
        stripe_webhook_secrets=("whsec_current",),
    )


async def test_starts_with_nothing_there(local: Settings) -> None:
    signing_key(local)
    async with serving(local) as http:
        headers = {"Authorization": f"Bearer {token(local, 'alice')}"}
        assert (await http.get("/health/live")).status_code == 200
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        assert all(answer != "ok" for answer in ready.json()["checks"].values())
        for path in ("/v1/products", "/v1/orders", "/v1/commands/1"):
            answer = await http.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert answer.headers["Retry-After"]
        answer = await http.post("/v1/orders", json=BODY, headers=headers | {"Idempotency-Key": "a"})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_dispute_whose_owner_nobody_says_is_to_be_sent_again(local: Settings) -> None:
    settings = local.model_copy(update={"stripe_api_base": "http://127.0.0.1:1"})
    dispute = {
        "id": "du_1",
        "object": "dispute",
        "status": "needs_response",
        "amount": 999,
        "currency": "usd",
        "created": 1_800_000_000,
        "payment_intent": "pi_1",
    }
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "charge.dispute.created",
        "created": 1_800_000_000,
        "data": {"object": dispute},
    }
    body = json.dumps(event).encode()
    async with serving(settings) as http:
        answer = await http.post(PATH, content=body, headers=signed(body))
        assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")
        assert answer.headers["Retry-After"]


async def test_too_much_under_way_is_refused_at_once(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.services.SEND_DEADLINE_S", 1.0)
    monkeypatch.setattr("infra.kafka.command_sender._PENDING_MAX", 3)
    event = _webhook()
    async with serving(local) as http:
        answers = await asyncio.gather(*(http.post(PATH, content=event, headers=signed(event)) for _ in range(5)))
        codes = sorted(answer.json()["code"] for answer in answers)
        assert codes == ["broker_unavailable"] * 3 + ["overloaded"] * 2
        assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {(503, "1")}


async def test_without_a_catalogue_there_is_no_price(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.quotes.CATALOGUE_WAIT_S", 0.1)
    signing_key(local)
    async with serving(local) as http:
        answer = await http.post("/v1/quotes", json=BODY, headers={"Authorization": f"Bearer {token(local, 'alice')}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "catalogue_unavailable")
        assert answer.headers["Retry-After"]


async def test_broker_comes_goes_and_comes_back(
    local: Settings, private_kafka: EmbeddedKafka, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.services.SEND_DEADLINE_S", 1.0)
    settings = local.model_copy(update={"kafka_bootstrap": private_kafka.bootstrap, "database_url": database_url})
    signing_key(settings)
    await asyncio.to_thread(upgrade, database_url)
    await create_topics(private_kafka.bootstrap, topics_of(settings), partitions=2)
    headers = {"Authorization": f"Bearer {token(settings, 'alice')}"}
    event = b'{"id":"evt_1"}'
    async with serving(settings) as http:
        order = partial(http.post, "/v1/orders", json=BODY)
        await _until(partial(http.get, "/health/ready"), lambda answer: answer.is_success)
        first = await order(headers=headers | {"Idempotency-Key": "a"})
        assert first.status_code == 202

        private_kafka.kill()
        unsure = await order(headers=headers | {"Idempotency-Key": "b"})
        assert (unsure.status_code, unsure.json()["code"]) == (503, "broker_unavailable")
        assert "same Idempotency-Key" in unsure.json()["detail"]
        event = _webhook()
        lost = await http.post(PATH, content=event, headers=signed(event))
        assert lost.status_code == 503
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "ok")
        assert ready.json()["checks"]["broker"] != "ok"
        assert (await http.get("/v1/products")).status_code == 200

        await asyncio.to_thread(private_kafka.start)
        again = partial(order, headers=headers | {"Idempotency-Key": "b"})
        answer = await _until(again, lambda answer: answer.status_code != 503)
        assert answer.status_code == 202
        resent = await http.post(PATH, content=event, headers=signed(event))
        assert resent.status_code == 200
        await _until(partial(http.get, "/health/ready"), lambda answer: answer.is_success)


async def test_database_goes_and_comes_back(
    local: Settings, private_postgres: EmbeddedPostgres, settings: Settings
) -> None:
    settings = settings.model_copy(
        update={"database_url": private_postgres.url, "data_dir": local.data_dir}
        | {name: getattr(local, name) for name in ("stripe_secret_key", "stripe_webhook_secrets")}
    )
    signing_key(settings)
    await asyncio.to_thread(upgrade, settings.database_url)
    headers = {"Authorization": f"Bearer {token(settings, 'alice')}", "Idempotency-Key": "a"}
    async with serving(settings) as http:
        await _until(partial(http.get, "/health/ready"), lambda answer: answer.is_success)
        order = partial(http.post, "/v1/orders", json=BODY, headers=headers)
        assert (await order()).status_code == 202
        assert (await http.get("/v1/products")).status_code == 200

        private_postgres.kill()
        assert (await http.get("/v1/products")).json()["code"] == "database_unavailable"
        unknown = await http.post("/v1/orders", json=BODY, headers=headers | {"Idempotency-Key": "b"})
        assert unknown.json()["code"] == "database_unavailable"
        # Money that arrived is noted all the same.
        event = _webhook()
        assert (await http.post(PATH, content=event, headers=signed(event))).status_code == 200

        await asyncio.to_thread(private_postgres.start)
        await _until(partial(http.get, "/v1/products"), lambda answer: answer.is_success)
        await _until(order, lambda answer: answer.status_code == 202)
        await _until(partial(http.get, "/health/ready"), lambda answer: answer.is_success)


async def test_frozen_database_is_no_endless_wait(
    local: Settings, private_postgres: EmbeddedPostgres, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.lookups._DEADLINE_S", 1.0)
    settings = settings.model_copy(update={"database_url": private_postgres.url, "data_dir": local.data_dir})
    signing_key(settings)
    await asyncio.to_thread(upgrade, settings.database_url)
    headers = {"Authorization": f"Bearer {token(settings, 'alice')}"}
    async with serving(settings) as http:
        await _until(partial(http.get, "/health/ready"), lambda answer: answer.is_success)
        paths = ("/v1/products", "/v1/orders", "/health/ready", "/v1/commands/1")
        assert [(await http.get(path, headers=headers)).status_code for path in paths] == [200, 200, 200, 404]
        server = psutil.Process(private_postgres.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*(http.get(path, headers=headers) for path in paths))
                assert [answer.status_code for answer in answers] == [503] * 4
                assert (await http.get("/health/live")).status_code == 200
        finally:
            for process in processes:
                process.resume()
        await _until(partial(http.get, "/v1/products"), lambda answer: answer.is_success)
        await _until(partial(http.get, "/v1/commands/1", headers=headers), lambda answer: answer.status_code == 404)


def _webhook() -> bytes:
    order = {"total": {"amount": 999, "currency": "USD"}, "payment": {"id": "payment-1"}}
    return json.dumps(paid(order, "alice", "cs_1")).encode()
