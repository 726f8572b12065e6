"""What became of the access of each refund: what may be given back still depends on it.

Read models are folds of the log: what is there is thrown away and folded anew, with the column that is new.
"""

from __future__ import annotations

from alembic import op

from infra.postgres.migrations.steps import SCHEMA, start_again, text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and let the projector fold everything anew."""
    start_again()
    op.add_column("refunds", text("access"), schema=SCHEMA)


def downgrade() -> None:
    """Take it away."""
    op.drop_column("refunds", "access", schema=SCHEMA)
