"""Read models, their histories and the positions up to which they are folded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "billing"
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
        _history(name)


def downgrade() -> None:
    """Drop them; the log makes them anew."""
    for name in reversed(TABLES):
        op.drop_table(name, schema=SCHEMA)


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _amount(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _positions() -> None:
    op.create_table(
        "positions",
        _text("topic"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="positions_pkey"),
        schema=SCHEMA,
    )


def _orders() -> None:
    op.create_table(
        "orders",
        _text("id", primary_key=True),
        _text("account"),
        _text("payment_id"),
        _text("status"),
        _text("currency"),
        _amount("subtotal"),
        _amount("discount"),
        _amount("total"),
        sa.Column("auto_renew", sa.Boolean, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        _text("failure_reason", nullable=True),
        _moment("placed_at"),
        _moment("paid_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("orders", "placed_at")


def _payments() -> None:
    op.create_table(
        "payments",
        _text("id", primary_key=True),
        _text("account"),
        _text("order_id"),
        _text("status"),
        _amount("amount"),
        _text("currency"),
        _text("provider"),
        _text("reference", nullable=True),
        _text("confirmation_url", nullable=True),
        _text("decline_reason", nullable=True),
        _text("failure_reason", nullable=True),
        _text("method_label", nullable=True),
        _moment("created_at"),
        _moment("expires_at"),
        _moment("paid_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("payments", "created_at")


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        _text("id", primary_key=True),
        _text("account"),
        _text("order_id"),
        _text("product_id"),
        _text("price_id"),
        _amount("amount"),
        _text("currency"),
        sa.Column("period_count", sa.Integer, nullable=False),
        _text("period_unit"),
        _text("resource"),
        _text("status"),
        sa.Column("auto_renew", sa.Boolean, nullable=False),
        _moment("anchor"),
        _moment("period_start"),
        _moment("period_end"),
        _moment("ended_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    _newest_first("subscriptions", "anchor")


def _entitlements() -> None:
    op.create_table(
        "entitlements",
        _text("account"),
        _text("resource"),
        _moment("until", nullable=True),
        _text("reason"),
        _text("order_id"),
        _text("subscription_id", nullable=True),
        _moment("ended_at", nullable=True),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "resource", name="entitlements_pkey"),
        schema=SCHEMA,
    )


def _products() -> None:
    op.create_table(
        "products",
        _text("id", primary_key=True),
        _text("kind"),
        _text("title"),
        _text("description"),
        _text("role", nullable=True),
        sa.Column("validity_days", sa.Integer),
        sa.Column("active", sa.Boolean, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_table(
        "prices",
        _text("id", primary_key=True),
        _text("product_id"),
        _amount("amount"),
        _text("currency"),
        sa.Column("period_count", sa.Integer),
        _text("period_unit", nullable=True),
        sa.Column("active", sa.Boolean, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("prices_product_id_idx", "prices", ["product_id"], schema=SCHEMA)


def _commands() -> None:
    op.create_table(
        "commands",
        _text("id", primary_key=True),
        _text("account"),
        _text("type"),
        _text("status"),
        _text("body_hash", nullable=True),
        sa.Column("resources", JSONB),
        _text("code", nullable=True),
        _text("detail", nullable=True),
        sa.Column("facts", JSONB),
        sa.Column("position_partition", sa.Integer),
        sa.Column("position_offset", sa.BigInteger),
        _text("correlation_id"),
        _moment("received_at", nullable=True),
        _moment("decided_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )


def _customers() -> None:
    op.create_table(
        "customers",
        _text("account", primary_key=True),
        _moment("first_seen"),
        _moment("last_seen"),
        sa.Column("orders", sa.BigInteger, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_table(
        "customers_paid",
        _text("account"),
        _text("currency"),
        _amount("amount"),
        sa.Column("payments", sa.BigInteger, nullable=False),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "currency", name="customers_paid_pkey"),
        schema=SCHEMA,
    )


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


def _newest_first(table: str, moment: str) -> None:
    """The index behind a page of an account's list."""
    columns: list[str | sa.TextClause] = ["account", sa.text(f"{moment} DESC"), sa.text("id DESC")]
    op.create_index(f"{table}_account_{moment}_idx", table, columns, schema=SCHEMA)
