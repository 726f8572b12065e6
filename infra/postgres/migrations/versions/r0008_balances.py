"""Customers' balances with their history, and what an order used of one.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from infra.postgres.migrations.steps import SCHEMA, history, moment, number, start_again, text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the column, and let the projector fold everything anew."""
    start_again()
    op.add_column("orders", number("balance_used"), schema=SCHEMA)
    op.create_table(
        "balances",
        text("account"),
        text("currency"),
        number("amount"),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "currency", name="balances_pkey"),
        schema=SCHEMA,
    )
    history("balances")


def downgrade() -> None:
    """Go back; the log makes the tables anew."""
    for name in ("balances", "balances_history"):
        op.drop_table(name, schema=SCHEMA)
    op.drop_column("orders", "balance_used", schema=SCHEMA)
    start_again()
