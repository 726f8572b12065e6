"""The broker and the database that the whole suite shares.

What the environment names (BILLING_KAFKA_BOOTSTRAP, BILLING_DATABASE_URL) is taken; else containers, where a Docker
engine answers; else the embedded stack. All three look the same from a test. Servers that are to be killed are always
private and embedded: see `private_kafka` and `private_postgres` in conftest.py.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.embedded.kafka import EmbeddedKafka
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.process import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_KAFKA_IMAGE = "apache/kafka:4.3.1"
_POSTGRES_IMAGE = "postgres:18-alpine"
_CONTAINER_START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Addresses of a broker and of a database server that a test may use, not break."""

    kind: Literal["environment", "docker", "embedded"]
    kafka_bootstrap: str
    database_url: str
    """An empty database to start from; take `fresh_database()` for tables of your own."""

    @contextmanager
    def fresh_database(self, template: str = "template1") -> Iterator[str]:
        """The address of a database as the template is (the usual one is empty), dropped in the end."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}".encode())
        try:
            yield with_database(self.database_url, name)
        finally:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)".encode())


def with_database(url: str, name: str) -> str:
    """The same server's address with another database."""
    parts = urlsplit(url)
    rebuilt = urlunsplit(parts._replace(path=f"/{name}"))
    # An address without a host (a unix socket in the query) loses its empty authority's slashes otherwise.
    return rebuilt if "://" in rebuilt else rebuilt.replace(":/", ":///", 1)


def database_of(url: str) -> str:
    """The name of the database in a server's address."""
    return urlsplit(url).path.lstrip("/")


@contextmanager
def scratch_dir() -> Iterator[Path]:
    """A data directory with a short path, removed in the end (pytest's own paths are long, and are kept)."""
    path = Path(tempfile.mkdtemp(prefix="billing-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def embedded_kafka() -> Iterator[EmbeddedKafka]:
    """A broker of one's own, running."""
    with scratch_dir() as data_dir:
        kafka = EmbeddedKafka(data_dir)
        kafka.start()
        try:
            yield kafka
        finally:
            if kafka.is_running():
                kafka.kill()


@contextmanager
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """A database server of one's own, running."""
    with scratch_dir() as data_dir:
        postgres = EmbeddedPostgres(data_dir, durable=False)
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


def docker_answers() -> bool:
    """Whether a Docker engine is there; where nothing could be, its client is not even loaded."""
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
        answers = bool(client.ping())
        client.close()
    except DockerException:
        return False
    return answers


@contextmanager
def docker_kafka() -> Iterator[str]:
    """A broker in a container; its address."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(_KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "8",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "8",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }.items():
        container = container.with_env(name, value)
    with container:
        bootstrap = f"{LOOPBACK}:{port}"
        asyncio.run(_wait_for_broker(bootstrap))
        yield bootstrap


@contextmanager
def docker_postgres() -> Iterator[str]:
    """A database server in a container; the address of its database."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = (
        DockerContainer(_POSTGRES_IMAGE)
        .with_bind_ports(5432, port)
        .with_env("POSTGRES_PASSWORD", "test")
        .with_env("POSTGRES_DB", "billing")
    )
    with container:
        url = f"postgresql://postgres:test@{LOOPBACK}:{port}/billing"
        deadline = time.monotonic() + _CONTAINER_START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url


async def _wait_for_broker(bootstrap: str) -> None:
    """Until a client can connect."""
    deadline = time.monotonic() + _CONTAINER_START_TIMEOUT_S
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return
        finally:
            await admin.close()


@contextmanager
def shared_stack() -> Iterator[Stack]:
    """The stack of the whole session, found as the module's docstring says."""
    bootstrap = os.environ.get("BILLING_KAFKA_BOOTSTRAP", "")
    database_url = os.environ.get("BILLING_DATABASE_URL", "")
    kind: Literal["environment", "docker", "embedded"] = "environment"
    with ExitStack() as servers:
        if not (bootstrap and database_url):
            kind = "docker" if docker_answers() else "embedded"
        if not bootstrap:
            bootstrap = (
                servers.enter_context(docker_kafka())
                if kind == "docker"
                else servers.enter_context(embedded_kafka()).bootstrap
            )
        if not database_url:
            database_url = (
                servers.enter_context(docker_postgres())
                if kind == "docker"
                else servers.enter_context(embedded_postgres()).url
            )
        yield Stack(kind=kind, kafka_bootstrap=bootstrap, database_url=database_url)
