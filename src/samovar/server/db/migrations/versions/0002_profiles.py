"""What accounts say of themselves: a few sentences and a picture."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "avatars",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_avatars_account_id_accounts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_avatars")),
    )
    # `ADD COLUMN`, not a new table: other tables refer to this one.
    op.add_column("accounts", sa.Column("bio", sa.String(length=500), nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    op.drop_column("accounts", "bio")
    op.drop_table("avatars")
