"""The search index: in memory, derived from the database, and brought up to date by its change numbers."""
