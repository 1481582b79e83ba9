"""How Alembic runs the migrations: on the connection it is handed."""

from alembic import context

from samovar.server.db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
