"""The queue and the history, stored in SQLite."""
