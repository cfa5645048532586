"""The engine: typed node graphs, read, checked, run and cached. Knows nothing of pictures."""
