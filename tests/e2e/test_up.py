"""`billing up`: one command brings everything up, keeps it up, stops it whole, and continues with its data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from infra.embedded.process import LOOPBACK
from infra.trust import authorities
from tests.e2e.running_up import RunningUp, billing, environment, is_gone, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

ROLES = {"postgres", "kafka", "sandbox-0", "engine-0", "engine-1", "gateway-0", "projector-0", "api-0"}


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, verify=authorities()).is_success
    except httpx.HTTPError:
        return False


def test_everything_runs_and_is_found(up: RunningUp) -> None:
    assert set(up.pids()) == ROLES
    found = up.doctor()
    assert found["ok"], found["findings"]
    assert found["api"]["url"] == up.url
    for place in (found["kafka"]["bootstrap"], found["database"]["url"], found["sandbox"]["url"]):
        assert place
    assert httpx.get(f"{up.url}/openapi.json").is_success


def test_logs_are_lines_with_their_time(up: RunningUp) -> None:
    for worker in ("engine-0", "engine-1"):
        lines = (up.data_dir / "logs" / f"{worker}.log").read_text("utf-8").splitlines()
        assert lines
        assert [line for line in lines if not line.startswith("20")] == [], "each begins with its time"


def test_token_opens_the_api(up: RunningUp) -> None:
    assert httpx.get(f"{up.url}/v1/orders").status_code == 401
    answer = httpx.get(f"{up.url}/v1/orders", headers={"authorization": f"Bearer {up.token('alice')}"})
    assert answer.json()["items"] == []


def test_demo_catalogue_is_there(up: RunningUp) -> None:
    items = httpx.get(f"{up.url}/v1/products").json()["items"]
    assert {item["kind"] for item in items} == {"film", "subscription"}


def test_secrets_are_for_their_owner_alone(up: RunningUp) -> None:
    for name in ("stack.json", "sandbox-keys.json", "dev-signing-key.json"):
        assert (up.data_dir / name).stat().st_mode & 0o077 == 0, name


def test_what_is_killed_comes_back(up: RunningUp) -> None:
    before = up.pids()
    victims = ("api-0", "engine-0", "kafka", "postgres")
    for name in victims:
        os.kill(before[name], signal.SIGKILL)
    wait_until(
        lambda: all(up.pids().get(name, before[name]) != before[name] for name in victims), what="the restart of all"
    )
    wait_until(lambda: is_ready(up.url), what="readiness")
    for name in ROLES - set(victims):
        assert not is_gone(up.pids()[name])


def test_signal_while_the_broker_is_started_again_stops_everything(data_dir: Path) -> None:
    running = RunningUp(data_dir, "--no-demo")
    running.start()
    try:
        killed = running.pids()["kafka"]
        os.kill(killed, signal.SIGKILL)
        brokers: list[psutil.Process] = []

        def is_started_again() -> bool:
            brokers[:] = [child for child in running.children() if child.name() == "java" and child.pid != killed]
            return bool(brokers)

        wait_until(is_started_again, what="the restart of the broker")
        brokers[0].suspend()  # it would be waited for until its deadline of 90 s
        assert running.signal(signal.SIGINT) == 0
        assert is_gone(brokers[0].pid)
    finally:
        running.stop()


def test_data_directory_is_not_shared(up: RunningUp) -> None:
    second = billing("up", "--port", "0", data_dir=up.data_dir)
    assert second.returncode == 1
    assert "is in use by another running stack" in second.stderr
    assert "Traceback" not in second.stderr


def test_taken_port_is_a_clear_error(data_dir: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        refused = billing("up", "--port", str(port), data_dir=data_dir)
    assert refused.returncode == 1
    assert f"The API cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (data_dir / "kafka").exists(), "nothing may be started before"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_the_start_stops_everything(number: signal.Signals, data_dir: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "up", "--data-dir", str(data_dir), "--port", "0"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "starting Kafka" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped" in said
    assert not (data_dir / "stack.json").exists()


def test_killed_supervisor_takes_all_with_it_and_the_next_one_continues(up: RunningUp) -> None:
    """The last test of all that share the stack: it ends it."""
    if sys.platform != "linux":
        pytest.skip("only Linux can tie a child's life to its parent's")
    before = up.pids()
    kafka, database = up.doctor()["kafka"]["bootstrap"], up.doctor()["database"]["url"]
    up.signal(signal.SIGKILL)
    wait_until(lambda: all(is_gone(pid) for pid in before.values()), what="the end of all processes")

    up.start()
    assert up.doctor()["kafka"]["bootstrap"] == kafka, "addresses survive"
    assert up.doctor()["database"]["url"] == database
    after = up.pids()
    assert up.signal(signal.SIGTERM) == 0
    assert all(is_gone(pid) for pid in after.values())
    assert not (up.data_dir / "stack.json").exists()
