"""Fixtures for everybody.

Shared by the whole session (started when the first test asks for it, ~5 s embedded):

- `stack`: `.kafka_bootstrap`, `.database_url`, `.kind`. Do not break it, do not assume that its topics are empty.

Of one's own, for each test:

- `topics`: freshly created topics under a random prefix (`Topics`; `PARTITIONS` partitions each).
- `settings`: `Settings` for the shared broker, these topics, an empty database, and a data directory of its own.
- `database_url`: the address of an empty database, dropped in the end.
- `data_dir`: an empty directory with a short path.
- `private_kafka`, `private_postgres`: running embedded servers that may be stopped, killed (`kill()`), frozen
  (`freeze()`, `thaw()`) and started again (`start()`) on the same address.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import hypothesis
import pytest
import structlog

from infra.kafka.topics import Topics, create_topics
from infra.postgres.migrations import upgrade
from infra.settings import Settings
from tests.scheduling import Units, rank
from tests.stack import Stack, database_of, embedded_kafka, embedded_postgres, scratch_dir, shared_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from xdist.remote import Producer

    from infra.embedded.kafka import EmbeddedKafka
    from infra.embedded.postgres import EmbeddedPostgres

PARTITIONS = 4

hypothesis.settings.register_profile("billing", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("billing")
"""No test fails because the machine is busy."""

structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
"""What goes on beside a test must not write into what a command prints there."""

os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
"""Brokers that live for seconds do not earn back what the optimising compiler costs."""

KILLING_FIXTURES = {"private_kafka", "private_postgres", "up"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Units | None:
    """How `--dist loadfile` shares the tests out among processes; without xdist nobody asks."""
    return Units(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, so that no process works on while the others have nothing left to do.

    Tests that kill, freeze and start real servers, and no others, get a second chance: a machine that stalls for
    seconds can spoil one of them. The report says which were run again.
    """
    items.sort(key=lambda item: rank(item.nodeid))
    for item in items:
        if item.get_closest_marker("chaos") or KILLING_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The broker and the database of the session."""
    with shared_stack() as found:
        yield found


@pytest.fixture
async def topics(stack: Stack) -> Topics:
    """All topics of the product, empty, under a prefix that no other test uses."""
    fresh = Topics(f"test-{uuid.uuid4().hex[:12]}")
    await create_topics(stack.kafka_bootstrap, fresh, partitions=PARTITIONS)
    return fresh


@pytest.fixture
def database_url(stack: Stack) -> Iterator[str]:
    """An empty database."""
    with stack.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(stack: Stack) -> Iterator[str]:
    """The name of a database with all tables, to be copied: that takes a tenth of the time of making them."""
    with stack.fresh_database() as url:
        upgrade(url)
        yield database_of(url)


@pytest.fixture
def migrated_url(stack: Stack, migrated_template: str) -> Iterator[str]:
    """The address of a database with all tables, empty."""
    with stack.fresh_database(migrated_template) as url:
        yield url


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty directory."""
    with scratch_dir() as path:
        yield path


@pytest.fixture
def settings(stack: Stack, topics: Topics, database_url: str, data_dir: Path) -> Settings:
    """The settings of a process that works on everything above."""
    return Settings(
        _env_file=None,
        kafka_bootstrap=stack.kafka_bootstrap,
        topic_prefix=topics.prefix,
        partitions=PARTITIONS,
        database_url=database_url,
        data_dir=data_dir,
    )


@pytest.fixture
def private_kafka() -> Iterator[EmbeddedKafka]:
    """A broker to be killed."""
    with embedded_kafka() as kafka:
        yield kafka


@pytest.fixture
def private_postgres() -> Iterator[EmbeddedPostgres]:
    """A database server to be killed."""
    with embedded_postgres() as postgres:
        yield postgres
