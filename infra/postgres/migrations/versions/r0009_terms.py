"""The terms that a product has of its own, and those that a subscription was agreed on.

Events from before there were terms have none, and neither have the rows that they made: nothing is folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.steps import SCHEMA

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("products", "subscriptions")


def upgrade() -> None:
    """Add the columns."""
    for table in TABLES:
        op.add_column(table, sa.Column("terms", JSONB), schema=SCHEMA)


def downgrade() -> None:
    """Take them away."""
    for table in TABLES:
        op.drop_column(table, "terms", schema=SCHEMA)
