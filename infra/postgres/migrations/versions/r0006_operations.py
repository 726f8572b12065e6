"""What operations look at: what accounts wait for and by when, and every event with its body, by account.

Read models are folds of the log: the rows that are there are thrown away and folded anew, so that the new tables have
everything from the beginning.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "billing"
KEPT = ("migrations",)


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    op.create_table(
        "deadlines",
        _text("id", primary_key=True),
        _text("account"),
        _text("noun"),
        _text("subject"),
        _text("asked", nullable=True),
        _text("call", nullable=True),
        sa.Column("attempt", sa.Integer),
        *(_moment(name) for name in ("asked_at", "repeat_at", "silent_since", "look_at", "end_at", "paused_until")),
        _moment("updated_at", nullable=False),
        schema=SCHEMA,
    )
    next_at = sa.text("LEAST(asked_at, repeat_at, silent_since, look_at, end_at, paused_until)")
    op.create_index("deadlines_next_idx", "deadlines", [next_at], schema=SCHEMA)
    op.create_table(
        "account_events",
        _text("account"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        _text("id"),
        _text("type"),
        _moment("at", nullable=False),
        _text("actor"),
        _text("command_id"),
        _text("correlation_id"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        _text("body"),
        sa.PrimaryKeyConstraint("account", "sequence", name="account_events_pkey"),
        schema=SCHEMA,
    )
    op.add_column("commands", sa.Column("received_offset", sa.BigInteger), schema=SCHEMA)
    is_pending = sa.text("status = 'pending'")
    op.create_index("commands_pending_idx", "commands", ["received_at"], schema=SCHEMA, postgresql_where=is_pending)
    _start_again()


def downgrade() -> None:
    """Take them away; everything else stays as it is folded."""
    op.drop_index("commands_pending_idx", "commands", schema=SCHEMA)
    op.drop_column("commands", "received_offset", schema=SCHEMA)
    op.drop_table("account_events", schema=SCHEMA)
    op.drop_table("deadlines", schema=SCHEMA)


def _start_again() -> None:
    """Empty every table there is, those of migrations before this one that are written after it among them."""
    names = sa.inspect(op.get_bind()).get_table_names(schema=SCHEMA)
    listed = ", ".join(f'{SCHEMA}."{name}"' for name in sorted(names) if name not in KEPT)
    op.execute(f"TRUNCATE {listed}")


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
