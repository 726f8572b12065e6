"""The table of our topics, and the two things done with it: create what is missing, compare what is there.

The number of partitions is chosen once. A key must stay where its history is, so a topic with another number is
refused, never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from infra.kafka import dead_letters
from infra.kafka.errors import WrongTopicError

if TYPE_CHECKING:
    from infra.settings import Settings

_DAY_MS = 86_400_000
_RECORD_BYTES_MAX = 1024 * 1024
DEAD_LETTERS_KEPT_DAYS = 30
"""So long people may look at what could not be taken."""
_REPLICAS_OF_PRODUCTION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """What one topic must be like."""

    name: str
    cleanup: Literal["delete", "compact"]
    retention_ms: int | None
    """None: kept for ever."""
    record_bytes_max: int = _RECORD_BYTES_MAX
    """Larger batches are refused by the broker."""

    def config(self, replication_factor: int) -> dict[str, str]:
        """The topic's settings, as the broker spells them."""
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": "-1" if self.retention_ms is None else str(self.retention_ms),
            "max.message.bytes": str(self.record_bytes_max),
            # The broker unpacks what comes compressed: no reader of ours needs a codec for what a stranger sends, and
            # a small batch that unpacks to a huge one is refused.
            "compression.type": "uncompressed",
            "min.insync.replicas": "2" if replication_factor >= _REPLICAS_OF_PRODUCTION else "1",
        }
        if self.cleanup == "delete":
            # Without this, a broker-wide limit by size would silently end what is kept for ever.
            config["retention.bytes"] = "-1"
        return config


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics under one prefix."""

    prefix: str = "billing"

    @property
    def commands(self) -> str:
        """Intents: written by the API, the gateway and the timers' owner with plain idempotent producers only."""
        return f"{self.prefix}.commands"

    @property
    def events(self) -> str:
        """The only source of truth, kept for ever. Transactional: read it with `read_committed`."""
        return f"{self.prefix}.events"

    @property
    def effects(self) -> str:
        """Calls to providers and commands for another key, done by the gateway. Transactional."""
        return f"{self.prefix}.effects"

    @property
    def entitlements(self) -> str:
        """For access services: the newest record of an account is all that it may watch now. Transactional."""
        return f"{self.prefix}.entitlements"

    @property
    def notifications(self) -> str:
        """For notifiers: what a customer or a manager is to be told. Transactional."""
        return f"{self.prefix}.notifications"

    @property
    def catalog(self) -> str:
        """Products, prices and discounts as they are now. Transactional."""
        return f"{self.prefix}.catalog"

    @property
    def dead_letters(self) -> str:
        """Records that nobody could read, whole, for people."""
        return f"{self.prefix}.dead-letters"

    @property
    def written_with_events(self) -> tuple[str, ...]:
        """What the engine writes in one transaction with events, beside them."""
        return (self.effects, self.entitlements, self.catalog, self.dead_letters)

    def specs(self) -> tuple[TopicSpec, ...]:
        """The table of the design."""
        return (
            TopicSpec(name=self.commands, cleanup="delete", retention_ms=30 * _DAY_MS),
            TopicSpec(name=self.events, cleanup="delete", retention_ms=None),
            TopicSpec(name=self.effects, cleanup="delete", retention_ms=7 * _DAY_MS),
            TopicSpec(name=self.entitlements, cleanup="compact", retention_ms=None),
            TopicSpec(name=self.notifications, cleanup="delete", retention_ms=7 * _DAY_MS),
            TopicSpec(name=self.catalog, cleanup="compact", retention_ms=None),
            TopicSpec(
                name=self.dead_letters,
                cleanup="delete",
                retention_ms=DEAD_LETTERS_KEPT_DAYS * _DAY_MS,
                record_bytes_max=dead_letters.RECORD_BYTES_MAX,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as the broker has it; `problems` is empty where it is as it must be."""

    name: str
    exists: bool
    partitions: int
    replication_factor: int
    cleanup: str
    retention_ms: int
    problems: tuple[str, ...]


def topics_of(settings: Settings) -> Topics:
    """The topics that a process with these settings works on."""
    return Topics(settings.topic_prefix)


async def create_topics(
    bootstrap: str, topics: Topics, *, partitions: int, replication_factor: int = 1
) -> tuple[str, ...]:
    """Create the topics that are missing and return their names.

    Raises WrongTopicError where one exists with another number of partitions; nothing has been created then.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        existing = await _partition_counts(admin)
        wrong = [
            f"{spec.name} has {existing[spec.name]} partitions, not {partitions}"
            for spec in topics.specs()
            if existing.get(spec.name, partitions) != partitions
        ]
        if wrong:
            raise WrongTopicError(
                "; ".join(wrong) + ". The number is chosen once, since a key must stay where its history is: "
                "set BILLING_PARTITIONS to what is there, or use another BILLING_TOPIC_PREFIX."
            )
        missing = [spec for spec in topics.specs() if spec.name not in existing]
        if missing:
            new = [
                NewTopic(spec.name, partitions, replication_factor, topic_configs=spec.config(replication_factor))
                for spec in missing
            ]
            _raise_for_topic_errors(await admin.create_topics(new))
        return tuple(spec.name for spec in missing)
    finally:
        await admin.close()


async def describe_topics(
    bootstrap: str, topics: Topics, *, partitions: int, replication_factor: int = 1
) -> tuple[TopicState, ...]:
    """Compare each topic of the table with what the broker has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = {entry["topic"]: entry for entry in await admin.describe_topics()}
        present = [spec.name for spec in topics.specs() if spec.name in found]
        configs = await _topic_configs(admin, present)
    finally:
        await admin.close()
    return tuple(
        _compare(spec, found.get(spec.name), configs.get(spec.name, {}), partitions, replication_factor)
        for spec in topics.specs()
    )


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """All topics of the broker with their numbers of partitions (asking for one by name could create it)."""
    return {entry["topic"]: len(entry["partitions"]) for entry in await admin.describe_topics()}


async def _topic_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Settings by topic and name."""
    if not names:
        return {}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs: dict[str, dict[str, str]] = {}
    for response in responses:
        for code, message, _type, name, entries in response.resources:
            if code:
                raise for_code(code)(message)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _compare(
    spec: TopicSpec, entry: dict[str, Any] | None, config: dict[str, str], partitions: int, replication_factor: int
) -> TopicState:
    """One row of `billing topics describe`."""
    if entry is None:
        return TopicState(
            name=spec.name,
            exists=False,
            partitions=0,
            replication_factor=0,
            cleanup="",
            retention_ms=0,
            problems=("missing",),
        )
    count = len(entry["partitions"])
    replicas = min((len(partition["replicas"]) for partition in entry["partitions"]), default=0)
    problems = []
    if count != partitions:
        problems.append(f"{count} partitions, not {partitions}")
    if replicas < replication_factor:
        problems.append(f"{replicas} replicas, not {replication_factor}")
    problems += [
        f"{name} is {config.get(name)}, not {wanted}"
        for name, wanted in spec.config(replication_factor).items()
        if config.get(name) != wanted
    ]
    return TopicState(
        name=spec.name,
        exists=True,
        partitions=count,
        replication_factor=replicas,
        cleanup=config.get("cleanup.policy", ""),
        retention_ms=int(config.get("retention.ms", "0")),
        problems=tuple(problems),
    )


def _raise_for_topic_errors(response: Any) -> None:
    """The client hands errors of single topics back inside the answer; two creators at once are no error."""
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{name}: {rest[0] if rest else ''}")
