"""One run: the order of its nodes, their inputs, and their results."""
