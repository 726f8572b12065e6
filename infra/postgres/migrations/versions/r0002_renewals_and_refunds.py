"""What renewals and refunds show: saved methods, refunds, and the columns that they add to what was there.

Read models are folds of the log: where rows of the first release are there, they are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "billing"
FOLDED = (
    "orders",
    "payments",
    "subscriptions",
    "entitlements",
    "products",
    "prices",
    "commands",
    "customers",
    "customers_paid",
)
HISTORIES = ("orders", "payments", "subscriptions", "entitlements", "products", "commands", "customers")


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    _start_again()
    op.add_column("orders", sa.Column("purpose", sa.Text, nullable=False), schema=SCHEMA)
    for name in ("refunded", "refunding"):
        op.add_column("payments", sa.Column(name, sa.BigInteger, nullable=False), schema=SCHEMA)
    for column in (
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("is_past_due", sa.Boolean, nullable=False),
        sa.Column("renewal_failure", sa.Text),
        sa.Column("access_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renew_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("subscriptions", column, schema=SCHEMA)
    _refunds()
    _payment_methods()
    for name in ("refunds", "payment_methods"):
        _history(name)


def downgrade() -> None:
    """Go back to the first release; the log makes its tables anew."""
    for name in ("refunds", "refunds_history", "payment_methods", "payment_methods_history"):
        op.drop_table(name, schema=SCHEMA)
    for name in ("title", "is_past_due", "renewal_failure", "access_end", "renew_at"):
        op.drop_column("subscriptions", name, schema=SCHEMA)
    for name in ("refunded", "refunding"):
        op.drop_column("payments", name, schema=SCHEMA)
    op.drop_column("orders", "purpose", schema=SCHEMA)
    _start_again()


def _start_again() -> None:
    for name in (*FOLDED, *(f"{history}_history" for history in HISTORIES), "positions"):
        op.execute(f'TRUNCATE {SCHEMA}."{name}"')


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _refunds() -> None:
    op.create_table(
        "refunds",
        _text("id", primary_key=True),
        _text("account"),
        _text("payment_id"),
        _text("order_id"),
        _text("status"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        _text("currency"),
        _text("reason"),
        _text("rule"),
        _text("requested_by"),
        _text("reference", nullable=True),
        _text("failure_reason", nullable=True),
        _moment("requested_at"),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = ["account", sa.text("requested_at DESC"), sa.text("id DESC")]
    op.create_index("refunds_account_requested_at_idx", "refunds", columns, schema=SCHEMA)


def _payment_methods() -> None:
    op.create_table(
        "payment_methods",
        _text("account"),
        _text("id"),
        _text("provider"),
        _text("label", nullable=True),
        _moment("saved_at"),
        _moment("removed_at", nullable=True),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "id", name="payment_methods_pkey"),
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
