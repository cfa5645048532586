"""Queue and history, kept in SQLite."""
