"""kill -9 of the sandbox: whatever it answered is in its books, and nothing is in them twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stripe

from infra.trust import authorities
from tests.contracts.sandbox_kit import client_of, free_port, receiving, wait_for

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk_test_crash"
ROUNDS = 4
WORKERS = 4


class Process:
    """A sandbox in a process of its own, started as `billing up` starts it."""

    def __init__(self, data_dir: Path, webhook_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "cli.main", "sandbox", "serve"]
        self._environment = {
            **os.environ,
            "BILLING_DATA_DIR": str(data_dir),
            "BILLING_SANDBOX_PORT": str(self.port),
            "BILLING_STRIPE_SECRET_KEY": KEY,
            "BILLING_STRIPE_WEBHOOK_SECRETS": "whsec_new,whsec_old",
            "BILLING_SANDBOX_WEBHOOK_URL": webhook_url,
        }
        self.client = client_of(self.url, KEY)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment)
        wait_for(self._answers, what="the sandbox answers", deadline_s=60)

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            return httpx.get(f"{self.url}/_sandbox/health", timeout=2, verify=authorities()).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(20) in {0, -signal.SIGTERM}
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def charge(client: stripe.StripeClient, name: str) -> stripe.PaymentIntent | None:
    """One attempt; None where the connection broke."""
    params: Any = {
        "amount": 1000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "metadata": {"payment_id": name},
    }
    try:
        return client.v1.payment_intents.create(params, {"idempotency_key": name})
    except stripe.APIConnectionError:
        return None


def test_killed_again_and_again_under_load(tmp_path: Path) -> None:
    with receiving() as receiver:
        process = Process(tmp_path, receiver.url)
        process.start()
        process.client.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["payment_intent.succeeded"]}
        )
        answered: dict[str, str] = {}
        unanswered: set[str] = set()
        try:
            for round_ in range(ROUNDS):
                before = len(answered)
                over = threading.Event()

                def work(worker: int, round_: int = round_, over: threading.Event = over) -> None:
                    number = 0
                    while not over.is_set():
                        name = f"{round_}-{worker}-{number}"
                        intent = charge(process.client, name)
                        if intent is None:
                            unanswered.add(name)
                            return
                        answered[name] = intent.id
                        number += 1

                threads = [threading.Thread(target=work, args=(worker,)) for worker in range(WORKERS)]
                for thread in threads:
                    thread.start()
                wait_for(lambda before=before: len(answered) >= before + 25, what="charges are made")  # type: ignore[misc]
                process.kill()
                over.set()
                for thread in threads:
                    thread.join()
                process.start()
            for name in sorted(unanswered):
                repeated = charge(process.client, name)
                assert repeated is not None
                answered[name] = repeated.id
            for name, intent_id in answered.items():
                again = charge(process.client, name)
                assert again is not None
                assert again.id == intent_id
            booked = read_books(process.url)
            wait_for(
                lambda: (
                    not httpx.get(f"{process.url}/_sandbox/health", verify=authorities()).json()["webhooks_waiting"]
                ),
                what="the webhooks go out",
                deadline_s=60,
            )
        finally:
            process.stop()
    assert {paid_in(item.event) for item in receiver.of_type("payment_intent.succeeded")} == set(answered)
    names = sorted(entry["metadata"]["payment_id"] for entry in booked)
    assert names == sorted(answered)


def read_books(url: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = httpx.get(f"{url}/_sandbox/books?after={after}", timeout=20).json()
        entries += page["entries"]
        after = page["next_after"]
    return entries


def paid_in(event: dict[str, Any]) -> str:
    return str(event["data"]["object"]["metadata"]["payment_id"])


def test_a_second_sandbox_on_the_same_books_is_refused(tmp_path: Path) -> None:
    with receiving() as receiver:
        process = Process(tmp_path, receiver.url)
        process.start()
        try:
            second = Process(tmp_path, receiver.url)
            with pytest.raises(AssertionError):
                second.start()
        finally:
            process.stop()


def test_broken_books_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_bytes(b"no database at all" * 1000)
    process = Process(tmp_path, "http://127.0.0.1:9/")
    with pytest.raises(AssertionError):
        process.start()
