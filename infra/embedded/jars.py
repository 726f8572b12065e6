"""The broker's jars: resolved by Maven coordinates, pinned by checksum, cached for the user.

`kafka-jars.lock` holds one `coordinate sha256` line for each jar. `python -m infra.embedded.jars` writes it anew from
the broker's coordinate (when KAFKA_VERSION changes). Where the jars come from is the user's affair: Maven Central, or
the repositories of their jgo configuration.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.embedded.errors import JarError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

KAFKA_VERSION = "4.3.1"
LOCK_PATH = Path(__file__).with_name("kafka-jars.lock")
_LOG4J_VERSION = "2.25.4"
_ROOT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
_LOG_BRIDGE = f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J_VERSION}"
"""What the broker's distribution adds to its dependencies: the way from slf4j to log4j, of the same version."""
_FETCHES_AT_ONCE = 6
_ATTEMPTS_MAX = 4
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar that the broker needs."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in the cache, as Maven has it."""
        return f"{self.artifact}-{self.version}.jar"


def user_cache_dir() -> Path:
    """Where jars are kept between stacks: `BILLING_CACHE_DIR`, else `billing` in the user's cache directory."""
    if chosen := os.environ.get("BILLING_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "billing"


def read_lock(path: Path = LOCK_PATH) -> tuple[LockedJar, ...]:
    """The jars that are pinned."""
    jars = []
    for line in path.read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(LockedJar(group, artifact, version, sha256))
    return tuple(jars)


def classpath(
    *,
    lock_path: Path = LOCK_PATH,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, ...]:
    """The paths of all pinned jars, each checked, the missing ones fetched first.

    `progress(done, total)` is called with the number of jars as they arrive, only where any is missing.
    Raises JarError where one cannot be had, or is not the one that was pinned.
    """
    jars = read_lock(lock_path)
    folder = (cache_dir or user_cache_dir()) / f"kafka-{KAFKA_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not _is_intact(folder / jar.filename, jar)]
    if missing:
        done = len(jars) - len(missing)
        progress(done, len(jars))
        with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool:
            for _ in pool.map(lambda jar: _fetch(jar, folder), missing):
                done += 1
                progress(done, len(jars))
    return tuple(folder / jar.filename for jar in jars)


def _is_intact(path: Path, jar: LockedJar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(jar: LockedJar, folder: Path) -> None:
    """Fetch beside the cache, check, then move into it in one step: the cache never holds half a jar."""
    failure: Exception | None = None
    for _ in range(_ATTEMPTS_MAX):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            context = _maven(Path(scratch))
            try:
                fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (OSError, RuntimeError, ValueError) as error:
                failure = error
                continue
            found = _sha256(fetched)
            if found != jar.sha256:
                raise JarError(
                    f"{jar.filename} is not the file that was pinned: its SHA-256 is {found}, not {jar.sha256}. "
                    "Nothing of it has been kept or run."
                )
            fetched.replace(folder / jar.filename)
            return
    raise JarError(
        f"{jar.group}:{jar.artifact}:{jar.version} could not be fetched: {failure}. "
        "Check the network (or the repositories in jgo's configuration) and start again: what has arrived is kept."
    )


def _maven(repository: Path) -> Any:
    """A Maven context whose local repository is the given folder."""
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise MissingExtraError("the embedded broker needs the extra: pip install 'billing[embedded]'") from error
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(repo_cache=repository, local_repos=[], remote_repos=repositories, timeout=_TIMEOUT_S)


def write_lock(path: Path = LOCK_PATH) -> None:
    """Resolve the broker's runtime dependencies anew and pin what arrives."""
    with tempfile.TemporaryDirectory() as scratch:
        context = _maven(Path(scratch))
        # The bridge is not resolved together with the broker: its parent's dependency management would then
        # choose the versions of the broker's own dependencies.
        inputs, transitive = context.resolver.resolve([context.create_dependency(_ROOT)])
        wanted = [*inputs, *(found for found in transitive if found.scope in {"compile", "runtime"})]
        wanted.append(context.create_dependency(_LOG_BRIDGE))
        artifacts = [dependency.artifact for dependency in wanted]
        if f"org.apache.logging.log4j:log4j-core:jar:{_LOG4J_VERSION}" not in map(str, artifacts):
            raise JarError(f"the broker's log4j is not {_LOG4J_VERSION}")
        lines = [
            f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {_sha256(artifact.resolve())}"
            for artifact in artifacts
        ]
    header = (
        f"# The jars of Apache Kafka {KAFKA_VERSION}: Maven coordinate and SHA-256. Made by infra/embedded/jars.py."
    )
    path.write_text("\n".join([header, *sorted(lines)]) + "\n", "ascii")


if __name__ == "__main__":
    write_lock()
