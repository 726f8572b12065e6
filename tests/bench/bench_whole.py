"""The whole product as `billing up` runs it, idle: from a request to the read model, and the memory of each process."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson
import psutil

from tests.chaos.bulk import BulkSender
from tests.chaos.customers import FILMS, GOOD_CARD, Market
from tests.chaos.tokens import Tokens
from tests.chaos.victims import Stack
from tests.http_client import Client

if TYPE_CHECKING:
    from infra.embedded.stack_file import StackFile

SAMPLES = 200
WARM_UP = 20
PAUSE_S = 0.05
SALE_DEADLINE_S = 60.0
PAYMENTS = 100
LOOK_S = 0.005
"""A payer looks again so often: what is measured is at most so much, and one query, too long."""
PAID_DEADLINE_S = 30.0


def run(_shared: object = None) -> dict[str, Any]:
    """Measure on a stack of its own."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    data_dir = Path(tempfile.mkdtemp(prefix="billing-bench-"))
    stack = Stack(data_dir, workers=1)
    try:
        addresses = await stack.start()
        figures = await _measure(stack, addresses)
        figures["memory_mib"] = memory(stack.addresses())
    finally:
        await stack.stop()
        shutil.rmtree(data_dir, ignore_errors=True)
        data_dir.with_suffix(".log").unlink(missing_ok=True)
    return figures


async def _measure(stack: Stack, addresses: StackFile) -> dict[str, Any]:
    api = urlsplit(addresses.api_url)
    client = Client(str(api.hostname), int(api.port or 0))
    tokens = Tokens(stack.data_dir)
    market = Market(api=client, sandbox=client, token_of=tokens.of)
    sender = BulkSender(addresses, market, random.Random(1))
    await sender.start()
    await sender.put_on_sale()
    await sender.stop()
    await _on_sale(client)
    to_read_model = [await _order_and_look(client, tokens, number) for number in range(WARM_UP + SAMPLES)][WARM_UP:]
    to_page = [(await _order_and_wait(client, tokens, f"page-{number}"))[0] for number in range(WARM_UP)]
    sandbox = urlsplit(addresses.sandbox_url)
    provider = Client(str(sandbox.hostname), int(sandbox.port or 0))
    to_paid = [await _pay_and_look(client, provider, tokens, number) for number in range(WARM_UP + PAYMENTS)][WARM_UP:]
    await provider.close()
    await client.close()
    return {
        "samples": SAMPLES,
        "read_model_p50_ms": round(statistics.median(to_read_model) * 1e3, 1),
        "read_model_p99_ms": round(statistics.quantiles(to_read_model, n=100)[98] * 1e3, 1),
        "payment_page_p50_ms": round(statistics.median(to_page) * 1e3, 1),
        "payments": PAYMENTS,
        "paid_p50_ms": round(statistics.median(to_paid) * 1e3, 1),
        "paid_p99_ms": round(statistics.quantiles(to_paid, n=100)[98] * 1e3, 1),
    }


async def _on_sale(client: Client) -> None:
    deadline = time.monotonic() + SALE_DEADLINE_S
    while len((await client.request("GET", "/v1/products")).json()["items"]) < len(FILMS):
        assert time.monotonic() < deadline, "nothing is on sale"
        await asyncio.sleep(0.2)


async def _order_and_look(client: Client, tokens: Tokens, number: int) -> float:
    """POST an order, then GET it at the position that the answer names: seconds until it is in the read model."""
    await asyncio.sleep(PAUSE_S)
    account = f"idle-{number}"
    headers = {"authorization": f"Bearer {tokens.of(account)}"}
    body = orjson.dumps({"items": [{"price_id": FILMS[number % len(FILMS)]}]})
    post = headers | {"idempotency-key": "1", "content-type": "application/json"}
    begin = time.perf_counter()
    answer = await client.request("POST", "/v1/orders", headers=post, body=body)
    assert answer.status == 202, answer
    seen = await client.request(
        "GET", "/v1/orders", headers=headers | {"billing-position": answer.headers["billing-position"]}
    )
    seconds = time.perf_counter() - begin
    assert len(seen.json()["items"]) == 1, seen
    return seconds


async def _order_and_wait(client: Client, tokens: Tokens, account: str) -> tuple[float, dict[str, Any]]:
    """POST an order that waits until the provider has opened its page: seconds, and the order."""
    await asyncio.sleep(PAUSE_S)
    body = orjson.dumps({"items": [{"price_id": FILMS[0]}]})
    headers = {
        "authorization": f"Bearer {tokens.of(account)}",
        "idempotency-key": "1",
        "content-type": "application/json",
        "prefer": "wait=10",
    }
    begin = time.perf_counter()
    answer = await client.request("POST", "/v1/orders", headers=headers, body=body)
    seconds = time.perf_counter() - begin
    assert answer.status == 201, answer
    order: dict[str, Any] = answer.json()
    assert order["payment"]["confirmation_url"], answer
    return seconds, order


async def _pay_and_look(client: Client, provider: Client, tokens: Tokens, number: int) -> float:
    """Send the form of the provider's page, and look until its webhook has the order paid: seconds, the form's among
    them.
    """
    account = f"payer-{number}"
    _, order = await _order_and_wait(client, tokens, account)
    headers = {"authorization": f"Bearer {tokens.of(account)}"}
    form = {"action": "pay", "card_number": GOOD_CARD, "expiry": "12/99", "cvc": "123"}
    page = urlsplit(order["payment"]["confirmation_url"]).path
    begin = time.perf_counter()
    answer = await provider.request(
        "POST",
        page,
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=urlencode(form).encode(),
    )
    assert answer.status in {302, 303}, answer
    while True:
        seen = await client.request("GET", f"/v1/orders/{order['id']}", headers=headers)
        seconds = time.perf_counter() - begin
        if seen.json()["status"] in {"paid", "fulfilled"}:
            return seconds
        assert seconds < PAID_DEADLINE_S, seen
        await asyncio.sleep(LOOK_S)


def memory(stack: StackFile) -> dict[str, dict[str, int]]:
    """Resident and proportional memory of every process in MiB, children with their parents."""
    found = {}
    for name, pid in {**stack.pids, "supervisor": stack.supervisor_pid}.items():
        process = psutil.Process(pid)
        family = [process]
        if name == "postgres":
            family += process.children(recursive=True)
        rss = pss = 0
        for member in family:
            full = member.memory_full_info()
            rss, pss = rss + full.rss, pss + full.pss
        found[name] = {"rss": round(rss / 2**20), "pss": round(pss / 2**20)}
    return found
