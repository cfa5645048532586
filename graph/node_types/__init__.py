"""Node types as data: for editors, for other processes, and declared again."""
