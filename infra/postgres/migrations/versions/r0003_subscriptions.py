"""What trials, pauses and changes of plan show: columns of subscriptions, the credit of orders, trials of prices.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "billing"
SUBSCRIPTION_COLUMNS = ("units", "is_trial", "paused_at", "resume_by", "planned")


def upgrade() -> None:
    """Add the columns, and let the projector fold everything anew."""
    _start_again()
    for column in (
        sa.Column("units", sa.Integer, nullable=False),
        sa.Column("is_trial", sa.Boolean, nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True)),
        sa.Column("resume_by", sa.DateTime(timezone=True)),
        sa.Column("planned", JSONB),
    ):
        op.add_column("subscriptions", column, schema=SCHEMA)
    op.add_column("orders", sa.Column("credit", sa.BigInteger), schema=SCHEMA)
    op.add_column("prices", sa.Column("trial_days", sa.Integer), schema=SCHEMA)
    op.create_index("subscriptions_price_id_idx", "subscriptions", ["price_id", "id"], schema=SCHEMA)


def downgrade() -> None:
    """Go back; the log makes the tables anew."""
    op.drop_index("subscriptions_price_id_idx", "subscriptions", schema=SCHEMA)
    for name in SUBSCRIPTION_COLUMNS:
        op.drop_column("subscriptions", name, schema=SCHEMA)
    op.drop_column("orders", "credit", schema=SCHEMA)
    op.drop_column("prices", "trial_days", schema=SCHEMA)
    _start_again()


def _start_again() -> None:
    """Forget every row of the read side, so that the projector begins at the start of the log."""
    for name in sa.inspect(op.get_bind()).get_table_names(schema=SCHEMA):
        if name != "migrations":
            op.execute(f'TRUNCATE {SCHEMA}."{name}"')
