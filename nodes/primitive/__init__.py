"""Plain values and texts as nodes."""
