"""Roles with a fault built in on purpose. The simulation is worth what it finds of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from domain.effects import AnswerStatus, ProviderAnswer
from infra.memory.connection import MemoryConnection
from infra.memory.log import MemoryTopics
from processors.partition import PartitionState
from tests.simulation.roles import EngineRole, GatewayRole, ProjectorRole
from tests.simulation.settings import Settings
from tests.simulation.tables import Tables
from tests.simulation.world import Roles

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from domain.effects import ChargeMethod, CloseCheckout, CreateCheckout, FetchPayment
    from domain.ids import CommandId, EffectId
    from domain.ports import Clock, PaymentProvider
    from infra.memory.log import StoredRecord
    from infra.memory.store import MemoryStore
    from processors.journal import Journal
    from processors.worker import Delivery
    from projections.fold import Batch
    from tests.simulation.process import Process
    from tests.simulation.world import World


class KeylessConnection(MemoryConnection):
    """Calls the provider with another idempotency key at every attempt."""

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """Charge whatever was charged before."""
        return await super().charge(replace(effect, effect_id=self._another(effect)), account=account)

    def _another(self, effect: ChargeMethod | CreateCheckout) -> EffectId:
        return type(effect.effect_id)(f"{effect.effect_id}.{effect.attempt}")


class KeylessGateway(GatewayRole):
    """A gateway that does not use the effect's id as idempotency key."""

    def connection(self) -> PaymentProvider:
        """Return the careless way to the provider."""
        return KeylessConnection(self._world.provider, self._process.weather)


class HastyConnection(MemoryConnection):
    """Takes what is not known for a failure."""

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """Say that it was declined where nobody knows."""
        return _hasty(await super().charge(effect, account=account))

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """Say that it is closed where nobody knows."""
        answer = await super().fetch(effect, account=account)
        if answer.status is AnswerStatus.UNKNOWN:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=effect.reference)
        return answer


def _hasty(answer: ProviderAnswer) -> ProviderAnswer:
    if answer.status is AnswerStatus.UNKNOWN:
        return ProviderAnswer(status=AnswerStatus.DECLINED, decline_reason="timeout")
    return answer


class HastyGateway(GatewayRole):
    """A gateway that answers "failed" to what is unknown."""

    def connection(self) -> PaymentProvider:
        """Return the hasty way to the provider."""
        return HastyConnection(self._world.provider, self._process.weather)


class BlindConnection(MemoryConnection):
    """Looks for nothing that it has no name of."""

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """Say that a charge of which nobody was told the name was not made."""
        if effect.reference is None:
            return ProviderAnswer(status=AnswerStatus.CLOSED)
        return await super().close_checkout(effect, account=account)

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """Say so again when it is looked for once more."""
        if effect.reference is None:
            return ProviderAnswer(status=AnswerStatus.CLOSED)
        return await super().fetch(effect, account=account)


class BlindGateway(GatewayRole):
    """A gateway that looks for no charge that was given up before the provider named it."""

    def connection(self) -> PaymentProvider:
        """Return the blind way to the provider."""
        return BlindConnection(self._world.provider, self._process.weather)


class ImpatientConnection(MemoryConnection):
    """Takes a payment for closed as soon as it asked for that."""

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """Say that it is closed where nobody knows."""
        answer = await super().close_checkout(effect, account=account)
        if answer.status is AnswerStatus.UNKNOWN:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=effect.reference)
        return answer


class ImpatientGateway(GatewayRole):
    """A gateway that ends a payment when nobody answers whether it can end."""

    def connection(self) -> PaymentProvider:
        """Return the impatient way to the provider."""
        return ImpatientConnection(self._world.provider, self._process.weather)


class MachineTimeGateway(GatewayRole):
    """A gateway that sweeps by the time of its machine, however far the clock is moved."""

    def __init__(self, world: World, process: Process, clock: Clock) -> None:
        super().__init__(world, process, clock)
        self.gateway._sweep.look = lambda: None  # type: ignore[method-assign]


class ContentGateway(GatewayRole):
    """A gateway that goes on behind what it could not ask for."""

    def __init__(self, world: World, process: Process, clock: Clock) -> None:
        super().__init__(world, process, clock)
        sweep = self.gateway._sweep
        ask = sweep._page

        async def ask_once(provider: PaymentProvider, standing: Any) -> str | None:
            await ask(provider, standing)
            return None

        sweep._page = ask_once  # type: ignore[method-assign]


class HastyEngine(EngineRole):
    """An engine that acks before it commits, and goes on where the group's offset says."""

    def delivery(self, partition: TopicPartition, record: StoredRecord) -> Delivery:
        """Ack at once."""
        self.world.engines.committed[partition] = record.offset + 1
        return super().delivery(partition, record)

    def first_offset(self, partition: TopicPartition) -> int:
        """Believe the group."""
        return self.world.engines.committed.get(partition, 0)


class ForgetfulEngine(EngineRole):
    """An engine that does not know a command that it decided before."""

    def journal(self, number: int) -> Journal:
        """Return a journal whose state finds no outcome."""
        journal = super().journal(number)
        load = journal._load

        async def load_forgetful() -> PartitionState:
            state = await load()
            state.__class__ = _Forgetful
            return state

        journal._load = load_forgetful  # type: ignore[method-assign]
        return journal


class _Forgetful(PartitionState):
    def outcome(self, command_id: CommandId) -> str | None:
        """Know nothing."""
        return None


class TimelessEngine(EngineRole):
    """An engine that fires no timer."""

    def journal(self, number: int) -> Journal:
        """Return a journal without timers."""
        journal = super().journal(number)
        journal.due_timers = list  # type: ignore[method-assign]
        return journal


class StubbornEngine(EngineRole):
    """An engine that goes on with its old state and its old producer after a commit whose end it does not know."""

    def journal(self, number: int) -> Journal:
        """Return a journal that forgets nothing."""
        journal = super().journal(number)
        journal.forget = lambda: None  # type: ignore[method-assign]
        return journal


class CarelessTables(Tables):
    """Tables that take every batch, whoever wrote it before."""

    def write(self, batch: Batch, partition: int, *, expected: int, reached: int) -> None:
        """Compare nothing."""
        super().write(batch, partition, expected=self.positions.get(partition, 0), reached=reached)


class CarelessProjector(ProjectorRole):
    """A projector whose rows and offset are two transactions."""

    def __init__(self, world: World, process: Process, clock: Clock) -> None:
        super().__init__(world, process, clock)
        if not isinstance(world.tables, CarelessTables):
            world.tables = CarelessTables(world.tables.rows, world.tables.positions, world.tables.by_account)

    async def project(self, partition: TopicPartition, records: list[StoredRecord]) -> None:
        """Write the rows, and the offset at some later time."""
        positions = self._world.tables.positions
        before = positions.get(partition.partition, 0)
        await super().project(partition, records)
        if records[0].offset % 3:
            positions[partition.partition] = before


class UnfencedTopics(MemoryTopics):
    """A broker that does not cut earlier writers off."""

    __slots__ = ()

    def _require(self, transactional_id: str, epoch: int) -> None:
        """Let everybody write."""


class UnfencedEngine(EngineRole):
    """An engine on a broker that lets zombies write."""

    def __init__(self, world: World, process: Process, clock: Clock, disk: dict[int, MemoryStore]) -> None:
        world.topics.__class__ = UnfencedTopics
        super().__init__(world, process, clock, disk)


BROKEN: dict[str, tuple[Roles, Settings]] = {
    "a gateway without idempotency key": (Roles(gateway=KeylessGateway), Settings()),
    "a gateway that does not sweep": (Roles(), Settings(sweep_s=0)),
    "a gateway that takes unknown for failed": (Roles(gateway=HastyGateway), Settings()),
    "a gateway that looks for no charge without a name": (Roles(gateway=BlindGateway), Settings()),
    "a gateway that takes an unanswered end for one": (Roles(gateway=ImpatientGateway), Settings()),
    "a sweep by the machine's time": (Roles(gateway=MachineTimeGateway), Settings()),
    "a sweep that goes on behind what it missed": (Roles(gateway=ContentGateway), Settings()),
    "an engine that acks before it commits": (Roles(engine=HastyEngine), Settings()),
    "an engine that decides a command again": (Roles(engine=ForgetfulEngine), Settings()),
    "an engine without timers": (Roles(engine=TimelessEngine), Settings()),
    "an engine that guesses after an unsure commit": (Roles(engine=StubbornEngine), Settings()),
    "an engine that is not fenced": (Roles(engine=UnfencedEngine), Settings(freeze=0.05)),
    "a projector whose offset is written apart": (Roles(projector=CarelessProjector), Settings()),
}
"""What is broken, the roles that are, and the histories that show it."""
