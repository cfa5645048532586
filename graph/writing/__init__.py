"""Writes workflows: as editor documents, as Python scripts, and as type stubs for Python's editors."""
