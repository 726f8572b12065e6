"""What a sandbox is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_SECRET_KEY = "sk_test_sandbox"  # noqa: S105 - the key of a stand-in without money
DEFAULT_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """All that the sandbox needs to know; every wait and every queue has a bound here."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8001
    public_url: str = ""
    """How a customer's browser reaches the hosted pages; empty means `http://<host>:<port>`."""
    secret_key: str = field(default=DEFAULT_SECRET_KEY, repr=False)
    webhook_url: str = ""
    """Where events are delivered, besides the endpoints that are made through the API; empty means nowhere."""
    webhook_secret: str = field(default=DEFAULT_WEBHOOK_SECRET, repr=False)
    webhook_events: tuple[str, ...] = ("*",)

    request_bytes_max: int = 512 * 1024
    queue_length_max: int = 2_000
    """Requests that may wait for the books; one more is answered 429."""
    batch_length_max: int = 64
    """Requests that share one commit."""
    idempotency_seconds: int = 24 * 3600
    event_seconds: int = 30 * 24 * 3600
    """Stripe shows events for 30 days; so do we, by the sandbox's clock."""
    webhook_timeout_s: float = 10.0
    webhook_concurrency: int = 32
    webhook_retry_delay_s_min: float = 1.0
    webhook_retry_delay_s_max: float = 3600.0
    webhook_attempts_max: int = 85
    """With these delays the last attempt is about three days after the first, as in Stripe's live mode."""
    hang_s_max: float = 600.0
    """How long a connection that is never answered is held, at most."""

    @property
    def base_url(self) -> str:
        """The address of the hosted pages, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")
