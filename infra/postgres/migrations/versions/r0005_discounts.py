"""What managers give: discounts, promo codes with their uses, access; why an order costs less; who sent a command.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA, history, moment, start_again, text

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

NEWEST_FIRST = {"orders": "placed_at", "payments": "created_at", "refunds": "requested_at"}
"""Managers list these of all accounts at once."""
TABLES = ("personal_discounts", "months_discounts", "promo_codes", "promo_uses", "grants")


def upgrade() -> None:
    """Add the tables and the column, and let the projector fold everything anew."""
    start_again()
    op.add_column("orders", sa.Column("applied", JSONB), schema=SCHEMA)
    op.add_column("commands", text("actor"), schema=SCHEMA)
    for table, column in NEWEST_FIRST.items():
        columns: list[str | sa.TextClause] = [sa.text(f"{column} DESC"), sa.text("id DESC")]
        op.create_index(f"{table}_{column}_idx", table, columns, schema=SCHEMA)
    _personal_discounts()
    _months_discounts()
    _promo_codes()
    _promo_uses()
    _grants()
    for name in TABLES:
        history(name)


def downgrade() -> None:
    """Go back; the log makes the tables anew."""
    for name in TABLES:
        op.drop_table(f"{name}_history", schema=SCHEMA)
        op.drop_table(name, schema=SCHEMA)
    for table, column in NEWEST_FIRST.items():
        op.drop_index(f"{table}_{column}_idx", table, schema=SCHEMA)
    op.drop_column("commands", "actor", schema=SCHEMA)
    op.drop_column("orders", "applied", schema=SCHEMA)
    start_again()


def _personal_discounts() -> None:
    op.create_table(
        "personal_discounts",
        text("id", primary_key=True),
        text("account"),
        sa.Column("basis_points", sa.Integer, nullable=False),
        text("reason"),
        sa.Column("products", JSONB, nullable=False),
        moment("valid_from", nullable=True),
        moment("valid_until", nullable=True),
        moment("granted_at"),
        text("granted_by"),
        moment("revoked_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )
    newest: list[str | sa.TextClause] = [sa.text("granted_at DESC"), sa.text("id DESC")]
    name = "personal_discounts_account_granted_at_idx"
    op.create_index(name, "personal_discounts", ["account", *newest], schema=SCHEMA)
    op.create_index("personal_discounts_granted_at_idx", "personal_discounts", newest, schema=SCHEMA)


def _months_discounts() -> None:
    op.create_table(
        "months_discounts",
        text("id", primary_key=True),
        sa.Column("steps", JSONB, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )


def _promo_codes() -> None:
    op.create_table(
        "promo_codes",
        text("code", primary_key=True),
        sa.Column("basis_points", sa.Integer),
        sa.Column("amount", sa.BigInteger),
        text("currency", nullable=True),
        sa.Column("products", JSONB, nullable=False),
        sa.Column("months_min", sa.Integer),
        moment("valid_from", nullable=True),
        moment("valid_until", nullable=True),
        sa.Column("uses_max", sa.Integer),
        sa.Column("uses_per_account_max", sa.Integer),
        sa.Column("active", sa.Boolean, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )


def _promo_uses() -> None:
    op.create_table(
        "promo_uses",
        text("order_id", primary_key=True),
        text("account"),
        text("code"),
        sa.Column("is_limited", sa.Boolean, nullable=False),
        text("status"),
        text("refusal", nullable=True),
        moment("asked_at"),
        moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("promo_uses_account_code_idx", "promo_uses", ["account", "code"], schema=SCHEMA)
    columns: list[str | sa.TextClause] = ["code", sa.text("asked_at DESC"), sa.text("order_id DESC")]
    op.create_index("promo_uses_code_asked_at_idx", "promo_uses", columns, schema=SCHEMA)


def _grants() -> None:
    op.create_table(
        "grants",
        text("account"),
        text("resource"),
        moment("until", nullable=True),
        text("reason"),
        moment("given_at"),
        text("given_by"),
        moment("ended_at", nullable=True),
        text("ended_because", nullable=True),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "resource", name="grants_pkey"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = [sa.text(f"{name} DESC") for name in ("given_at", "account", "resource")]
    op.create_index("grants_given_at_idx", "grants", columns, schema=SCHEMA)
