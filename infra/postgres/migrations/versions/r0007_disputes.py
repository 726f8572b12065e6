"""What disputes show, and what tells how much of a payment may be given back.

Read models are folds of the log: what is there is thrown away and folded anew, with the columns that are new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "billing"
KEPT = frozenset({"migrations"})


def upgrade() -> None:
    """Add the tables and columns, and let the projector fold everything anew."""
    _start_again()
    op.add_column("payments", sa.Column("disputed", sa.BigInteger, nullable=False), schema=SCHEMA)
    op.add_column("subscriptions", sa.Column("paid", JSONB, nullable=False), schema=SCHEMA)
    op.add_column("refunds", sa.Column("ends_access", sa.Boolean, nullable=False), schema=SCHEMA)
    op.add_column("refunds", _moment("reversed_at", nullable=True), schema=SCHEMA)
    op.create_table(
        "disputes",
        _text("id", primary_key=True),
        _text("account"),
        _text("payment_id"),
        _text("order_id"),
        _text("provider"),
        _text("reference"),
        _text("status"),
        sa.Column("is_inquiry", sa.Boolean, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        _text("currency"),
        _text("reason"),
        _text("access"),
        _moment("evidence_due_at", nullable=True),
        _moment("opened_at"),
        _moment("closed_at", nullable=True),
        _moment("updated_at"),
        schema=SCHEMA,
    )
    columns: list[str | sa.TextClause] = [sa.text("opened_at DESC"), sa.text("id DESC")]
    op.create_index("disputes_opened_at_idx", "disputes", columns, schema=SCHEMA)
    op.create_index("disputes_account_idx", "disputes", ["account"], schema=SCHEMA)
    _history("disputes")


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
    _start_again()


def _start_again() -> None:
    """Throw every read model away that there is by now, with the positions up to which they were folded."""
    names = sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = :schema")
    for (name,) in op.get_bind().execute(names, {"schema": SCHEMA}).fetchall():
        if name not in KEPT:
            op.execute(f'TRUNCATE {SCHEMA}."{name}"')


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _history(name: str) -> None:
    op.create_table(
        f"{name}_history",
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
        sa.PrimaryKeyConstraint("account", "entity_id", "sequence", name=f"{name}_history_pkey"),
        schema=SCHEMA,
    )
