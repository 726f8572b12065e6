"""What the migrations say again and again: columns, the table of a history, and that everything is folded anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "billing"
VERSION_TABLE = "migrations"
"""The one table that no log can make anew."""


def text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    """Return a column of text, without a limit as all of ours are."""
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary_key)


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    """Return a column of moments in UTC."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def number(name: str) -> sa.Column[int]:
    """Return a column of amounts in minor units, of sequence numbers or of offsets: they outgrow 32 bits."""
    return sa.Column(name, sa.BigInteger, nullable=False)


def history(name: str) -> None:
    """Make the history of the table `name`: one line for each event that changed a row of it."""
    op.create_table(
        f"{name}_history",
        text("account"),
        text("entity_id"),
        number("sequence"),
        text("event_id"),
        text("event_type"),
        sa.Column("partition", sa.Integer, nullable=False),
        number("offset"),
        moment("at"),
        text("actor"),
        text("command_id"),
        sa.Column("changes", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("account", "entity_id", "sequence", name=f"{name}_history_pkey"),
        schema=SCHEMA,
    )


def start_again() -> None:
    """Empty every table that there is by now, the positions among them: the projector folds the log from its start."""
    names = sa.inspect(op.get_bind()).get_table_names(schema=SCHEMA)
    listed = ", ".join(f'{SCHEMA}."{name}"' for name in sorted(names) if name != VERSION_TABLE)
    if listed:
        op.execute(f"TRUNCATE {listed}")
