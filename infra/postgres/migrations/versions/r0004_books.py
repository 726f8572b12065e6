"""The books: postings, the schedules that time earns by, and the sales that the next entry is written from.

They are a fold of the whole log, so everything that was folded before is thrown away and folded anew with them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "billing"
TABLES = ("ledger_postings", "ledger_schedules", "ledger_sales")


def upgrade() -> None:
    """Add the tables, and let the projector fold everything anew."""
    _start_again()
    _postings()
    _schedules()
    _sales()
    op.create_index("payments_order_id_idx", "payments", ["order_id"], schema=SCHEMA)


def downgrade() -> None:
    """Drop them; what is left stays as it was folded."""
    op.drop_index("payments_order_id_idx", "payments", schema=SCHEMA)
    for name in TABLES:
        op.drop_table(name, schema=SCHEMA)


def _start_again() -> None:
    """Empty whatever is folded, and the positions with it."""
    names = op.get_bind().execute(
        sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema AND tablename <> 'migrations'"),
        {"schema": SCHEMA},
    )
    for (name,) in names.fetchall():
        op.execute(f'TRUNCATE {SCHEMA}."{name}"')


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _postings() -> None:
    op.create_table(
        "ledger_postings",
        _text("account"),
        _number("sequence"),
        sa.Column("number", sa.Integer, nullable=False),
        _text("event_id"),
        _text("event_type"),
        sa.Column("partition", sa.Integer, nullable=False),
        _number("offset"),
        _moment("at"),
        _text("actor"),
        _text("command_id"),
        _text("order_id", nullable=True),
        _text("debit"),
        _text("credit"),
        _number("amount"),
        _text("currency"),
        sa.PrimaryKeyConstraint("account", "sequence", "number", name="ledger_postings_pkey"),
        sa.CheckConstraint("amount > 0", name="ledger_postings_amount_check"),
        sa.CheckConstraint("debit <> credit", name="ledger_postings_legs_check"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = [sa.text("at DESC"), sa.text("account DESC"), sa.text("sequence DESC")]
    op.create_index("ledger_postings_at_idx", "ledger_postings", columns, schema=SCHEMA)


def _schedules() -> None:
    op.create_table(
        "ledger_schedules",
        _text("id", primary_key=True),
        _text("account"),
        _text("order_id"),
        _text("resource"),
        _text("subscription_id", nullable=True),
        _text("debit"),
        _text("credit"),
        _number("amount"),
        _number("monthly"),
        _text("currency"),
        _moment("starts_at"),
        _moment("ends_at"),
        _moment("since"),
        _moment("until", nullable=True),
        _moment("updated_at"),
        sa.CheckConstraint("amount > 0", name="ledger_schedules_amount_check"),
        sa.CheckConstraint("debit <> credit", name="ledger_schedules_legs_check"),
        sa.CheckConstraint("starts_at < ends_at", name="ledger_schedules_span_check"),
        schema=SCHEMA,
    )
    op.create_index("ledger_schedules_account_idx", "ledger_schedules", ["account"], schema=SCHEMA)
    op.create_index("ledger_schedules_ends_at_idx", "ledger_schedules", ["ends_at"], schema=SCHEMA)


def _sales() -> None:
    op.create_table(
        "ledger_sales",
        _text("order_id", primary_key=True),
        _text("account"),
        _moment("open_until", nullable=True),
        sa.Column("state", JSONB, nullable=False),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("ledger_sales_account_idx", "ledger_sales", ["account", "open_until"], schema=SCHEMA)
