"""What managers give: discounts, promo codes with their uses, access; why an order costs less; who sent a command.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "billing"
NEWEST_FIRST = {"orders": "placed_at", "payments": "created_at", "refunds": "requested_at"}
"""Managers list these of all accounts at once."""
TABLES = ("personal_discounts", "months_discounts", "promo_codes", "promo_uses", "grants")


def upgrade() -> None:
    """Add the tables and the column, and let the projector fold everything anew."""
    _start_again()
    op.add_column("orders", sa.Column("applied", JSONB), schema=SCHEMA)
    op.add_column("commands", _text("actor"), schema=SCHEMA)
    for table, moment in NEWEST_FIRST.items():
        columns: list[str | sa.TextClause] = [sa.text(f"{moment} DESC"), sa.text("id DESC")]
        op.create_index(f"{table}_{moment}_idx", table, columns, schema=SCHEMA)
    _personal_discounts()
    _months_discounts()
    _promo_codes()
    _promo_uses()
    _grants()
    for name in TABLES:
        _history(name)


def downgrade() -> None:
    """Go back; the log makes the tables anew."""
    for name in TABLES:
        op.drop_table(f"{name}_history", schema=SCHEMA)
        op.drop_table(name, schema=SCHEMA)
    for table, moment in NEWEST_FIRST.items():
        op.drop_index(f"{table}_{moment}_idx", table, schema=SCHEMA)
    op.drop_column("commands", "actor", schema=SCHEMA)
    op.drop_column("orders", "applied", schema=SCHEMA)
    _start_again()


def _start_again() -> None:
    """Empty every table but alembic's own."""
    found = op.get_bind().execute(
        sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema AND tablename <> 'migrations'"),
        {"schema": SCHEMA},
    )
    for (name,) in found.all():
        op.execute(f'TRUNCATE {SCHEMA}."{name}"')


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _personal_discounts() -> None:
    op.create_table(
        "personal_discounts",
        _text("id", primary_key=True),
        _text("account"),
        sa.Column("basis_points", sa.Integer, nullable=False),
        _text("reason"),
        sa.Column("products", JSONB, nullable=False),
        _moment("valid_from", nullable=True),
        _moment("valid_until", nullable=True),
        _moment("granted_at"),
        _text("granted_by"),
        _moment("revoked_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    newest: list[str | sa.TextClause] = [sa.text("granted_at DESC"), sa.text("id DESC")]
    name = "personal_discounts_account_granted_at_idx"
    op.create_index(name, "personal_discounts", ["account", *newest], schema=SCHEMA)
    op.create_index("personal_discounts_granted_at_idx", "personal_discounts", newest, schema=SCHEMA)


def _months_discounts() -> None:
    op.create_table(
        "months_discounts",
        _text("id", primary_key=True),
        sa.Column("steps", JSONB, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )


def _promo_codes() -> None:
    op.create_table(
        "promo_codes",
        _text("code", primary_key=True),
        sa.Column("basis_points", sa.Integer),
        sa.Column("amount", sa.BigInteger),
        _text("currency", nullable=True),
        sa.Column("products", JSONB, nullable=False),
        sa.Column("months_min", sa.Integer),
        _moment("valid_from", nullable=True),
        _moment("valid_until", nullable=True),
        sa.Column("uses_max", sa.Integer),
        sa.Column("uses_per_account_max", sa.Integer),
        sa.Column("active", sa.Boolean, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )


def _promo_uses() -> None:
    op.create_table(
        "promo_uses",
        _text("order_id", primary_key=True),
        _text("account"),
        _text("code"),
        sa.Column("is_limited", sa.Boolean, nullable=False),
        _text("status"),
        _text("refusal", nullable=True),
        _moment("asked_at"),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("promo_uses_account_code_idx", "promo_uses", ["account", "code"], schema=SCHEMA)
    columns: list[str | sa.TextClause] = ["code", sa.text("asked_at DESC"), sa.text("order_id DESC")]
    op.create_index("promo_uses_code_asked_at_idx", "promo_uses", columns, schema=SCHEMA)


def _grants() -> None:
    op.create_table(
        "grants",
        _text("account"),
        _text("resource"),
        _moment("until", nullable=True),
        _text("reason"),
        _moment("given_at"),
        _text("given_by"),
        _moment("ended_at", nullable=True),
        _text("ended_because", nullable=True),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "resource", name="grants_pkey"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = [sa.text(f"{name} DESC") for name in ("given_at", "account", "resource")]
    op.create_index("grants_given_at_idx", "grants", columns, schema=SCHEMA)


def _history(name: str) -> None:
    op.create_table(
        f"{name}_history",
        _text("account"),
        _text("entity_id"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        _text("event_id"),
        _text("event_type"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        _moment("at"),
        _text("actor"),
        _text("command_id"),
        sa.Column("changes", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("account", "entity_id", "sequence", name=f"{name}_history_pkey"),
        schema=SCHEMA,
    )
