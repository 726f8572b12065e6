"""A real Kafka broker on this machine: one KRaft node, loopback only, in a data directory of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from infra.embedded.data_dir import prepare_data_dir
from infra.embedded.errors import BrokenDataDirError, NoSpaceError, PortTakenError, StartError
from infra.embedded.jars import classpath
from infra.embedded.jvm import class_cache_path, java_command
from infra.embedded.process import LOOPBACK, ChildProcess, can_bind, claim_port, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_START_TIMEOUT_S = 90.0
_FORMAT_TIMEOUT_S = 60.0
_CLASS_CACHE_TIMEOUT_S = 120.0
_STARTED = "Kafka Server started"
_SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Whoever runs for a second does not earn back what the optimising compiler costs."""
_NO_SPACE = "No space left on device"

_SERVER_PROPERTIES = """\
# Written anew at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}

# A topic that nobody declared is a mistake.
auto.create.topics.enable=false

# One node holds everything, transactions and groups among it.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0

# Quick to come back after kill -9: the session of the killed incarnation must have ended before the new one may
# register.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# Small: tens of partitions for one developer.
log.segment.bytes=268435456
log.index.size.max.bytes=1048576
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
background.threads=2
"""

_LOG4J_PROPERTIES = """\
status=warn
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
logger.appinfo.name=org.apache.kafka.common.utils.AppInfoParser
logger.appinfo.level=error
"""


class EmbeddedKafka:
    """One broker. It may be stopped, killed, frozen and started again: the address stays the same.

    The first start on a machine takes longer: `progress(done, total)` is told of jars as they arrive, `notice(text)`
    of what else there is to wait for.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        controller_port: int = 0,
        log_path: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        notice: Callable[[str], None] = lambda text: None,
        class_cache_output: Path | None = None,
    ) -> None:
        self._parent_dir = data_dir
        self._home = data_dir / "kafka"
        self._log_path = log_path or data_dir / "logs" / "kafka.log"
        self._progress = progress
        self._notice = notice
        self._class_cache_output = class_cache_output
        self._child: ChildProcess | None = None
        self.port = port or free_port()
        self.controller_port = controller_port or free_port()

    @property
    def bootstrap(self) -> str:
        """`host:port`, as clients want it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id; it must have been started."""
        return self._running().pid

    def is_running(self) -> bool:
        """Whether the process exists (frozen or not)."""
        return self._child is not None and self._child.is_running()

    def start(self) -> None:
        """Start, and return when clients can connect. Raises EmbeddedError: see `launch` and `wait_until_started`."""
        self.launch()
        self.wait_until_started()

    def launch(self) -> None:
        """Begin to start, formatting the storage first where there is none; other work can be done meanwhile.

        Raises EmbeddedError: no room, a port taken, half-written or foreign data.
        """
        assert not self.is_running(), "the broker runs already"
        self._home = prepare_data_dir(self._parent_dir) / "kafka"
        advice = "Stop it, or let another port be chosen."
        claim_port(self.port, what="The embedded broker", advice=advice)
        claim_port(self.controller_port, what="The embedded broker's controller", advice=advice)
        jars = classpath(progress=self._progress)
        options = self._class_cache_options(jars)
        if not self._home.exists():
            self._format(jars, () if self._class_cache_output else options)
        if not (self._home / "data" / "meta.properties").is_file():
            raise BrokenDataDirError(
                f"{self._home} is not a complete broker directory (data/meta.properties is missing). "
                "Remove it to begin anew, or choose another --data-dir."
            )
        properties = self._write_configuration(self._home)
        command = [*java_command(self._home, jars, *options), "kafka.Kafka", str(properties)]
        self._child = ChildProcess(command, log_path=self._log_path)

    def wait_until_started(self) -> None:
        """Return when clients can connect. Raises EmbeddedError where the broker does not come up."""
        try:
            self._running().wait_until(self._has_started, what="The embedded broker", timeout_s=_START_TIMEOUT_S)
        except StartError as error:
            raise self._explained(error) from error

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Stop cleanly; it is killed where it takes longer."""
        if self._child is not None:
            self._child.send(signal.SIGCONT)
            self._child.stop(signal.SIGTERM, grace_s=grace_s)

    def kill(self) -> None:
        """`kill -9`."""
        self._running().kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._running().send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().send(signal.SIGCONT)

    def _running(self) -> ChildProcess:
        assert self._child is not None, "the broker has not been started"
        return self._child

    def _has_started(self) -> bool:
        return _STARTED in self._running().log_since_start()

    def _format(self, jars: Sequence[Path], options: Sequence[str]) -> None:
        """Format the storage beside its place and move it there in one step, so that half of it is never used."""
        partial = self._home.with_name("kafka.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        properties = self._write_configuration(partial)
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(properties)]  # an id may begin with a dash
        result = subprocess.run(  # noqa: S603  the command is ours
            [*java_command(partial, jars, _SHORT_LIVED, *options), "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            timeout=_FORMAT_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0:
            output = (result.stdout + result.stderr).strip()
            shutil.rmtree(partial, ignore_errors=True)
            if _NO_SPACE in output:
                raise NoSpaceError(f"the disk of {self._parent_dir} is full")
            raise StartError(f"the broker's storage could not be formatted:\n{output}")
        partial.rename(self._home)

    def _class_cache_options(self, jars: Sequence[Path]) -> list[str]:
        """Use the cache of loaded classes; make it first, once for a user. A start without it is slow, not wrong."""
        if self._class_cache_output is not None:
            return [f"-XX:AOTCacheOutput={self._class_cache_output}"]
        path = class_cache_path(jars)
        if path is None:
            return []
        failed = path.with_suffix(".failed")
        if not path.exists() and not failed.exists():
            self._notice("preparing Kafka for quick starts (once on this machine, 15 s or so)")
            with tempfile.TemporaryDirectory(prefix="billing-kafka-") as scratch:
                output = Path(scratch) / "classes"
                broker = EmbeddedKafka(Path(scratch), class_cache_output=output)
                try:
                    broker.start()
                finally:
                    broker.stop(grace_s=_CLASS_CACHE_TIMEOUT_S)
                if output.exists():
                    shutil.copyfile(output, path.with_suffix(f".{os.getpid()}"))
                    path.with_suffix(f".{os.getpid()}").replace(path)
                else:
                    failed.touch()
        return [f"-XX:AOTCache={path}"] if path.exists() else []

    def _write_configuration(self, home: Path) -> Path:
        properties = home / "server.properties"
        properties.write_text(
            _SERVER_PROPERTIES.format(
                host=LOOPBACK, port=self.port, controller_port=self.controller_port, log_dir=home / "data"
            ),
            "utf-8",
        )
        (home / "log4j2.properties").write_text(_LOG4J_PROPERTIES, "ascii")
        return properties

    def _explained(self, error: StartError) -> Exception:
        """The reason in one sentence where the broker's log tells it."""
        log = self._running().log_since_start()
        if _NO_SPACE in log:
            return NoSpaceError(f"the disk of {self._home} is full")
        if "Address already in use" in log and not (can_bind(self.port) and can_bind(self.controller_port)):
            return PortTakenError(f"another program listens on {self.port} or {self.controller_port}")
        if re.search(r"Failed to acquire lock on file .*\.lock", log):
            return BrokenDataDirError(f"another broker works in {self._home}")
        return error
