"""Every knob of the product, read from `BILLING_*` environment variables and nowhere else.

`load_settings()` is what a process calls once, at its start. Where no broker or database is configured, it looks for
the stack that `billing up` runs in the same data directory, so that `billing audit`, `billing doctor` and the like
need no configuration on a developer's machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.policies.settings import Policies
from infra.embedded.stack_file import read_stack_file
from infra.policies import load_policies, problems_in

_PREFIX = "BILLING_"


class SettingsInvalidError(Exception):
    """Settings that cannot be, each named by its variable; the process must not start."""


class Settings(BaseSettings):
    """The configuration of one process: each name in upper case, with `BILLING_` before it, is the variable."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "development"
    """In production the clock cannot be moved and development tokens are neither made nor accepted."""
    data_dir: Path = Path(".billing")
    """Where the embedded stack, local state (RocksDB), logs and the development clock live."""
    log_level: str = Field(default="INFO", pattern="(?i)^(debug|info|warning|error|critical)$")
    log_format: Literal["console", "json"] = "console"

    # Broker. An empty bootstrap means the embedded broker of `billing up` in the data directory.
    kafka_bootstrap: str = ""
    kafka_replication_factor: int = Field(default=1, ge=1, le=32767)
    """3 in production; `min.insync.replicas` is 2 then."""
    topic_prefix: str = Field(default="billing", pattern=r"^[a-zA-Z0-9._-]{1,100}$")
    partitions: int = Field(default=8, ge=1, le=1024)
    """Chosen once: a key must stay where its history is."""

    # Database. Empty means the embedded PostgreSQL of `billing up` in the data directory.
    database_url: str = Field(default="", pattern="^(postgresql://.*)?$", repr=False)

    worker_id: str = Field(default="0", pattern=r"^[a-zA-Z0-9._-]{1,64}$")
    """Tells the workers of one role and data directory apart: each has a store and a group membership of its own."""

    # HTTP.
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    """How customers reach the API from outside; empty means `http://<api_host>:<api_port>`."""

    # Identity. Without an issuer, development tokens signed by the key in the data directory are accepted.
    oidc_issuer: str = ""
    oidc_audience: str = "billing"
    oidc_jwks_url: str = ""
    """Empty means: found by OpenID discovery at the issuer."""

    # Payment providers.
    stripe_secret_key: SecretStr = SecretStr("")
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Comma-separated; two are live while one is rotated."""
    stripe_api_base: str = ""
    """Empty means Stripe itself; `billing up` points it at the sandbox provider."""

    # Metrics of the roles that serve no HTTP (the API has /metrics). Bound to `api_host`; 0: none.
    metrics_port: int = Field(default=0, ge=0, le=65535)

    # Engine.
    renewals_max: int = Field(default=512, ge=1, le=1_000_000)
    """How many renewals are under way at once, shared by all partitions; the others wait, and orders do not wait behind
    them. One gateway with a provider that takes a second answers all of them in 8 s, before a call is repeated."""

    # Gateway.
    gateway_concurrency: int = Field(default=64, ge=1, le=10_000)
    """How many calls to providers one gateway worker makes at once."""
    gateway_sweep_interval_s: float = Field(default=600.0, ge=0, le=86_400)
    """How often providers are asked for disputes and failed refunds whose webhooks may be lost; 0: never."""

    # Sandbox provider (development only, loopback).
    sandbox_host: str = "127.0.0.1"
    sandbox_port: int = Field(default=8001, ge=0, le=65535)
    sandbox_url: str = ""
    sandbox_webhook_url: str = ""
    """Where the sandbox delivers its webhooks; empty means `<public_url>/v1/webhooks/stripe`."""

    # Policies of the business have variables of their own, BILLING_POLICY_<NAME>: see infra/policies.py.
    _policies: Policies = PrivateAttr(default_factory=load_policies)

    def __init__(self, **given: Any) -> None:
        """Read what is not given. Raises SettingsInvalidError, PoliciesInvalidError."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SettingsInvalidError("; ".join(problems_in(error, _PREFIX))) from None

    @field_validator("stripe_webhook_secrets", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        """`whsec_a,whsec_b` as well as a sequence."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def policies(self) -> Policies:
        """What the business decided about waiting, renewing and limits, as the environment has it."""
        return self._policies

    @property
    def stack_file_path(self) -> Path:
        """Where `billing up` says what it runs."""
        return self.data_dir / "stack.json"

    @property
    def clock_path(self) -> Path:
        """The file with the offset of the development clock."""
        return self.data_dir / "clock"

    @property
    def store_dir(self) -> Path:
        """The folder of the partitions' RocksDB stores."""
        return self.data_dir / "store"

    @property
    def dev_signing_key_path(self) -> Path:
        """The private key of development tokens."""
        return self.data_dir / "dev-signing-key.json"

    @property
    def dev_jwks_path(self) -> Path:
        """The public part of the key of development tokens, as a JWK set."""
        return self.data_dir / "dev-jwks.json"

    @property
    def api_url(self) -> str:
        """The address of the API as customers see it, without a slash at its end."""
        return (self.public_url or f"http://{self.api_host}:{self.api_port}").rstrip("/")


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; take an absent broker, database and sandbox from the stack in the data directory."""
    settings = Settings(**overrides)
    running = read_stack_file(settings.stack_file_path)
    if running is None or not running.is_alive():
        return settings
    found: dict[str, Any] = {}
    if not settings.kafka_bootstrap:
        found["kafka_bootstrap"] = running.kafka_bootstrap
        found["topic_prefix"] = running.topic_prefix
        found["partitions"] = running.partitions
    if not settings.database_url:
        found["database_url"] = running.database_url
    if not settings.sandbox_url and running.sandbox_url:
        found["sandbox_url"] = running.sandbox_url
    if not settings.public_url and running.api_url:
        found["public_url"] = running.api_url
    if not settings.stripe_secret_key.get_secret_value() and running.stripe_secret_key:
        found["stripe_secret_key"] = SecretStr(running.stripe_secret_key)
        found["stripe_webhook_secrets"] = tuple(SecretStr(secret) for secret in running.stripe_webhook_secrets)
        found["stripe_api_base"] = running.sandbox_url
    return settings.model_copy(update=found)
