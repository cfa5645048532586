"""Plain values and texts."""
