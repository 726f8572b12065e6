"""What renewals and refunds show: saved methods, refunds, and the columns that they add to what was there.

Read models are folds of the log: where rows of the first release are there, they are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from infra.postgres.migrations.steps import SCHEMA, history, moment, start_again, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    start_again()
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
        history(name)


def downgrade() -> None:
    """Go back to the first release; the log makes its tables anew."""
    for name in ("refunds", "refunds_history", "payment_methods", "payment_methods_history"):
        op.drop_table(name, schema=SCHEMA)
    for name in ("title", "is_past_due", "renewal_failure", "access_end", "renew_at"):
        op.drop_column("subscriptions", name, schema=SCHEMA)
    for name in ("refunded", "refunding"):
        op.drop_column("payments", name, schema=SCHEMA)
    op.drop_column("orders", "purpose", schema=SCHEMA)
    start_again()


def _refunds() -> None:
    op.create_table(
        "refunds",
        text("id", primary_key=True),
        text("account"),
        text("payment_id"),
        text("order_id"),
        text("status"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        text("currency"),
        text("reason"),
        text("rule"),
        text("requested_by"),
        text("reference", nullable=True),
        text("failure_reason", nullable=True),
        moment("requested_at"),
        moment("updated_at"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = ["account", sa.text("requested_at DESC"), sa.text("id DESC")]
    op.create_index("refunds_account_requested_at_idx", "refunds", columns, schema=SCHEMA)


def _payment_methods() -> None:
    op.create_table(
        "payment_methods",
        text("account"),
        text("id"),
        text("provider"),
        text("label", nullable=True),
        moment("saved_at"),
        moment("removed_at", nullable=True),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "id", name="payment_methods_pkey"),
        schema=SCHEMA,
    )
