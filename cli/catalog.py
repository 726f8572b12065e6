"""`billing catalog`: products, prices, discounts and promo codes from a file into the log, and back into a file."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.amounts import parse_amount
from cli.catalog_discounts import has_discounts, months_document, promo_document, read_discounts
from cli.catalog_terms import read_terms, terms_document
from cli.common import DataDirOption, JsonOption, UsageError, echo_json, problems_of, settings_of_stack
from infra.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from domain.catalog.commands import DefineProduct
    from domain.ids import CommandId
    from domain.pricing.commands import DefineMonthsDiscounts
    from domain.promo.commands import DefinePromoCode
    from projections.commands import CommandView
    from projections.paging import Page
    from projections.products import ProductView

    Wanted = DefineProduct | DefineMonthsDiscounts | DefinePromoCode
    """What an entry of the catalogue is to be."""

app = typer.Typer(help="Products, prices, discounts and promo codes.", no_args_is_help=True)

Item = TypeVar("Item")
DEMO = "demo"
DEMO_PATH = Path(__file__).with_name("demo_catalog.yaml")
_OUTCOME_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.05
_ENTRIES_PER_PAGE = 100
_SOURCE = "billing/cli"
_ACTOR = "operator"


@app.command("import")
def import_catalog(
    file: Annotated[str, typer.Argument(help=f"A YAML file, or `{DEMO}` for the demo catalogue.")],
    only_new: Annotated[bool, typer.Option("--only-new", help="Leave alone what was ever defined before.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have products, discounts by months and promo codes be as in the file; what it does not name stays as it is."""
    from infra.kafka.command_sender import SendRefusedError, SendUnknownError

    wanted = read_file(DEMO_PATH if file == DEMO else Path(file))
    settings = settings_of_stack(data_dir)
    try:
        outcomes = asyncio.run(bring_in(settings, wanted, only_new=only_new))
    except (SendRefusedError, SendUnknownError) as error:
        raise UsageError(f"the broker did not take a command: {error}") from error
    except TimeoutError as error:
        raise UsageError(
            f"no outcome within {_OUTCOME_TIMEOUT_S:.0f} s: do an engine and a projector run? See `billing doctor`."
        ) from error
    rejected = {name: view for name, view in outcomes.items() if view.code is not None}
    if as_json:
        problems = {name: {"code": view.code, "detail": view.detail} for name, view in rejected.items()}
        echo_json({"entries": len(wanted), "changed": len(outcomes) - len(rejected), "rejected": problems})
    else:
        typer.echo(f"{len(wanted)} entries: {len(outcomes) - len(rejected)} changed, {len(rejected)} rejected")
        for name, view in rejected.items():
            typer.echo(f"  {name}: {view.detail} ({view.code})", err=True)
    if rejected:
        raise typer.Exit(1)


@app.command("export")
def export_catalog(data_dir: DataDirOption = None) -> None:
    """Print what is on sale and at which discounts, in the form that `import` reads."""
    import yaml

    settings = settings_of_stack(data_dir)
    document = asyncio.run(_exported(settings))
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


def read_file(path: Path) -> tuple[Wanted, ...]:
    """Everything that a file wants to be so; UsageError where it cannot be read or makes no sense."""
    return (*read_catalog(path), *read_discounts(path))


def read_catalog(path: Path) -> tuple[DefineProduct, ...]:
    """The products that a file wants to be; UsageError where it cannot be read or makes no sense."""
    import orjson
    import yaml

    from domain.ids import ProductId
    from schemas.http.catalog import DefineProductRequest

    try:
        text = path.read_text("utf-8")
        document, lines = yaml.safe_load(text), _lines_of_products(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    nothing: list[Any] | None = [] if has_discounts(document) else None
    entries = document.get("products", nothing) if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{path}: there must be a list `products`, each with its fields")
    commands: dict[str, DefineProduct] = {}
    for entry, line in zip(entries, lines, strict=True):
        product_id = entry.pop("id", None)
        if not isinstance(product_id, str) or product_id in commands:
            raise UsageError(
                f"{path}, line {line}: every product needs an `id` of its own ({product_id!r} has none, or another's)"
            )
        try:
            _read_amounts(entry)
            read_terms(entry)
            request = DefineProductRequest.model_validate_json(orjson.dumps(entry, default=str))
        except ValueError as error:
            raise UsageError(f"{path}, line {line}: product {product_id}: {problems_of(error)}") from error
        commands[product_id] = request.to_command(ProductId(product_id))
    return tuple(commands.values())


def _read_amounts(entry: dict[str, Any]) -> None:
    """Put minor units in the place of every amount that is written as a person writes it."""
    prices = entry.get("prices")
    for price in prices if isinstance(prices, list) else ():
        if isinstance(price, dict) and isinstance(price.get("amount"), str):
            money = parse_amount(price["amount"])
            price["amount"] = {"amount": money.amount, "currency": money.currency}


def _lines_of_products(text: str) -> list[int]:
    """Return the line on which each product begins; nothing where there is no list of them."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return []
    lists = [node for name, node in root.value if name.value == "products" and isinstance(node, yaml.SequenceNode)]
    return [child.start_mark.line + 1 for child in lists[-1].value] if lists else []


def as_document(product: ProductView) -> dict[str, Any]:
    """One product on sale, as a file has it."""
    document: dict[str, Any] = {"id": product.id, "kind": product.kind, "title": product.title}
    optional = {
        "description": product.description or None,
        "role": product.role,
        "validity_days": product.validity_days,
        "terms": None if product.terms is None else terms_document(product.terms),
    }
    document |= {name: value for name, value in optional.items() if value is not None}
    document["prices"] = [
        {"id": price.id, "amount": {"amount": price.amount.amount, "currency": price.amount.currency}}
        | ({"period": {"count": price.period.count, "unit": str(price.period.unit)}} if price.period else {})
        | ({"trial_days": price.trial_days} if price.trial_days else {})
        for price in product.prices
    ]
    return document


async def bring_in(settings: Settings, wanted: Iterable[Wanted], *, only_new: bool) -> dict[str, CommandView]:
    """Send what would change something, and wait for every outcome; outcomes by the key of the entry.

    Raises SendRefusedError, SendUnknownError, TimeoutError.
    """
    from infra.clock import clock_of
    from infra.kafka.command_sender import CommandSender
    from infra.kafka.topics import topics_of
    from infra.postgres.engine import create_engine
    from schemas.envelope import new_command

    clock = clock_of(settings)
    engine = create_engine(settings.database_url, application_name="billing-catalog", pool_size=1)
    sender = CommandSender(settings.kafka_bootstrap, topics_of(settings).commands, partitions=settings.partitions)
    sender.start()
    try:
        async with engine.connect() as connection:
            changes = [
                (key_of(define), define, await _command_id(connection, define))
                for define in wanted
                if await _changes(connection, define, only_new=only_new)
            ]
        for key, define, command_id in changes:
            record = new_command(
                command_id=command_id, key=key, time=clock.now(), source=_SOURCE, actor=_ACTOR, data=define
            )
            await sender.send(record)
        return await _outcomes(engine, {command_id: key for key, _, command_id in changes})
    finally:
        await sender.stop()
        await engine.dispose()


def key_of(define: Wanted) -> str:
    """The key of the log under which the entry stands."""
    from domain.catalog import entries

    key = entries.key_of(define)
    assert key is not None, "whatever a file wants is an entry of the catalogue"
    return key


async def _command_id(connection: AsyncConnection, define: Wanted) -> CommandId:
    """The same for the same wish about the same history: a repeat is recognised, however the first one ended.

    What was imported, changed since and is imported again is another wish, since it comes after another change.
    """
    from sqlalchemy import select

    from domain.ids import CommandId, derive
    from projections import discounts, products, promo_codes
    from schemas.codec import encode

    key = key_of(define)
    newest = ""
    for model in (products.MODEL, discounts.MONTHS, promo_codes.MODEL):
        history = model.history
        assert history is not None
        last = select(history.c.event_id).where(history.c.account == key).order_by(history.c.sequence.desc()).limit(1)
        newest = newest or (await connection.execute(last)).scalar_one_or_none() or ""
    return CommandId(derive(key, f"import {hashlib.sha256(encode(define)).hexdigest()} after {newest}"))


async def _changes(connection: AsyncConnection, define: Wanted, *, only_new: bool) -> bool:
    """Whether the command would change the catalogue, as far as the read model knows."""
    from domain.catalog.commands import DefineProduct
    from domain.promo.commands import DefinePromoCode
    from projections import discounts, promo_codes

    if isinstance(define, DefineProduct):
        return await _changes_product(connection, define, only_new=only_new)
    if isinstance(define, DefinePromoCode):
        known = await promo_codes.get(connection, define.promo.code)
        return known is None or (not only_new and known.promo != define.promo)
    table = await discounts.by_months(connection)
    steps = tuple(sorted(define.steps, key=lambda step: step.months))
    return table.updated_at is None if only_new else table.table.steps != steps


async def _changes_product(connection: AsyncConnection, define: DefineProduct, *, only_new: bool) -> bool:
    from sqlalchemy import select

    from projections import products

    if only_new:
        known = select(products.products.c.id).where(products.products.c.id == define.product_id)
        return (await connection.execute(known)).first() is None
    view = await products.get(connection, define.product_id)
    if view is None:
        return True
    facts = (view.kind, view.title, view.description, view.role, view.validity_days, view.terms)
    asked = (str(define.kind), define.title, define.description, define.role, define.validity_days, define.terms)
    prices = {(price.id, price.amount, price.period, price.trial_days) for price in view.prices}
    wanted = {(price.id, price.amount, price.period, price.trial_days) for price in define.prices}
    return facts != asked or prices != wanted


async def _outcomes(engine: AsyncEngine, sent: dict[CommandId, str]) -> dict[str, CommandView]:
    """Wait until every command is decided and projected; TimeoutError where that takes too long."""
    from rich.console import Console
    from rich.progress import track

    from projections.commands import PENDING, get_many

    found: dict[str, CommandView] = {}
    console = Console(stderr=True)
    async with asyncio.timeout(_OUTCOME_TIMEOUT_S):
        for command_id in track(sent, "importing", console=console, disable=not console.is_terminal):
            while sent[command_id] not in found:
                async with engine.connect() as connection:
                    views = await get_many(connection, (command_id,))
                if command_id in views and views[command_id].status != PENDING:
                    found[sent[command_id]] = views[command_id]
                else:
                    await asyncio.sleep(_POLL_INTERVAL_S)
    return found


async def _exported(settings: Settings) -> dict[str, Any]:
    """Everything on sale and the discounts, as a file has them."""
    from infra.postgres.engine import create_engine
    from projections import discounts, products, promo_codes

    engine = create_engine(settings.database_url, application_name="billing-catalog", pool_size=1)
    document: dict[str, Any] = {"products": [], "months_discounts": [], "promo_codes": []}
    try:
        async with engine.connect() as connection:
            sold = partial(products.list_page, connection, limit=_ENTRIES_PER_PAGE)
            codes = partial(promo_codes.list_page, connection, active=True, limit=_ENTRIES_PER_PAGE)
            document["products"] = [as_document(product) async for product in _every(sold)]
            document["months_discounts"] = months_document((await discounts.by_months(connection)).table)
            document["promo_codes"] = [promo_document(view.promo) async for view in _every(codes)]
    finally:
        await engine.dispose()
    return document


async def _every(page_of: Callable[..., Awaitable[Page[Item]]]) -> AsyncIterator[Item]:
    """Every item of all pages."""
    cursor: str | None = None
    while True:
        page = await page_of(cursor=cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
