"""The store is a cache of the log: whatever happens to its files, every command keeps exactly one outcome."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from rocksdict import Options, Rdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.journal_harness import Bench

pytestmark = pytest.mark.chaos

BEFORE, AFTER = 200, 50


def wipe(path: Path) -> None:
    shutil.rmtree(path)


def empty_folder(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def a_file_in_its_place(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"not a store")


def _overwrite(path: Path, pattern: str) -> None:
    files = sorted(path.glob(pattern))
    assert files, f"nothing matches {pattern}"
    for file in files:
        size = file.stat().st_size
        file.write_bytes(os.urandom(max(size, 64)))


def garbage_in_manifest(path: Path) -> None:
    _overwrite(path, "MANIFEST-*")


def garbage_in_current(path: Path) -> None:
    _overwrite(path, "CURRENT")


def garbage_in_write_ahead_log(path: Path) -> None:
    _overwrite(path, "*.log")


def flush(path: Path) -> None:
    """Move what is in the write-ahead log into a table file."""
    options = Options(raw_mode=True)
    db = Rdict(str(path), options=options)
    db.flush()
    db.close()


def garbage_in_table_files(path: Path) -> None:
    flush(path)
    _overwrite(path, "*.sst")


def one_bit_in_table_files(path: Path) -> None:
    flush(path)
    for file in path.glob("*.sst"):
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 0x10
        file.write_bytes(content)


def missing_table_files(path: Path) -> None:
    flush(path)
    for file in path.glob("*.sst"):
        file.unlink()


def truncated_files(path: Path) -> None:
    for file in path.iterdir():
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)


def garbage_values(path: Path) -> None:
    """The files are sound, what is in them is not: every state but the position is overwritten."""
    db = Rdict(str(path), options=Options(raw_mode=True))
    for key in [key for key in db.keys() if isinstance(key, bytes) and key[:1] == b"s"]:  # noqa: SIM118
        db[key] = os.urandom(40)
    db.close()


def hostile_pickle(path: Path) -> None:
    """A state that would run a program if it were believed."""
    db = Rdict(str(path), options=Options(raw_mode=True))
    for key in [key for key in db.keys() if isinstance(key, bytes) and key[:1] == b"s"]:  # noqa: SIM118
        db[key] = b"cos\nsystem\n(S'touch " + str(path.parent / "owned").encode() + b"'\ntR."
    db.close()


DAMAGE: list[Callable[[Path], None]] = [
    wipe,
    empty_folder,
    a_file_in_its_place,
    garbage_in_manifest,
    garbage_in_current,
    garbage_in_write_ahead_log,
    garbage_in_table_files,
    one_bit_in_table_files,
    missing_table_files,
    truncated_files,
    garbage_values,
    hostile_pickle,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
async def test_a_damaged_store_is_rebuilt(bench: Bench, damage: Callable[[Path], None]) -> None:
    before = bench.orders(0, BEFORE)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(before)

    damage(bench.store_path)

    # Everything is delivered again, as after rewound offsets, together with new commands of old and new accounts.
    again = [bench.again(incoming) for incoming in before]
    new = bench.orders(BEFORE, AFTER)
    async with bench.journal() as journal:
        for _ in range(3):  # what a worker does when a damaged value turns up in the middle
            if not journal.is_open:
                await journal.open()
            with suppress(ValueError):
                await journal.handle(again + new)
                break
        assert journal.is_open

    assert await bench.faults(accepted=BEFORE + AFTER) == []
    assert not (bench.store_path.parent / "owned").exists()


async def test_an_old_copy_of_the_store_goes_on_where_it_stands(bench: Bench) -> None:
    copy = bench.store_path.with_name("copy")
    first, second = bench.orders(0, 100), bench.orders(100, 100)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(first)
    shutil.copytree(bench.store_path, copy)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(second)

    shutil.rmtree(bench.store_path)
    copy.rename(bench.store_path)

    async with bench.journal() as journal:
        await journal.open()
        assert journal.next_command_offset == len(first) + len(second)
        decided = await journal.handle([bench.again(incoming) for incoming in first + second])
        assert decided.repeated == len(first) + len(second)
        assert decided.events == []
        await journal.handle(bench.orders(200, 10))

    assert await bench.faults(accepted=210) == []


async def test_a_store_of_another_log_is_thrown_away(bench: Bench) -> None:
    """The broker lost its data, or was exchanged: what the store believes never happened."""
    from infra.kafka.topics import Topics, create_topics

    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 100))
    bench.topics = Topics(f"{bench.topics.prefix}-lost")
    await create_topics(bench.bootstrap, bench.topics, partitions=bench.partitions)
    bench.offset = 0

    async with bench.journal() as journal:
        await journal.open()
        assert journal.next_command_offset is None
        await journal.handle(bench.orders(50, 100))

    assert await bench.faults(accepted=100) == []


async def test_a_store_ahead_of_the_log_is_thrown_away(bench: Bench) -> None:
    """The other log is not empty: the same offsets hold other events there."""
    from infra.kafka.topics import Topics, create_topics

    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 10))
    ahead = bench.store_path.with_name("ahead")
    bench.store_path.rename(ahead)
    bench.topics = Topics(f"{bench.topics.prefix}-other")
    await create_topics(bench.bootstrap, bench.topics, partitions=bench.partitions)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(1_000, 50))
    shutil.rmtree(bench.store_path)
    ahead.rename(bench.store_path)

    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(2_000, 10))

    assert await bench.faults(accepted=60) == []
