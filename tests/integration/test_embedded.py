"""The embedded broker and database: they come up, keep their data whatever happens, and say clearly why they cannot."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.embedded import jars
from infra.embedded.data_dir import DataDirLock, prepare_data_dir, remembered_ports
from infra.embedded.errors import (
    BrokenDataDirError,
    DataDirInUseError,
    JarError,
    NoSpaceError,
    PortTakenError,
    StartError,
)
from infra.embedded.kafka import EmbeddedKafka
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.process import LOOPBACK, ChildProcess
from infra.kafka.errors import WrongTopicError
from infra.kafka.topics import Topics, create_topics, describe_topics

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = Topics("embedded")


async def send(kafka: EmbeddedKafka, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id="test", request_timeout_ms=20_000)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(TOPICS.events, value, partition=0)
    await producer.stop()


async def values(kafka: EmbeddedKafka) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    partition = TopicPartition(TOPICS.events, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found = []
    while await consumer.position(partition) < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found += [record.value for record in records]
    await consumer.stop()
    return found


async def test_broker_keeps_its_data_over_kill_and_stop(private_kafka: EmbeddedKafka) -> None:
    bootstrap = private_kafka.bootstrap
    listeners = [
        each.laddr.ip for each in psutil.Process(private_kafka.pid).net_connections() if each.status == "LISTEN"
    ]
    assert listeners
    assert {ip.removeprefix("::ffff:") for ip in listeners} == {LOOPBACK}
    created = await create_topics(bootstrap, TOPICS, partitions=2)
    assert created == tuple(spec.name for spec in TOPICS.specs())
    await send(private_kafka, b"before kill")

    private_kafka.kill()
    assert not private_kafka.is_running()
    private_kafka.start()
    await send(private_kafka, b"before stop")
    private_kafka.stop()
    private_kafka.start()

    assert private_kafka.bootstrap == bootstrap
    assert await values(private_kafka) == [b"before kill", b"before stop"]

    # The table of topics, on a broker where they exist already.
    assert await create_topics(bootstrap, TOPICS, partitions=2) == ()
    states = await describe_topics(bootstrap, TOPICS, partitions=2)
    assert [state.problems for state in states] == [()] * len(TOPICS.specs())
    with pytest.raises(WrongTopicError, match=r"embedded\.commands has 2 partitions, not 3"):
        await create_topics(bootstrap, TOPICS, partitions=3)


def test_children_die_with_their_parent(data_dir: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux can tie a child's life to its parent's")
    script = (
        "import sys, time; from pathlib import Path; from infra.embedded.process import ChildProcess;"
        "child = ChildProcess(['sleep', '60'], log_path=Path(sys.argv[1]));"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, data_dir / "log"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for yet is dead.
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_database_keeps_its_data_over_kill_and_stop(private_postgres: EmbeddedPostgres) -> None:
    url = private_postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("create table things (name text)")
        connection.execute("insert into things values ('before kill')")

    private_postgres.kill()
    assert not private_postgres.is_running()
    private_postgres.start()
    with psycopg.connect(url) as connection:
        connection.execute("insert into things values ('before stop')")
    private_postgres.stop()
    private_postgres.start()

    assert private_postgres.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("select name from things").fetchall() == [("before kill",), ("before stop",)]
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_socket_path_too_long_for_the_kernel(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir / ("long" * 30))
    postgres.start()
    try:
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        postgres.stop()


def test_two_databases_side_by_side(private_postgres: EmbeddedPostgres, data_dir: Path) -> None:
    other = EmbeddedPostgres(data_dir)
    other.start()
    try:
        assert other.url != private_postgres.url
        assert private_postgres.is_running()
    finally:
        other.stop()


def test_taken_port_is_named(data_dir: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            EmbeddedKafka(data_dir, port=port).start()


@pytest.mark.parametrize("server", [EmbeddedKafka, EmbeddedPostgres])
def test_half_written_directory_is_refused(
    server: type[EmbeddedKafka] | type[EmbeddedPostgres], data_dir: Path
) -> None:
    name = "kafka" if server is EmbeddedKafka else "postgres"
    (data_dir / name / "base").mkdir(parents=True)
    with pytest.raises(BrokenDataDirError, match=f"{name} is not a complete"):
        server(data_dir).start()
    assert (data_dir / name / "base").is_dir(), "nothing that is there may be touched"


def test_interrupted_first_start_is_begun_anew(data_dir: Path) -> None:
    leftover = data_dir / "postgres.partial"
    leftover.mkdir()
    (leftover / "half").write_text("written")
    postgres = EmbeddedPostgres(data_dir)
    postgres.start()
    postgres.stop()
    assert not leftover.exists()


def test_full_disk_is_told_before_anything_starts(data_dir: Path) -> None:
    with pytest.raises(NoSpaceError, match="MiB are free"):
        prepare_data_dir(data_dir, free_bytes_min=2**60)


def test_file_in_the_way_of_the_data_directory(data_dir: Path) -> None:
    (data_dir / "file").touch()
    with pytest.raises(BrokenDataDirError, match="a file is in the way"):
        prepare_data_dir(data_dir / "file" / "data")


def test_data_directory_has_one_owner(data_dir: Path) -> None:
    first, second = DataDirLock(data_dir), DataDirLock(data_dir)
    first.acquire()
    with pytest.raises(DataDirInUseError, match=str(os.getpid())):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_ports_are_remembered_while_they_are_free(data_dir: Path) -> None:
    before = remembered_ports(data_dir, ("kafka",))["kafka"]
    assert remembered_ports(data_dir, ("kafka", "sandbox"))["kafka"] == before
    with socket.create_server((LOOPBACK, before)):
        assert remembered_ports(data_dir, ("kafka",))["kafka"] != before


def test_server_that_ends_at_once_tells_its_last_words(data_dir: Path) -> None:
    child = ChildProcess(["sh", "-c", "echo no luck today; exit 3"], log_path=data_dir / "log")
    with pytest.raises(StartError, match=r"ended with code 3:\nno luck today"):
        child.wait_until(lambda: False, what="It", timeout_s=10)


def test_server_that_is_never_ready_is_killed(data_dir: Path) -> None:
    child = ChildProcess(["sleep", "60"], log_path=data_dir / "log")
    with pytest.raises(StartError, match="was not ready"):
        child.wait_until(lambda: False, what="It", timeout_s=0.1)
    assert child.exit_code() == -signal.SIGKILL


def test_changed_jar_is_fetched_again_and_foreign_jar_refused(data_dir: Path) -> None:
    lock = data_dir / "lock"
    small = next(jar for jar in jars.read_lock() if jar.artifact == "jspecify")
    coordinate = f"{small.group}:{small.artifact}:{small.version}"
    lock.write_text(f"# one jar\n{coordinate} {small.sha256}\n")
    seen: list[tuple[int, int]] = []

    (path,) = jars.classpath(lock_path=lock, cache_dir=data_dir, progress=lambda *done: seen.append(done))
    assert seen == [(0, 1), (1, 1)]
    assert jars.classpath(lock_path=lock, cache_dir=data_dir, progress=lambda *done: seen.append(done)) == (path,)
    assert len(seen) == 2, "a second start fetches nothing"
    path.write_bytes(b"changed")
    jars.classpath(lock_path=lock, cache_dir=data_dir)
    assert path.read_bytes() != b"changed"

    lock.write_text(f"{coordinate} {'0' * 64}\n")
    with pytest.raises(JarError, match="not the file that was pinned"):
        jars.classpath(lock_path=lock, cache_dir=data_dir / "other")
    assert not list((data_dir / "other").rglob("*.jar"))
