"""Customers' balances with their history, and what an order used of one.

Read models are folds of the log: whatever rows are there are thrown away and folded anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "billing"
KEPT = ("migrations",)


def upgrade() -> None:
    """Add the tables and the column, and let the projector fold everything anew."""
    _start_again()
    op.add_column("orders", sa.Column("balance_used", sa.BigInteger, nullable=False), schema=SCHEMA)
    op.create_table(
        "balances",
        _text("account"),
        _text("currency"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("account", "currency", name="balances_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "balances_history",
        _text("account"),
        _text("entity_id"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        _text("event_id"),
        _text("event_type"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        _moment("at"),
        _text("actor"),
        _text("command_id"),
        sa.Column("changes", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("account", "entity_id", "sequence", name="balances_history_pkey"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Go back; the log makes the tables anew."""
    for name in ("balances", "balances_history"):
        op.drop_table(name, schema=SCHEMA)
    op.drop_column("orders", "balance_used", schema=SCHEMA)
    _start_again()


def _start_again() -> None:
    """Throw every read model away that there is by now, with the positions up to which they were folded."""
    names = sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = :schema")
    for (name,) in op.get_bind().execute(names, {"schema": SCHEMA}).fetchall():
        if name not in KEPT:
            op.execute(f'TRUNCATE {SCHEMA}."{name}"')


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
