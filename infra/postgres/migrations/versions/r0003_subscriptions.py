"""What trials, pauses and changes of plan show: columns of subscriptions, the credit of orders, trials of prices.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA, start_again

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SUBSCRIPTION_COLUMNS = ("units", "is_trial", "paused_at", "resume_by", "planned")


def upgrade() -> None:
    """Add the columns, and let the projector fold everything anew."""
    start_again()
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
    start_again()
