"""Model files: reads them, manages their weights in memory, and describes their networks."""
