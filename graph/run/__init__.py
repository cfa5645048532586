"""One run: which node runs when, what it is given, and what becomes of its result."""
