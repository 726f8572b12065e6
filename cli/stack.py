"""One run of `billing up`: what is started, in which order, with which addresses and secrets."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import httpx
import msgspec
import typer
from pydantic import SecretStr

from cli.catalog import DEMO_PATH, bring_in, read_file
from cli.progress import JarProgress, say
from cli.setup import create_tables_and_topics
from cli.supervisor import Role, Supervisor
from cli.token import signing_key
from infra.clock import clock_of
from infra.embedded.data_dir import read_intact, remembered_ports
from infra.embedded.errors import StartError
from infra.embedded.kafka import EmbeddedKafka
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.process import claim_port, free_port
from infra.embedded.stack_file import StackFile, own_command, write_private, write_stack_file
from infra.kafka.command_sender import SendRefusedError, SendUnknownError
from infra.logging import redact_text
from infra.settings import Settings
from infra.trust import authorities
from projections.commands import CommandView

_READY_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.1
_DEATHS_MAX = 5
"""A role that dies so often before everything is up will not come up."""


class _StopRequestedError(BaseException):
    """SIGINT or SIGTERM came. It ends whatever is being waited for: a broker may take long to come up again."""


class Stack:
    """One run of `billing up`."""

    def __init__(self, given: Settings, *, data_dir: Path, workers: int, demo: bool) -> None:
        """Fix every address and secret before anything starts: all processes get the same ones."""
        self._workers = workers
        self._demo = demo
        self._supervisor = Supervisor(on_change=self._write_stack_file)
        self._stopping = False
        self._progress = JarProgress()
        self._roles: dict[str, Role] = {}
        ports = remembered_ports(data_dir, ("kafka", "controller", "sandbox"))
        api_port = given.api_port or free_port()
        claim_port(api_port, what="The API", advice="Choose another --port, or stop it.", host=given.api_host)
        self._kafka: EmbeddedKafka | None = None
        self._postgres: EmbeddedPostgres | None = None
        updates: dict[str, object] = {"data_dir": data_dir, "api_port": api_port}
        if not given.kafka_bootstrap:
            self._kafka = EmbeddedKafka(
                data_dir,
                port=ports["kafka"],
                controller_port=ports["controller"],
                progress=self._progress.show,
                notice=say,
            )
            updates["kafka_bootstrap"] = self._kafka.bootstrap
        if not given.database_url:
            self._postgres = EmbeddedPostgres(data_dir)
            updates["database_url"] = self._postgres.url
        self._has_sandbox = not given.stripe_secret_key.get_secret_value()
        if self._has_sandbox:
            sandbox_port = given.sandbox_port if "sandbox_port" in given.model_fields_set else ports["sandbox"]
            claim_port(sandbox_port, what="The sandbox", advice="Choose another BILLING_SANDBOX_PORT, or stop it.")
            sandbox_url = f"http://{given.sandbox_host}:{sandbox_port}"
            keys = _sandbox_keys(data_dir)
            updates |= {
                "sandbox_port": sandbox_port,
                "sandbox_url": sandbox_url,
                "stripe_api_base": sandbox_url,
                "stripe_secret_key": SecretStr(keys.secret_key),
                "stripe_webhook_secrets": (SecretStr(keys.webhook_secret),),
            }
        self._settings = given.model_copy(update=updates)

    def run(self) -> None:
        """Start, watch until a signal comes, stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` keeps its promise
                signal.signal(number, self._on_signal)
        try:
            self._start_servers()
            self._start_roles()
            self._wait_until_ready()
            if self._demo:
                self._load_demo_catalog()
            self._announce()
            while True:
                self._supervisor.poll()
                time.sleep(_POLL_INTERVAL_S)
        except _StopRequestedError:
            pass
        finally:
            # From here on a second signal changes nothing: everything is being stopped already.
            self._stopping = True
            say("stopping")
            self._supervisor.stop_all()
            self._settings.stack_file_path.unlink(missing_ok=True)
        say("stopped; the data stays")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise _StopRequestedError

    def _start_servers(self) -> None:
        """Broker and database, then what must be in them."""
        settings = self._settings
        signing_key(settings)
        if settings.clock_path.exists():
            read_intact(settings.clock_path, lambda _: clock_of(settings).now())
        if self._kafka is not None:
            say("starting Kafka")
            self._supervisor.watch("kafka", self._kafka)
            with self._progress:
                self._kafka.launch()
        if self._postgres is not None:
            say("starting PostgreSQL")
            self._supervisor.start("postgres", self._postgres)
        if self._kafka is not None:
            self._kafka.wait_until_started()
        say("creating tables and topics")
        create_tables_and_topics(settings)

    def _start_roles(self) -> None:
        say("starting the roles")
        if self._has_sandbox:
            self._start_role("sandbox", 0, "sandbox", "serve")
        for index in range(self._workers):
            self._start_role("engine", index, "worker", "engine")
        self._start_role("gateway", 0, "worker", "gateway")
        self._start_role("projector", 0, "projector")
        self._start_role("api", 0, "api")
        self._write_stack_file()

    def _start_role(self, kind: str, index: int, *arguments: str) -> None:
        name = f"{kind}-{index}"
        role = Role(
            name=name,
            command=[sys.executable, "-m", "cli.main", *arguments],
            environment=self._environment(str(index)),
            log_path=self._settings.data_dir / "logs" / f"{name}.log",
        )
        self._roles[name] = role
        self._supervisor.start(name, role)

    def _environment(self, worker_id: str) -> dict[str, str]:
        """What a role is told: nothing is left for it to find out by itself."""
        settings = self._settings
        told = {
            "WORKER_ID": worker_id,
            # One port cannot serve the metrics of several roles; here they are in the logs and at the API.
            "METRICS_PORT": "0",
            "DATA_DIR": str(settings.data_dir),
            "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "DATABASE_URL": settings.database_url,
            "TOPIC_PREFIX": settings.topic_prefix,
            "PARTITIONS": str(settings.partitions),
            "API_HOST": settings.api_host,
            "API_PORT": str(settings.api_port),
            "PUBLIC_URL": settings.api_url,
            "STRIPE_SECRET_KEY": settings.stripe_secret_key.get_secret_value(),
            "STRIPE_WEBHOOK_SECRETS": ",".join(secret.get_secret_value() for secret in settings.stripe_webhook_secrets),
            "STRIPE_API_BASE": settings.stripe_api_base,
            "SANDBOX_HOST": settings.sandbox_host,
            "SANDBOX_PORT": str(settings.sandbox_port),
            "SANDBOX_URL": settings.sandbox_url,
        }
        return {**os.environ, **{f"BILLING_{name}": value for name, value in told.items()}}

    def _wait_until_ready(self) -> None:
        """Until the API says that the whole path from request to read model is there."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        url = f"http://{self._settings.api_host}:{self._settings.api_port}/health/ready"
        answer = "no answer"
        while time.monotonic() < deadline and not self._supervisor.hopeless(_DEATHS_MAX):
            self._supervisor.poll()
            with suppress(httpx.HTTPError):
                response = httpx.get(url, timeout=5.0, verify=authorities())
                if response.is_success:
                    return
                answer = response.text
            time.sleep(_POLL_INTERVAL_S)
        dying = self._supervisor.hopeless(1)
        tails = [f"--- {role.log_path}\n{role.log_tail()}" for name, role in self._roles.items() if name in dying]
        raise StartError("\n".join([f"{url} does not become ready: {answer}", *tails]))

    def _load_demo_catalog(self) -> None:
        """As `billing catalog import` does; what was ever defined before is left as it is."""
        try:
            outcomes = asyncio.run(self._bring_in_demo())
        except (SendRefusedError, SendUnknownError, TimeoutError) as error:
            raise StartError(f"the demo catalogue could not be loaded: {error or 'no outcome came'}") from error
        rejected = [f"{name}: {view.detail}" for name, view in outcomes.items() if view.code is not None]
        if rejected:
            raise StartError("the demo catalogue could not be loaded:\n" + "\n".join(rejected))

    async def _bring_in_demo(self) -> dict[str, CommandView]:
        """Look after the processes meanwhile: one of them may die now too."""
        importing = asyncio.create_task(bring_in(self._settings, read_file(DEMO_PATH), only_new=True))
        while not importing.done():
            self._supervisor.poll()
            await asyncio.wait({importing}, timeout=_POLL_INTERVAL_S)
        return importing.result()

    def _announce(self) -> None:
        settings = self._settings
        say(f"  API         {settings.api_url}/docs")
        if self._has_sandbox:
            say(f"  sandbox     {settings.sandbox_url}  (payment provider)")
        say(f"  Kafka       {settings.kafka_bootstrap}")
        say(f"  PostgreSQL  {redact_text(settings.database_url)}")
        say(f"  logs        {settings.data_dir / 'logs'}")
        say("  a token     billing token --account alice")
        typer.echo(f"ready {settings.api_url}")
        sys.stdout.flush()

    def _write_stack_file(self) -> None:
        settings = self._settings
        stack = StackFile(
            supervisor_pid=os.getpid(),
            supervisor_command=own_command(),
            kafka_bootstrap=settings.kafka_bootstrap,
            database_url=settings.database_url,
            api_url=settings.api_url,
            sandbox_url=settings.sandbox_url if self._has_sandbox else "",
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
            stripe_secret_key=settings.stripe_secret_key.get_secret_value() if self._has_sandbox else "",
            stripe_webhook_secrets=tuple(
                secret.get_secret_value() for secret in settings.stripe_webhook_secrets if self._has_sandbox
            ),
            pids=self._supervisor.pids(),
        )
        write_stack_file(settings.stack_file_path, stack)


class SandboxKeys(msgspec.Struct, frozen=True):
    """What the sandbox provider and its client share; made once for a data directory, by chance."""

    secret_key: str
    webhook_secret: str


def _sandbox_keys(data_dir: Path) -> SandboxKeys:
    path = data_dir / "sandbox-keys.json"
    if not path.exists():
        keys = SandboxKeys(f"sk_test_{secrets.token_hex(24)}", f"whsec_{secrets.token_hex(24)}")
        write_private(path, msgspec.json.encode(keys))
    return read_intact(path, lambda content: msgspec.json.decode(content, type=SandboxKeys))
