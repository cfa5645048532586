"""The nodes for plain values and texts."""
