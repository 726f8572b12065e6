"""What operations look at: what accounts wait for and by when, and every event with its body, by account.

Read models are folds of the log: the rows that are there are thrown away and folded anew, so that the new tables have
everything from the beginning.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from infra.postgres.migrations.steps import SCHEMA, moment, start_again, text

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    op.create_table(
        "deadlines",
        text("id", primary_key=True),
        text("account"),
        text("noun"),
        text("subject"),
        text("asked", nullable=True),
        text("call", nullable=True),
        sa.Column("attempt", sa.Integer),
        *(
            moment(name, nullable=True)
            for name in ("asked_at", "repeat_at", "silent_since", "look_at", "end_at", "paused_until")
        ),
        moment("updated_at"),
        schema=SCHEMA,
    )
    next_at = sa.text("LEAST(asked_at, repeat_at, silent_since, look_at, end_at, paused_until)")
    op.create_index("deadlines_next_idx", "deadlines", [next_at], schema=SCHEMA)
    op.create_table(
        "account_events",
        text("account"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        text("id"),
        text("type"),
        moment("at"),
        text("actor"),
        text("command_id"),
        text("correlation_id"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        text("body"),
        sa.PrimaryKeyConstraint("account", "sequence", name="account_events_pkey"),
        schema=SCHEMA,
    )
    op.add_column("commands", sa.Column("received_offset", sa.BigInteger), schema=SCHEMA)
    is_pending = sa.text("status = 'pending'")
    op.create_index("commands_pending_idx", "commands", ["received_at"], schema=SCHEMA, postgresql_where=is_pending)
    start_again()


def downgrade() -> None:
    """Take them away; everything else stays as it is folded."""
    op.drop_index("commands_pending_idx", "commands", schema=SCHEMA)
    op.drop_column("commands", "received_offset", schema=SCHEMA)
    op.drop_table("account_events", schema=SCHEMA)
    op.drop_table("deadlines", schema=SCHEMA)
