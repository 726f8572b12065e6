"""The books: postings, the schedules that time earns by, and the sales that the next entry is written from.

They are a fold of the whole log, so everything that was folded before is thrown away and folded anew with them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA, moment, number, start_again, text

revision = "0004"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("ledger_postings", "ledger_schedules", "ledger_sales")


def upgrade() -> None:
    """Add the tables, and let the projector fold everything anew."""
    start_again()
    _postings()
    _schedules()
    _sales()
    op.create_index("payments_order_id_idx", "payments", ["order_id"], schema=SCHEMA)


def downgrade() -> None:
    """Drop them; what is left stays as it was folded."""
    op.drop_index("payments_order_id_idx", "payments", schema=SCHEMA)
    for name in TABLES:
        op.drop_table(name, schema=SCHEMA)


def _postings() -> None:
    op.create_table(
        "ledger_postings",
        text("account"),
        number("sequence"),
        sa.Column("number", sa.Integer, nullable=False),
        text("event_id"),
        text("event_type"),
        sa.Column("partition", sa.Integer, nullable=False),
        number("offset"),
        moment("at"),
        text("actor"),
        text("command_id"),
        text("order_id", nullable=True),
        text("debit"),
        text("credit"),
        number("amount"),
        text("currency"),
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
        text("id", primary_key=True),
        text("account"),
        text("order_id"),
        text("resource"),
        text("subscription_id", nullable=True),
        text("debit"),
        text("credit"),
        number("amount"),
        number("monthly"),
        text("currency"),
        moment("starts_at"),
        moment("ends_at"),
        moment("since"),
        moment("until", nullable=True),
        moment("updated_at"),
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
        text("order_id", primary_key=True),
        text("account"),
        moment("open_until", nullable=True),
        sa.Column("state", JSONB, nullable=False),
        moment("updated_at"),
        schema=SCHEMA,
    )
    op.create_index("ledger_sales_account_idx", "ledger_sales", ["account", "open_until"], schema=SCHEMA)
