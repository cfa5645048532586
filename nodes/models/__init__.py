"""Model files: reading them, keeping their weights, the networks themselves."""
