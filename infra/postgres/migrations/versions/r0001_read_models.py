"""Read models, their histories and the positions up to which they are folded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA, history, moment, number, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HISTORIES = ("orders", "payments", "subscriptions", "entitlements", "products", "commands", "customers")
TABLES = (
    "positions",
    "orders",
    "payments",
    "subscriptions",
    "entitlements",
    "products",
    "prices",
    "commands",
    "customers",
    "customers_paid",
    *(f"{name}_history" for name in HISTORIES),
)


def upgrade() -> None:
    """Make all tables of the first release."""
    _positions()
    _orders()
    _payments()
    _subscriptions()
    _entitlements()
    _products()
    _commands()
    _customers()
    for name in HISTORIES:
        history(name)


def downgrade() -> None:
    """Drop them; the log makes them anew."""
    for name in reversed(TABLES):
        op.drop_table(name, schema=SCHEMA)


def _positions() -> None:
    op.create_table(
        "positions",
        text("topic"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="positions_pkey"),
        schema=SCHEMA,
    )


def _orders() -> None:
    op.create_table(
        "orders",
        text("id", primary_key=True),
        text("account"),
        text("payment_id"),
        text("status"),
        text("currency"),
        number("subtotal"),
        number("discount"),
        number("total"),
        sa.Column("auto_renew", sa.Boolean, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        text("failure_reason", nullable=True),
        moment("placed_at"),
        moment("paid_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("orders", "placed_at")


def _payments() -> None:
    op.create_table(
        "payments",
        text("id", primary_key=True),
        text("account"),
        text("order_id"),
        text("status"),
        number("amount"),
        text("currency"),
        text("provider"),
        text("reference", nullable=True),
        text("confirmation_url", nullable=True),
        text("decline_reason", nullable=True),
        text("failure_reason", nullable=True),
        text("method_label", nullable=True),
        moment("created_at"),
        moment("expires_at"),
        moment("paid_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("payments", "created_at")


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        text("id", primary_key=True),
        text("account"),
        text("order_id"),
        text("product_id"),
        text("price_id"),
        number("amount"),
        text("currency"),
        sa.Column("period_count", sa.Integer, nullable=False),
        text("period_unit"),
        text("resource"),
        text("status"),
        sa.Column("auto_renew", sa.Boolean, nullable=False),
        moment("anchor"),
        moment("period_start"),
        moment("period_end"),
        moment("ended_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("subscriptions", "anchor")


def _entitlements() -> None:
    op.create_table(
        "entitlements",
        text("account"),
        text("resource"),
        moment("until", nullable=True),
        text("reason"),
        text("order_id"),
        text("subscription_id", nullable=True),
        moment("ended_at", nullable=True),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "resource", name="entitlements_pkey"),
        schema=SCHEMA,
    )


def _products() -> None:
    op.create_table(
        "products",
        text("id", primary_key=True),
        text("kind"),
        text("title"),
        text("description"),
        text("role", nullable=True),
        sa.Column("validity_days", sa.Integer),
        sa.Column("active", sa.Boolean, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_table(
        "prices",
        text("id", primary_key=True),
        text("product_id"),
        number("amount"),
        text("currency"),
        sa.Column("period_count", sa.Integer),
        text("period_unit", nullable=True),
        sa.Column("active", sa.Boolean, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("prices_product_id_idx", "prices", ["product_id"], schema=SCHEMA)


def _commands() -> None:
    op.create_table(
        "commands",
        text("id", primary_key=True),
        text("account"),
        text("type"),
        text("status"),
        text("body_hash", nullable=True),
        sa.Column("resources", JSONB),
        text("code", nullable=True),
        text("detail", nullable=True),
        sa.Column("facts", JSONB),
        sa.Column("position_partition", sa.Integer),
        sa.Column("position_offset", sa.BigInteger),
        text("correlation_id"),
        moment("received_at", nullable=True),
        moment("decided_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )


def _customers() -> None:
    op.create_table(
        "customers",
        text("account", primary_key=True),
        moment("first_seen"),
        moment("last_seen"),
        sa.Column("orders", sa.BigInteger, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_table(
        "customers_paid",
        text("account"),
        text("currency"),
        number("amount"),
        sa.Column("payments", sa.BigInteger, nullable=False),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "currency", name="customers_paid_pkey"),
        schema=SCHEMA,
    )


def _newest_first(table: str, column: str) -> None:
    """The index behind a page of an account's list."""
    columns: list[str | sa.TextClause] = ["account", sa.text(f"{column} DESC"), sa.text("id DESC")]
    op.create_index(f"{table}_account_{column}_idx", table, columns, schema=SCHEMA)
