"""What disputes show, and what tells how much of a payment may be given back.

Read models are folds of the log: what is there is thrown away and folded anew, with the columns that are new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA, history, moment, start_again, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    start_again()
    op.add_column("payments", sa.Column("disputed", sa.BigInteger, nullable=False), schema=SCHEMA)
    op.add_column("subscriptions", sa.Column("paid", JSONB, nullable=False), schema=SCHEMA)
    op.add_column("refunds", sa.Column("ends_access", sa.Boolean, nullable=False), schema=SCHEMA)
    op.add_column("refunds", moment("reversed_at", nullable=True), schema=SCHEMA)
    op.create_table(
        "disputes",
        text("id", primary_key=True),
        text("account"),
        text("payment_id"),
        text("order_id"),
        text("provider"),
        text("reference"),
        text("status"),
        sa.Column("is_inquiry", sa.Boolean, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        text("currency"),
        text("reason"),
        text("access"),
        moment("evidence_due_at", nullable=True),
        moment("opened_at"),
        moment("closed_at", nullable=True),
        moment("updated_at"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = [sa.text("opened_at DESC"), sa.text("id DESC")]
    op.create_index("disputes_opened_at_idx", "disputes", columns, schema=SCHEMA)
    op.create_index("disputes_account_idx", "disputes", ["account"], schema=SCHEMA)
    history("disputes")


def downgrade() -> None:
    """Go back."""
    for name in ("disputes", "disputes_history"):
        op.drop_table(name, schema=SCHEMA)
    for table, name in (
        ("refunds", "reversed_at"),
        ("refunds", "ends_access"),
        ("subscriptions", "paid"),
        ("payments", "disputed"),
    ):
        op.drop_column(table, name, schema=SCHEMA)
    start_again()
